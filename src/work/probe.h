/* Which segments of others' runs a node executes again of its own accord (doc/protocol.md section 20).
 *
 * Pure: no chain, clock or chance. Of each round a share, in whole runs from the first segment on: which runs, a secret
 * of the node says, so that nobody can forge where nobody looks, and each segment of a run is as likely to be looked at
 * as any other. The runs are chosen among all seats at once, whoever commits when: where one of them stays empty its
 * part is not spent elsewhere, since else who commits late would be safer. The last of them is looked at in part.
 *
 * A disclosure has the code that the drawn segment starts from, so a run has a tail, from there on, and a head, from
 * the base on. The tail begins with what everybody executes, and a run that is false there is struck without a
 * challenge. Which of them comes first the secret says too: a long run is not executed to its end before the round is
 * over, and whoever knew which half is not come to would forge there. It is the head where most is to be had: one false
 * code may make all that follows cheap to train. */
#ifndef ATELIER_WORK_PROBE_H
#define ATELIER_WORK_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROBE_SHARE_MAX = 100000000 /* 1, in the units of shares: 10^-8 */ };

/* A seat of a round. */
struct probe_seat {
	uint32_t number;    /* of the seat */
	uint8_t order[32];  /* filled by probe_choose */
	const uint8_t *id;  /* of its block */
	bool is_own;        /* its run is this node's: not looked at */
	uint32_t most;      /* filled by probe_choose: how many segments, from the first one on, may be looked at */
	bool is_head_first; /* filled by probe_choose */
};

/* Sorts the seats, those that are looked at first, and says how much of each. A run has `segments` at most. */
void probe_choose(struct probe_seat *seats, uint32_t count, const uint8_t secret[32], uint32_t segments, int64_t share);

/* How far one run is. */
struct probe {
	uint32_t most;
	bool is_head_first;
	bool is_tail_right, is_head_right;
};

/* The last segment of what is to be executed next, of a run of that length; what it starts from follows: the drawn
 * segment's code if it is not before that, else the base. False: nothing is left. */
bool probe_next(const struct probe *probe, uint32_t drawn, uint32_t length, uint32_t *last);
/* All up to there was right. */
void probe_pass(struct probe *probe, uint32_t drawn, uint32_t last);

#endif
