/* Cases to simulate, and simulating them side by side. */
#ifndef ATELIER_ECONOMY_BENCH_H
#define ATELIER_ECONOMY_BENCH_H

#include "account.h"
#include "util/team.h"

enum { BENCH_CASES = 512, BENCH_MARKS = 4 };

/* A case: filled in by who adds it, but for its seed; the account is what came of it. */
struct bench_case {
	struct rules rules;
	struct setting setting;
	uint32_t from;             /* the blocks up to this height earn nothing that is counted */
	double marks[BENCH_MARKS]; /* seconds since genesis: blocks dated between are counted */
	uint64_t seed;
	struct account account;
	uint32_t counts[BENCH_MARKS - 1];
};

struct bench {
	struct spec spec;
	struct team *team;
	struct bench_case *cases;
	size_t count;
	uint64_t seed;
	bool brief, ok; /* ok: what had to be so is so, up to now */
};

void bench_init(struct bench *b, struct team *team, uint64_t seed, bool brief);
void bench_clear(struct bench *b);

/* The rules of doc/protocol.md, and those it had before there were any of time: from the easiest target on. */
struct rules bench_rules(const struct bench *b);
struct rules bench_old_rules(const struct bench *b);

/* The power that the chain is started for, in steps a second: a hundred machines that take 1/150 of a spacing for a
 * step. (main is started for fewer; no figure hangs on how many it is.) */
double bench_power(void);

/* That network for so many spacings. Of twelve miners the first has `share` of the power (0: as the others are), the
 * others by 1, 1/2, 1/3 and so on. */
struct setting bench_setting(const struct bench *b, double share, uint32_t spacings);

struct bench_case *bench_add(struct bench *b, const struct rules *rules, const struct setting *setting);
void bench_run(struct bench *b);    /* all that were added */
void bench_forget(struct bench *b); /* ... and begin with none */

/* Says so where it does not hold. */
void bench_require(struct bench *b, bool holds, const char *what);

#endif
