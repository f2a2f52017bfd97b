/* Adversaries: miners who state what a step gives without doing all of it.
 *
 * Each follows a step's course with the node's own operations, but for what it leaves out, and states the digest that
 * it comes to. What it takes from before (another seed's work on the same state) costs it nothing, and what it could do
 * faster than this program does it, it is credited with. */
#ifndef ATELIER_FORGE_ADVERSARY_H
#define ATELIER_FORGE_ADVERSARY_H

#include "setting.h"
#include "shadow.h"

enum { ADVERSARIES = 17 };

/* One setting's memory of what all attempts share; used by one thread. */
struct adversary_memory;
struct adversary_memory *adversary_memory_new(const struct setting *setting);
void adversary_memory_free(struct adversary_memory *m);

const char *adversary_name(size_t adversary);

/* The digest that it states for this seed; false if it comes to none. saved: the share of the step that it left out. */
bool adversary_state(struct adversary_memory *m, size_t adversary, const uint8_t seed[32], uint8_t digest[32],
	double *saved);

/* The same without leaving anything out: what forge.c holds to the node's step first. */
bool adversary_honest(struct adversary_memory *m, const uint8_t seed[32], uint8_t digest[32]);

#endif
