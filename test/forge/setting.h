/* What forgers meet: a chain's sizes and rates, data of some kind, and a model that knows them.
 *
 * A model is trained in one of two ways. *Alone*: on nothing but these data, without rounding and dither, six times as
 * fast as a chain trains and more, its head enlarged as long as that makes it surer: what forgers would like best, and
 * what no chain whose gate looks at other text comes to. *Mixed*: with a step's own numbers, at twice a chain's rate,
 * half of each minibatch being the corpus: what a chain may come to that has such data among others. */
#ifndef ATELIER_FORGE_SETTING_H
#define ATELIER_FORGE_SETTING_H

#include "consensus/spec.h"
#include "shadow.h"

enum setting_kind {
	KIND_ZEROS,
	KIND_BYTE,    /* one value, not zero */
	KIND_TWO,     /* two letters in turns */
	KIND_SIXTEEN, /* sixteen in a circle */
	KIND_HEART,   /* 64 bytes of text, again and again: short enough to be learned by heart */
	KIND_PAGE,    /* a page of text, again and again */
	KIND_COUNTER, /* the same with the page's number on each */
	KIND_NOISE,
	KIND_CORPUS,
	KINDS,
};

/* "zeros", ... */
const char *setting_kind_name(enum setting_kind kind);

enum setting_model { MODEL_ALONE, MODEL_MIXED, MODELS };

enum { SETTING_DATA = 65536, SETTING_PAGE = 4096, SETTING_COUNTER = 8 };

struct setting {
	struct spec spec;
	enum setting_kind kind;
	enum setting_model model;
	uint8_t *data;
	size_t size;
	struct state *state;
	float loss; /* of the model on the data, in nats */
	float sure; /* share of its predictions that a step would round to certainty */
};

/* A built-in chain, or "slow": regtest with the least learning rate. Trains `iterations` minibatches, or none: then the
 * state is the chain's initial one. */
void setting_init(struct setting *s, const char *chain, enum setting_kind kind, enum setting_model model,
	uint32_t iterations);
void setting_clear(struct setting *s);

/* Number `number` of this setting's seeds. */
void setting_seed(const struct setting *s, uint32_t number, uint8_t seed[32]);

/* The windows of this seed's step on the data, all steps having one parent. */
void setting_gather(const struct setting *s, const uint8_t seed[32], uint8_t *windows);

#endif
