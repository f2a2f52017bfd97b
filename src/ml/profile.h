/* Where the time of a pass goes, for whoever asks (atelier-bench).
 *
 * A workspace holds a pointer to a `struct profile`, NULL unless somebody wants to know; then each lap below is one
 * test of a pointer. With a profile, a lap adds the time since the lap before to one kind of work. */
#ifndef ATELIER_ML_PROFILE_H
#define ATELIER_ML_PROFILE_H

#include <stddef.h>
#include <stdint.h>

enum profile_kind {
	PROFILE_QUANTISE,
	PROFILE_PRODUCT,
	PROFILE_ATTENTION,
	PROFILE_ELEMENTWISE,
	PROFILE_OPTIMIZER,
	PROFILE_KINDS,
};

/* Zeroed by its owner. */
struct profile {
	int64_t last; /* nanoseconds on the monotonic clock */
	int64_t nanoseconds[PROFILE_KINDS];
};

/* What passes until the next lap is counted; what passed before is not. */
void profile_begin(struct profile *profile);
void profile_count(struct profile *profile, enum profile_kind kind);

static inline void profile_lap(struct profile *profile, enum profile_kind kind)
{
	if (profile != NULL)
		profile_count(profile, kind);
}

#endif
