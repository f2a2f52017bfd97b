/* What contrib/economy prints, by subcommand. */
#ifndef ATELIER_ECONOMY_ECONOMY_H
#define ATELIER_ECONOMY_ECONOMY_H

#include "util/options.h"
#include "util/team.h"

/* Launches, selfish miners, omission, power that comes and goes, games with times. False if a figure is not what the
 * rules are for. */
bool economy_time(const struct options *o, struct team *team);

/* What owners earn with honest texts, copies, noise, languages of their own, own pages made for it, and splitting, on
 * small chains that are trained. False likewise. */
bool economy_data(const struct options *o, struct team *team);

#endif
