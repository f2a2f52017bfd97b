/* The memory in which a pass over the model works: what ml/model.c lays out and ml/pass.c fills. For these two alone,
 * but for the layout of layers and matrices, which ml/text/decoder.c has a way forward of its own for.
 *
 * A pass goes over its windows in micro-batches of at most 1024 tokens, one chunk: over it the gradients of the
 * matrices contract. Forward and back, no window knows of another, so a chunk is shared out in tiles of windows, small
 * enough for a core's own cache. */
#ifndef ATELIER_ML_WORKSPACE_H
#define ATELIER_ML_WORKSPACE_H

#include "ml/kernel/linear.h"
#include "ml/model.h"
#include "util/size.h"

/* Where the parts of one layer, and of the whole, begin in theta. */
struct model_layout {
	size_t norm_attention, wqkv, wo, norm_mlp, wgu, wdown, layer_size; /* within a layer */
	size_t first_layer, norm, head, count;
};
struct model_layout model_layout_of(const struct model_config *config);

/* What the forward pass leaves behind for the backward pass, a layer; T tokens of a chunk. What the norms and the gate
 * give is computed again on the way back: that is cheaper than keeping it. */
struct model_layer {
	float *h;           /* [T][d] what comes in */
	float *qkv;         /* [T][3d] rotated */
	float *p;           /* [windows][heads][attention_kept()] */
	float *a;           /* [T][d] */
	float *h_mlp;       /* [T][d] between attention and the gated unit */
	float *gu;          /* [T][2ff] */
	float *r, *r_mlp;   /* [T] of the two norms */
	int32_t *a_largest; /* [tiles][d] */
};

/* The matrices of a layer. */
enum { LAYER_QKV, LAYER_OUT, LAYER_GATE_UP, LAYER_DOWN, LAYER_MATRICES };

/* Matrix `index` % LAYER_MATRICES of layer `index` / LAYER_MATRICES, or the head, which comes after them all: where it
 * lies, and its sizes. */
struct linear model_matrix(const struct model_config *config, size_t index);

/* The most rows or columns of one. */
size_t model_widest(const struct model_config *config);

/* One thread's memory, for a tile of tokens. */
struct model_member {
	struct linear_work work;
	float *x;  /* [tile][d or ff] what a product takes */
	float *dx; /* [tile][d or ff] and what comes back from it */
	float *attention;
	int32_t *largest[2];    /* [widest] of a chunk */
	struct freivalds check; /* model_check makes it that of `work` */
};

/* What the first layer's norm and its q, k and v, not rotated yet, are for each byte of a batch: nothing but the byte
 * decides them. */
struct model_bytes {
	uint8_t list[MODEL_VOCABULARY], place[MODEL_VOCABULARY]; /* the batch's bytes; where in the list a byte is */
	size_t count;
	float *z, *qkv, *r; /* [count][d], [count][3d], [count] */
	uint8_t *of_token;  /* [T] of the chunk: places */
};

struct model {
	struct model_config config;
	struct model_layout layout;
	enum engine engine;
	struct team *team;
	unsigned member_count; /* of the team */
	size_t windows, tile;  /* windows of a chunk, of a tile */
	char *arena;
	struct model_layer *layers;
	struct model_bytes bytes;
	struct linear *matrices; /* [layers][4], and the head */
	struct freivalds_vectors vectors;
	struct model_member *members;
	float *h, *r, *logits, *losses; /* [T][d], [T], [T][256], [T]: after the last layer */
	float *cosine, *sine;           /* [ctx][head / 2] */
	/* On the way back, [T][...]: gradients of h before and after the layer's half under way, of the input of its
	 * norm's product and of that product's result; and what that norm and the gate give. */
	float *dh[2], *dz, *dy, *z, *b;
	int32_t *dh_largest, *dy_largest, *z_largest, *b_largest; /* [tiles][...] */
	float least_weight;                                       /* of attention */
	struct profile *profile;
	struct census_matrix *census; /* of each matrix, NULL: not taken */
};

#endif
