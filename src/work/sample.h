/* Which blocks to audit: samples drawn uniformly in cumulative work.
 *
 * Drawn by height, a forger would hide in a stretch of low difficulty, where many blocks cost little; drawn by work,
 * every unit of work that a branch claims is as likely to be looked at as any other (DESIGN: initial
 * sync, auditchain). */
#ifndef ATELIER_WORK_SAMPLE_H
#define ATELIER_WORK_SAMPLE_H

#include <stdint.h>

#include "consensus/target.h"

/* A number in 0 .. bound - 1 from the system's randomness, uniform; bound > 0. */
struct u256 sample_below(struct u256 bound);

/* Cumulative work up to and with the block at `height`; it rises with every block. */
typedef struct u256 sample_work(const void *context, uint32_t height);

/* The height whose block contains a point of the work between genesis and the tip: the smallest height above 0 whose
 * cumulative work minus genesis' exceeds `point`. point < work(tip) - work(0); tip >= 1. */
uint32_t sample_height(sample_work *work, const void *context, uint32_t tip, struct u256 point);

/* Draws `count` points and gives the heights they fall on, ascending, each once; tip >= 1. Returns how many. */
uint32_t sample_heights(sample_work *work, const void *context, uint32_t tip, uint32_t count, uint32_t *heights);

#endif
