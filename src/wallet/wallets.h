/* The wallets of a node: the folder they lie in, which are loaded, and the notices of the chain that they follow.
 *
 * Loaded by explicit call, or at the start if their names are on the list for that (wallet/startup.h). Everything runs
 * on the loop's thread. A wallet that is behind the chain (restored, or loaded after a while) catches up in slices, in
 * wallets_tick; one that is level is told of every block as it comes.
 *
 * A wallet that could not write is told nothing more until wallets_mend has opened it again, locked if it has a
 * passphrase. Where that fails too, as on a disk that stays full, it is down: it is not among the loaded ones, and is
 * tried again until it comes back or is forgotten. */
#ifndef ATELIER_WALLET_WALLETS_H
#define ATELIER_WALLET_WALLETS_H

#include "chain/chain.h"
#include "wallet/pledge.h"
#include "wallet/wallet.h"

enum { WALLETS_NAME_MAX = 64 }; /* bytes */

struct wallets;

/* dir is made when the first wallet is; what an earlier process left half done in it is put right. The chain must
 * outlive the wallets; it is subscribed to for good. */
struct wallets *wallets_new(struct chain *chain, const char *dir);
void wallets_free(struct wallets *wallets);

enum wallets_result {
	WALLETS_OK,
	WALLETS_BAD_NAME, /* 1 to 64 of letters, digits, "-", "_" and ".", no "." first */
	WALLETS_BAD_WORDS,
	WALLETS_EXISTS,
	WALLETS_MISSING,
	WALLETS_LOADED, /* already */
	WALLETS_FAILED, /* the disk's reason in err */
};

/* words NULL: new ones. With words the whole chain is looked through. The wallet is loaded and belongs to wallets. */
enum wallets_result wallets_create(struct wallets *wallets, const char *name, const char *passphrase, const char *words,
	struct wallet **wallet, struct errmsg *err);
enum wallets_result wallets_load(struct wallets *wallets, const char *name, struct wallet **wallet, struct errmsg *err);
void wallets_unload(struct wallets *wallets, struct wallet *wallet);
/* wallet_abandon, and the node forgets it too where it waits for its time. */
bool wallets_abandon(struct wallets *wallets, struct wallet *wallet, struct ledger_tx *abandoned_tx,
	struct errmsg *err);

/* Loads the wallets of the list for the start. One that cannot be is told in the log; the others come all the same. */
void wallets_load_startup(struct wallets *wallets);
/* Puts the name on that list, or takes it off. */
bool wallets_set_startup(struct wallets *wallets, const char *name, bool wanted, struct errmsg *err);

/* Opens again what could not write. To be called before wallets are asked for anything (wallets_tick does it too):
 * pointers to wallets from before are void. */
void wallets_mend(struct wallets *wallets);
/* Why the wallet of this name, or with NULL any, is down; NULL: it is not. */
const char *wallets_down(const struct wallets *wallets, const char *name);
/* Unloads one that is down; false: there is none of this name. */
bool wallets_forget(struct wallets *wallets, const char *name);

size_t wallets_count(const struct wallets *wallets);
struct wallet *wallets_at(const struct wallets *wallets, size_t index);       /* in the order they were loaded */
struct wallet *wallets_find(const struct wallets *wallets, const char *name); /* NULL: not loaded */
/* The loaded one that has the address of this key; if several do, one that is unlocked before others. NULL: none. */
struct wallet *wallets_owner(const struct wallets *wallets, const uint8_t key[32]);
struct chain *wallets_chain(const struct wallets *wallets);

/* Names of the wallets on disk, sorted; the caller frees each and the array. */
char **wallets_on_disk(const struct wallets *wallets, size_t *count);

/* Catches up for about a quarter of a second, locks what has been unlocked long enough, offers own transactions to
 * the mempool again that are not in it. To be called about once a second; true: there is more to catch up with, call
 * soon. */
bool wallets_tick(struct wallets *wallets);

/* Whether the wallet has seen the chain's tip, and which height it has reached. */
bool wallets_is_level(const struct wallets *wallets, const struct wallet *wallet);

/* Writes a payment down, then hands it to the mempool: what goes out is on disk, and is offered again by the next
 * process if this one is killed in between. One that cannot be written is not handed on, and one that the mempool
 * refuses is abandoned. Takes tx. On CHAIN_ERROR the reason is in err. */
enum chain_result wallets_send(struct wallets *wallets, struct wallet *wallet, const struct tx *tx,
	struct reject *reject, struct errmsg *err);

/* The same of a contribution under way (wallet/pledge.h): it is written down, then its commitment handed to the
 * mempool, or, where that is there already, its registration. Takes both transactions. From then on wallets_tick sees
 * to the rest, and says in the log how far it is. */
enum chain_result wallets_pledge(struct wallets *wallets, struct wallet *wallet, const struct pledge_txs *txs,
	const struct buf *pledged_bytes, struct reject *reject, struct errmsg *err);

#endif
