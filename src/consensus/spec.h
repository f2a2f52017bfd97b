/* A chain spec: everything in which one Atelier chain differs from another (doc/protocol.md section 16).
 *
 * Built in: "main", "test", "regtest", all three with the embedded genesis corpus. A private chain's spec is JSON with
 * the protocol's field names; fields it leaves out are regtest's. No I/O here: the caller reads the files. */
#ifndef ATELIER_CONSENSUS_SPEC_H
#define ATELIER_CONSENSUS_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consensus/blob/pages.h"
#include "consensus/header.h"
#include "consensus/payload/licence.h"
#include "ml/course.h"
#include "ml/state.h"
#include "ml/step.h"
#include "util/error.h"

/* Models that a chain trains at most. */
enum { SPEC_COURSES = 1 };
/* Licences that a spec names at most. */
enum { SPEC_LICENCES = 16 };

struct spec {
	char name[17], hrp[9];
	uint64_t genesis_time;
	uint32_t spacing;    /* seconds; 0: constant bits */
	uint32_t start_bits; /* compact form of the target that the chain begins with; 0: of the easiest, until
				spec_finish */
	uint32_t k, slots;
	struct course courses[SPEC_COURSES]; /* the models that are trained */
	uint32_t course_count;
	int64_t v_0, v_min; /* 2^-32 nats */
	int64_t subsidy;
	uint32_t halving, maturity, data_delay, commit_delay;
	int64_t burn_rate; /* base units per byte */
	uint32_t blob_min, blob_max, blob_budget;
	struct pages_rule pages; /* the courtesy filter */
	uint32_t block_weight;
	/* Of the data that may be registered: licences (consensus/payload/licence.h); none: whatever an expression
	 * says. */
	char licences[SPEC_LICENCES][LICENCE_MAX + 1];
	uint32_t licence_count;
	uint32_t memory; /* MiB: seven states of the model fit in it */
	/* Rounds (section 20); all 0 where there are none. */
	uint32_t round_blocks;             /* of a round, and its seats */
	uint32_t round_work, round_reveal; /* blocks in which runs are committed to; disclosed */
	uint32_t segments, segment;        /* of a run; iterations of one; spec_finish puts them into the course too */
	uint32_t run_ppm;                  /* of the compute part, what runs earn */
	uint32_t first_segments;           /* of a run of the first round; 0: all, until spec_finish */
	/* Of what nodes earn by selling texts, what they ought to hand on to those who made the model (section 16). No
	 * rule looks at it. 0: none; and not committed to. */
	uint32_t usage_ppm;
	/* Not committed to: */
	uint16_t p2p_port, rpc_port;
	bool is_public; /* built in "main" or "test": mining needs peers */
	/* What the chain begins with, where it is not drawn; owned. The path is what spec_parse found. */
	char *initial_state_path;
	struct state *initial_state;
	bool has_initial_root; /* the spec says which model_root that has */
	uint8_t initial_root[32];
	/* Derived by spec_finish: */
	uint8_t corpus_root[32], commitment[32];
	struct header genesis;
	uint8_t genesis_id[32], genesis_ticket[32];
	uint8_t magic[4];
	uint8_t *owned; /* the corpus, if it is not static */
};

/* Number of the rules that these nodes agree on (doc/protocol.md). It is in every chain's commitment and grows with
 * each change of them: so chains of other rules have another genesis, and neither their peers nor their files are taken
 * for one's own. */
enum { SPEC_RULES = 7 };

/* The built-in spec of that name, finished; false if there is none. Its initial state is not drawn: that its root is
 * right is known from before (doc/protocol.md section 18). */
bool spec_builtin(struct spec *spec, const char *name);

/* Bytes that a run may have to disclose. Contributed data are smaller, by blob_max. */
enum { SPEC_DISCLOSURE_MAX = 1 << 26 };

enum { SPEC_TEXT_MAX = 65536, SPEC_CORPUS_MAX = 1 << 24 };

/* Parses a spec file's text, at most SPEC_TEXT_MAX bytes. Its "initial_state", if it
 * has one, is the name of a file (relative to the spec file too), kept in initial_state_path, to be read (at most
 * weights_size_max of its model's bytes) and handed to spec_set_initial_state; "initial_root" is the model_root that
 * the chain must begin with, which spec_finish checks. Its "corpus" is "embedded" (the default, *corpus_path is then
 * NULL) or a file name that is returned in corpus_path (heap, the caller's; relative to the spec file), to be read (at
 * most SPEC_CORPUS_MAX bytes) and handed to spec_set_corpus. Every field is checked against the limits of section 16;
 * an unknown field, one given twice, a wrong type or an impossible size is an error naming it. Parsed or not,
 * spec_clear releases it; it can be used once spec_finish has been called too. */
bool spec_parse(struct spec *spec, const char *json, size_t size, char **corpus_path, struct errmsg *err);

/* Copies the corpus. Then spec_finish checks every limit (those between two fields too) and fills the derived fields
 * (this computes the initial state once, for genesis' model_root). */
void spec_set_corpus(struct spec *spec, const uint8_t *corpus, size_t corpus_size);

/* Takes the initial parameters from a file of weights (ml/files/weights.h); the outer momentum begins at zero. False
 * if the sizes are impossible, or the file does not fit them. After spec_parse, before spec_finish. */
bool spec_set_initial_state(struct spec *spec, const uint8_t *weights, size_t weights_size, struct errmsg *err);
bool spec_finish(struct spec *spec, struct errmsg *err);
void spec_clear(struct spec *spec);

/* The state that the chain begins with, drawn (a second for 20 million parameters) or given: a new reference. */
struct state *spec_initial_state(const struct spec *spec);

/* Key of the initial state's draws: H("atelier initial state" | name). */
void spec_init_key(const struct spec *spec, uint8_t key[32]);

/* The course of a chain that has one. */
const struct course *spec_course(const struct spec *spec);

/* Slot that a seed picks. */
uint32_t spec_slot(const struct spec *spec, const uint8_t seed[32]);

/* Seconds a block may be ahead of the node's clock. */
uint32_t spec_future_limit(const struct spec *spec);
int64_t spec_subsidy(const struct spec *spec, uint32_t height);

/* Whether the block at that height is the last of a round, whose runs are merged after it (section 20). */
bool spec_merges(const struct spec *spec, uint32_t height);
/* And the height of the block that seat `seat` of that round is of. */
uint32_t spec_seat_height(const struct spec *spec, uint32_t height, uint32_t seat);

/* Segments that a run from the base at that height may have at most; of a chain without rounds 0. */
uint32_t spec_most_segments(const struct spec *spec, uint32_t base);

#endif
