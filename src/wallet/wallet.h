/* One wallet: keys (wallet/account.h), coins (wallet/ledger.h), and its database that keeps both.
 *
 * Knows no chain: it is told of blocks and of the mempool (by wallet/wallets.h), and remembers up to which block it has
 * been told. Scripts are derived WALLET_GAP ahead of the last one used or given out, so a wallet restored from its
 * words finds everything paid to addresses with no larger gap between them. An address is used when a transaction pays
 * it, or names it as the owner of data: that is paid later.
 *
 * What a block changes is one atomic write; whatever a function has acknowledged is synced and survives kill -9. A
 * write that fails returns false with the reason. Memory is then ahead of the disk, and the database takes no further
 * write (store/db.h): the wallet is not sound, and whoever holds it closes it and opens it again before it is asked for
 * anything else. It then agrees with the disk, knows all that was acknowledged, and catches up.
 *
 * Database, one folder a wallet (store/db.h); integers little-endian:
 *
 *    a              account record (account_write)
 *    g              genesis id of the wallet's chain, u64 time of creation
 *    n              next index to give out: u32 to receive, u32 for change
 *    s              id and u32 height of the last block seen
 *    t <txid 32>    transaction: u8 version 1, u32 height, block id, u64 time, u64 order, u32 first_data, u8 bits (1
 *                   abandoned, 2 output 0 is a stake, 4 it was struck), u32 height of that if so, serialised
 * transaction l <key 32>     label of an address c <txid 32>    pledge, by its registration: u8 version 1, txid of its
 * commitment, u8 whether its bytes are kept b <root 32>    the bytes of data that are pledged */
#ifndef ATELIER_WALLET_WALLET_H
#define ATELIER_WALLET_WALLET_H

#include "consensus/block.h"
#include "consensus/reject.h"
#include "util/error.h"
#include "wallet/ledger.h"

enum {
	WALLET_GAP = 20,
	WALLET_LABEL_MAX = 255, /* bytes */
};

struct wallet;

struct wallet_place { /* a block of the active chain */
	uint8_t id[32];
	uint32_t height;
};

/* Makes a wallet in the folder path, which must be missing or empty, and opens it. words NULL: 24 new ones from 256
 * random bits. birth is the block from which on it looks for transactions: the tip for new words, genesis for old ones.
 * NULL on failure: then, and whatever ends the process meanwhile, there is no wallet (wallet/folder.h). */
struct wallet *wallet_create(const char *path, const char *name, const struct spec *spec, const char *passphrase,
	const char *words, const struct wallet_place *birth, struct errmsg *err);

/* The spec must outlive the wallet. NULL on failure, such as a wallet of another chain. */
struct wallet *wallet_open(const char *path, const char *name, const struct spec *spec, struct errmsg *err);
void wallet_close(struct wallet *wallet);

/* Whether no write has failed. */
bool wallet_is_sound(const struct wallet *wallet);

const char *wallet_name(const struct wallet *wallet);
const struct spec *wallet_spec(const struct wallet *wallet);
const struct account *wallet_account(const struct wallet *wallet);
struct ledger *wallet_ledger(struct wallet *wallet);
uint64_t wallet_birth_time(const struct wallet *wallet);

/* The block up to which the wallet has been told of the chain. */
const struct wallet_place *wallet_synced(const struct wallet *wallet);

/* The child of the synced block. */
bool wallet_connect(struct wallet *wallet, const struct wallet_place *place, const struct block *block,
	struct errmsg *err);
/* Back to an ancestor of the synced block: transactions above it are in no block any more. */
bool wallet_rewind(struct wallet *wallet, const struct wallet_place *place, struct errmsg *err);
/* Writes down an own payment that is about to be handed to the mempool. */
bool wallet_record_payment(struct wallet *wallet, const struct tx *tx, struct errmsg *err);
bool wallet_mempool_added(struct wallet *wallet, const struct tx *tx, struct errmsg *err);
void wallet_mempool_removed(struct wallet *wallet, const struct tx *tx);

/* A contribution under way (wallet/pledge.h). */
struct wallet_pledge {
	uint8_t registration[32], commitment[32]; /* txids */
	uint64_t order;                           /* of its registration (struct ledger_tx) */
	bool keeps_bytes;
	bool is_told; /* in this run the log says how far it is: */
	int told_stage;
	/* Why the mempool has not got its registration; NONE: it was not refused, in this run */
	enum reason refused;
	char refusal[256];  /* the same in words, with what was found */
	uint32_t failed_at; /* height from which on it has been failed in this run; 0: it has not */
};

/* Writes down both transactions, the commitment first, and the bytes, in one. The registration has one contribution;
 * its owner, if it is the wallet's next address, is given out by this. */
bool wallet_record_pledge(struct wallet *wallet, const struct tx *commitment, const struct tx *registration,
	const struct buf *pledged_bytes, struct errmsg *err);
/* All of them, in the order they were made; borrowed until the next is recorded. */
struct wallet_pledge *wallet_pledges(struct wallet *wallet, size_t *count);
/* The bytes that one keeps, and an end to that. */
bool wallet_read_pledged(struct wallet *wallet, const uint8_t root[32], struct buf *pledged_bytes, struct errmsg *err);
bool wallet_drop_pledged(struct wallet *wallet, struct wallet_pledge *pledge, const uint8_t root[32],
	struct errmsg *err);

/* Gives up an own transaction that is in no block and not in the mempool: what it spends is free again. */
bool wallet_abandon(struct wallet *wallet, struct ledger_tx *wallet_tx, struct errmsg *err);

/* The next address that was neither given out nor used; its key is the witness program. label may be NULL. */
bool wallet_new_address(struct wallet *wallet, enum account_branch branch, const char *label, uint8_t key[32],
	struct errmsg *err);
/* The same without giving it out: until a transaction uses it, it may be returned again. The one after it, where
 * `skipped` is 1: for a transaction that needs two. */
void wallet_peek_address(const struct wallet *wallet, enum account_branch branch, uint32_t skipped, uint8_t key[32]);
uint32_t wallet_next_index(const struct wallet *wallet, enum account_branch branch);
bool wallet_set_label(struct wallet *wallet, struct ledger_script *wallet_script, const char *label,
	struct errmsg *err);

/* A wallet without a passphrase is always unlocked; others for that many seconds from wallet_unlock. False: wrong. */
bool wallet_unlock(struct wallet *wallet, const char *passphrase, int64_t seconds);
void wallet_lock(struct wallet *wallet);                               /* nothing to do without a passphrase */
bool wallet_is_unlocked(struct wallet *wallet);                        /* locks it first if its time is over */
bool wallet_check_unlocked(struct wallet *wallet, struct errmsg *err); /* the same, with the reason */
int64_t wallet_unlocked_until(struct wallet *wallet);                  /* Unix seconds; 0: locked */
/* False with the reason; wrong is set where it is the old passphrase. A wallet that was locked stays so. The whole
 * database is written anew and exchanged: it is sealed with the old passphrase or with the new one, and never with
 * both, whatever ends the process. */
bool wallet_change_passphrase(struct wallet *wallet, const char *old, const char *fresh, bool *wrong,
	struct errmsg *err);

/* The secret of one of the wallet's scripts; false while locked. The caller wipes it. */
bool wallet_secret(struct wallet *wallet, const struct ledger_script *script, uint8_t secret[32]);

/* Signs a hash (BIP340) by the key of one of the wallet's addresses. A signature spends what the hash says, so it must
 * be one that the caller has made, with a tag of its own. False while locked, or if the key is not the wallet's. */
bool wallet_sign(struct wallet *wallet, const uint8_t key[32], const uint8_t hash[32], uint8_t signature[64]);

/* account_salt on the wallet's chain; false with the reason while locked. */
bool wallet_salt(struct wallet *wallet, const uint8_t root[32], uint8_t salt[32], struct errmsg *err);

#endif
