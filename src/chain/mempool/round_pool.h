/* Round transactions that no block has: those held for the next blocks, and those that wait for their moment or their
 * bytes (doc/protocol.md section 20).
 *
 * They have no fee, so it is seats that bound them, and not bytes: one of each kind is held a seat, apart from paying
 * transactions, which they neither push out nor give way to. One that waits has proven nothing, and a disclosure is
 * not even signed: anybody can make up any number of them, for all seats, and keep to himself bytes that do not exist.
 * So what waits is an *offer*: an address group's word that it has the bytes of a transaction, one of each kind a seat.
 *
 * Bytes are asked for in turns: of one who offers, at a time. A turn's time runs from the request that goes out; it
 * ends with the bytes, when he says that he has not got them or leaves, when nothing comes (net/blob_fetch.h), or when
 * with ROUND_TURN_MS to begin with they fall behind 64 KB a second; and with the first part, if that has not the list
 * of digests that was committed to: so it takes somebody who has the run to hold one for longer. A turn that passed is
 * remembered of the group (chain/mempool/round_groups.h): next is always who let the fewest pass, of these whose seat,
 * and then whose group, has waited longest, and where places are full, who let more pass gives his up. A stranger has
 * one turn at a time, who gave right bytes last ROUND_POOL_GROUP_TURNS; all together ROUND_POOL_TURNS, and
 * ROUND_POOL_BYTES of bytes, one at least. Where there is no room for the next, a stranger's turn ends as soon as it
 * falls behind 512 KB a second, if no fewer passed of him; and where a giver waits for the same transaction. Else those
 * who send a little at a time, of challenges too, would keep out what honest peers bring, for as long as their blobs
 * are large. What has been asked for in a turn that ended goes on coming (net/blob_fetch.h), and counts when it is
 * here.
 *
 * So whoever has let none pass waits for one turn of each group that hinders him, ROUND_POOL_TURNS of them side by
 * side: against N groups that send nothing, N / ROUND_POOL_TURNS times ROUND_TURN_MS (of blobs of megabytes: what
 * blob_fetch lets pass until they begin to come), once he has a place; that he gets when the first of them has passed,
 * and is asked for it again until then (net/relay_tx.h). What is judged, and when, is in chain/mempool/round_admit.h.
 */
#ifndef ATELIER_CHAIN_MEMPOOL_ROUND_POOL_H
#define ATELIER_CHAIN_MEMPOOL_ROUND_POOL_H

#include "chain/chain.h"
#include "chain/mempool/round_codes.h"
#include "chain/mempool/round_groups.h"
#include "consensus/payload/round_tx.h"
#include "util/map.h"

enum {
	ROUND_POOL_OFFERS = 4096,
	ROUND_POOL_RIVALS = 16,   /* transactions of a kind that wait for a seat */
	ROUND_POOL_OFFERS_OF = 8, /* of one transaction */
	ROUND_POOL_TURNS = 16,
	ROUND_TURN_MS = 5000,
	ROUND_POOL_GROUP_TURNS = 2,
	ROUND_POOL_BYTES = 512 << 20,
	ROUND_POOL_AT_ONCE = 1 << 18,
	ROUND_POOL_SEATS = 256 /* of two rounds in a row no two have the same height modulo this, but the eldest */
};

enum round_stage {
	ROUND_EARLY, /* a later block may have it: no bytes are asked for */
	ROUND_LINE,  /* its bytes will be asked for */
	ROUND_ASKED, /* they are */
	ROUND_HERE,  /* they are here and are looked at */
	ROUND_DOUBT, /* of a challenge: they are what they say, and its segment is to be executed */
	ROUND_HELD,  /* judged: announced, and in templates */
};

/* What of the branch it was judged by: with another base, list or drawn segment it has to be judged again. */
struct round_terms {
	uint8_t base_id[32];
	uint8_t committed[32]; /* root of the list of digests that was committed to */
	uint8_t disclosed[32]; /* of a challenge: root of the blob that has this list */
	uint32_t length;       /* of the run that was committed to */
	uint32_t segment;      /* that its blob starts from */
};

struct round_offer {
	uint64_t peer;
	struct round_group *group; /* used by it */
	bool has_passed;           /* its turn */
	int64_t rests_until;       /* monotonic milliseconds: no turn before */
};

struct round_entry {
	struct mempool_entry entry; /* first: what others see of it */
	struct round_tx round_tx;
	struct round_terms terms;
	bool is_own;         /* this node brought it, for whom no limit holds */
	uint64_t brought_by; /* the peer that did first; 0: this node */
	enum round_stage stage;
	size_t blob_size;
	struct round_offer offers[ROUND_POOL_OFFERS_OF];
	size_t offer_count;
	/* While it is asked for, and its bytes are looked at: */
	struct round_group *turn_group; /* NULL: nobody's turn */
	uint64_t turn_peer;
	bool is_asked;      /* a request has gone out in this turn: the time since then counts */
	size_t come;        /* bytes, by whole parts */
	int64_t turn_since; /* monotonic milliseconds: when it was, or when the turn was given */
	bool has_bytes;     /* they were stored for it */
	bool is_given;      /* by this group, be it in its turn or after */
	uint8_t given_by[SOURCE_GROUP];
};

struct round_pool {
	struct round_entry **entries; /* in order of arrival */
	size_t count, cap, held;
	size_t offers;
	struct map by_txid;
	struct round_groups groups;
	struct round_codes codes;
	uint64_t turns_begun;
	uint64_t served[ROUND_POOL_SEATS]; /* number of the last turn for a seat, by height */
	bool is_checking;                  /* a job looks at bytes: one at a time, since they are large */
	bool is_executing;                 /* a challenge's segment: one at a time, too */
	size_t at_once;                    /* bytes of a blob that the loop itself looks at */
};

void round_pool_init(struct round_pool *pool);
void round_pool_clear(struct round_pool *pool);

struct round_entry *round_pool_find(const struct round_pool *pool, const uint8_t txid[32]); /* at any stage */
/* Who is held of that kind for that seat; NULL: nobody. */
struct round_entry *round_pool_holder(const struct round_pool *pool, const struct round_tx *round_tx);
/* Whether one waits for this blob in this size (0: in any) that its bytes may be asked for, or has them. */
bool round_pool_wants(const struct round_pool *pool, const uint8_t root[32], uint64_t size);

/* Takes a reference of its own to the transaction. */
struct round_entry *round_pool_put(struct round_pool *pool, const struct tx *tx, const struct round_tx *round_tx,
	uint64_t brought_by, size_t blob_size);
/* Out of the pool, its offers end; it is the caller's. */
void round_pool_take(struct round_pool *pool, struct round_entry *entry);
void round_pool_entry_free(struct round_entry *entry);
void round_pool_hold(struct round_pool *pool, struct round_entry *entry);

/* Whether one more offer may wait, of this group, for a transaction that is `known`, or, NULL, not here yet. */
enum round_place {
	ROUND_PLACE_FREE,
	ROUND_PLACE_OF,    /* if what is given gives way; it is asked for again later */
	ROUND_PLACE_TWICE, /* no: another for that seat waits, from there */
	ROUND_PLACE_NONE,  /* no: nobody has to give way */
};
struct round_place_of {
	struct round_entry *entry;
	size_t offer; /* offer_count: all of them */
};
enum round_place round_pool_place(const struct round_pool *pool, const struct round_tx *round_tx,
	struct round_entry *known, const struct round_group *group, struct round_place_of *place_of);

void round_pool_offer(struct round_pool *pool, struct round_entry *entry, uint64_t peer, struct round_group *group);
/* The offer of this group; offer_count: there is none. */
size_t round_pool_offer_of(const struct round_entry *entry, const struct round_group *group);
/* Who sent its bytes; NULL: nobody did, or nothing is known of him any more. */
struct round_group *round_pool_giver(const struct round_pool *pool, const struct round_entry *entry);
void round_pool_make_own(struct round_entry *entry); /* this node has brought it too */
void round_pool_end_turn(struct round_entry *entry); /* where there is one: it was nobody's fault */
/* The transaction may be left without any. A turn of it is over, and was nobody's fault. */
void round_pool_withdraw(struct round_pool *pool, struct round_entry *entry, size_t offer);

/* Who may be asked for bytes next; the turn begins. NULL: nobody. */
struct round_entry *round_pool_next_turn(struct round_pool *pool, int64_t now);
/* A request for these bytes has gone out to whose turn it is. */
void round_pool_asked(const struct round_pool *pool, const uint8_t root[32], uint64_t peer, int64_t now);
/* Whose bytes are looked at next, of those at ROUND_HERE: this node's own, then by who offers it as for turns. NULL:
 * none. */
struct round_entry *round_pool_next_here(const struct round_pool *pool);
/* Whose challenge is executed next, of those at ROUND_DOUBT: this node's own, then by who offers it as for turns, and
 * of equals those of other segments than the first, whose start everybody knows. NULL: none. */
struct round_entry *round_pool_next_doubt(const struct round_pool *pool);
/* It passed: the transaction stands in line again, and the offer rests for a while. */
void round_pool_pass(struct round_entry *entry, int64_t now);
/* One that has lasted too long: since the request, for what has come, or since it was given, without a request. NULL:
 * none. */
struct round_entry *round_pool_overdue(const struct round_pool *pool, int64_t now);

#endif
