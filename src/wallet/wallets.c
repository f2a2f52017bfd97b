/* Wallets that are loaded, level or behind, sound or down.
 *
 * A wallet is told of a block only if it is at that block's parent, so one that is behind simply hears nothing until
 * wallets_catch_up has brought it to the tip. One that cannot write hears nothing either, and is opened again
 * (wallets_mend_all): it is then where its disk is, and catches up from there. */
#include "wallet/wallets.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/wipe.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/warning.h"
#include "wallet/folder.h"
#include "wallet/startup.h"

enum {
	WALLETS_SLICE_MS = 250,
	WALLETS_RETRY_MS = 5000,
	WALLETS_PLEDGE_DEPTH =
		100, /* blocks on how a pledge ended; more are not undone without the operator (section 15) */
};

struct wallets_loaded {
	char *name;
	struct wallet *wallet; /* NULL: it is down */
	struct errmsg why;     /* it is down */
	int64_t retry_at;      /* of clock_mono_ms, while it is down */
	bool has_refused;      /* a payment that was answered with an error may be on disk all the same: */
	uint8_t refused[32];   /* its id; abandoned as soon as something can be written */
	bool stuck;            /* a block could not be read: no further until it is loaded again */
	bool mempool_due;      /* what is in the mempool must be looked through */
	bool offer_due;        /* own transactions outside the mempool must be offered */
};

struct wallets {
	struct chain *chain;
	char *dir;
	struct wallets_loaded *loaded;
	size_t count;
};

/* Whether it may be told something. */
static bool wallets_is_sound(const struct wallets_loaded *loaded)
{
	return loaded->wallet != NULL && wallet_is_sound(loaded->wallet);
}

static struct wallet_place wallets_place_of(const struct index_entry *entry)
{
	struct wallet_place synced_place;

	memcpy(synced_place.id, entry->id, 32);
	synced_place.height = entry->height;
	return synced_place;
}

static bool wallets_is_at(const struct wallet *wallet, const struct index_entry *entry)
{
	return memcmp(wallet_synced(wallet)->id, entry->id, 32) == 0;
}

static void wallets_report_failure(bool ok, const struct errmsg *err)
{
	if (!ok)
		log_error("%s", err->text);
}

/* --- Notices --- */

/* What was refused for what is registered on one branch may be new on another. */
static void wallets_forget_refusals(struct wallet *wallet)
{
	size_t pledge_count;
	struct wallet_pledge *pledges = wallet_pledges(wallet, &pledge_count);

	for (size_t i = 0; i < pledge_count; i++)
		pledges[i].refused = REASON_NONE;
}

/* To those at its parent: those behind read it themselves when they come to it. */
static void wallets_on_connected(void *context, const struct index_entry *entry, const struct block *block)
{
	struct wallet_place synced_place = wallets_place_of(entry);
	struct wallets *wallets = context;
	struct errmsg err;
	size_t i;

	for (i = 0; i < wallets->count; i++)
		if (entry->parent != NULL && wallets_is_sound(&wallets->loaded[i]) &&
			wallets_is_at(wallets->loaded[i].wallet, entry->parent))
			wallets_report_failure(wallet_connect(wallets->loaded[i].wallet, &synced_place, block, &err),
				&err);
}

/* What was in the block may be in the mempool again, and the notice of that may have come while the wallet held it to
 * be in the block: so the mempool is looked through later. */
static void wallets_on_disconnected(void *context, const struct index_entry *entry, const struct block *block)
{
	struct wallets *wallets = context;
	struct wallet_place synced_place;
	struct errmsg err;
	size_t i;

	(void)block;
	for (i = 0; i < wallets->count; i++) {
		if (!wallets_is_sound(&wallets->loaded[i]) || !wallets_is_at(wallets->loaded[i].wallet, entry))
			continue;
		synced_place = wallets_place_of(entry->parent);
		wallets_report_failure(wallet_rewind(wallets->loaded[i].wallet, &synced_place, &err), &err);
		wallets_forget_refusals(wallets->loaded[i].wallet);
		wallets->loaded[i].mempool_due = true;
	}
}

/* Once a block at most: what the mempool dropped is worth another try when its place or the fees may have changed. */
static void wallets_on_tip(void *context, const struct index_entry *tip)
{
	struct wallets *wallets = context;
	size_t i;

	(void)tip;
	for (i = 0; i < wallets->count; i++)
		wallets->loaded[i].offer_due = true;
}

static void wallets_on_tx_added(void *context, const struct tx *tx, uint64_t source)
{
	struct wallets *wallets = context;
	struct errmsg err;
	size_t i;

	(void)source;
	for (i = 0; i < wallets->count; i++)
		if (wallets_is_sound(&wallets->loaded[i]))
			wallets_report_failure(wallet_mempool_added(wallets->loaded[i].wallet, tx, &err), &err);
}

static void wallets_on_tx_removed(void *context, const struct tx *tx, const char *reason)
{
	struct wallets *wallets = context;
	size_t i;

	(void)reason;
	for (i = 0; i < wallets->count; i++)
		if (wallets_is_sound(&wallets->loaded[i]))
			wallet_mempool_removed(wallets->loaded[i].wallet, tx);
}

/* Folders are settled before any wallet can be open in them. */
struct wallets *wallets_new(struct chain *chain, const char *dir)
{
	struct wallets *wallets = mem_calloc(1, sizeof *wallets);
	struct chain_events wallets_events = {
		.context = wallets,
		.disconnected = wallets_on_disconnected,
		.connected = wallets_on_connected,
		.tip = wallets_on_tip,
		.tx_added = wallets_on_tx_added,
		.tx_removed = wallets_on_tx_removed,
	};

	wallets->chain = chain;
	wallets->dir = mem_strdup(dir);
	folder_settle_all(dir);
	chain_subscribe(chain, &wallets_events);
	return wallets;
}

static void wallets_drop_loaded(struct wallets *wallets, size_t at)
{
	if (wallets->loaded[at].wallet != NULL)
		wallet_close(wallets->loaded[at].wallet);
	free(wallets->loaded[at].name);
	wallets->count--;
	memmove(&wallets->loaded[at], &wallets->loaded[at + 1], (wallets->count - at) * sizeof *wallets->loaded);
}

void wallets_free(struct wallets *wallets)
{
	while (wallets->count > 0)
		wallets_drop_loaded(wallets, wallets->count - 1);
	free(wallets->loaded);
	free(wallets->dir);
	free(wallets);
}

/* --- Catching up --- */

static void wallets_look_at(void *context, const struct mempool_entry *entry)
{
	struct errmsg err;

	if (wallet_is_sound(context))
		wallets_report_failure(wallet_mempool_added(context, entry->tx, &err), &err);
}

/* Back to where the wallet's branch and the active chain part; a block nobody knows any more counts as none. */
static void wallets_go_back(struct wallets *wallets, struct wallet *wallet)
{
	const struct index_entry *forked_entry = chain_find(wallets->chain, wallet_synced(wallet)->id);
	struct wallet_place synced_place;
	struct errmsg err;

	while (forked_entry != NULL && !chain_is_active(wallets->chain, forked_entry))
		forked_entry = forked_entry->parent;
	synced_place = wallets_place_of(forked_entry != NULL ? forked_entry : chain_genesis(wallets->chain));
	if (memcmp(synced_place.id, wallet_synced(wallet)->id, 32) != 0)
		wallets_report_failure(wallet_rewind(wallet, &synced_place, &err), &err);
}

/* One block further; false if that cannot be. */
static bool wallets_go_on(struct wallets *wallets, struct wallets_loaded *loaded)
{
	const struct index_entry *next_entry = chain_at(wallets->chain, wallet_synced(loaded->wallet)->height + 1);
	struct wallet_place synced_place = wallets_place_of(next_entry);
	struct errmsg err;
	const struct block *next_block = chain_read_bare(wallets->chain, next_entry, &err);
	bool is_connected = next_block != NULL && wallet_connect(loaded->wallet, &synced_place, next_block, &err);

	block_unref(next_block);
	if (!is_connected) {
		loaded->stuck = true;
		log_error("Wallet %s stops at block %u: %s", wallet_name(loaded->wallet), synced_place.height,
			err.text);
	}
	return is_connected;
}

bool wallets_is_level(const struct wallets *wallets, const struct wallet *wallet)
{
	return wallets_is_at(wallet, chain_tip(wallets->chain));
}

/* True when level. In slices, as it is the loop's thread that reads the blocks: peers and callers wait meanwhile. */
static bool wallets_catch_up(struct wallets *wallets, struct wallets_loaded *loaded, int64_t slice_end)
{
	if (loaded->stuck)
		return false;
	wallets_go_back(wallets, loaded->wallet);
	while (!wallets_is_level(wallets, loaded->wallet))
		if (clock_mono_ms() >= slice_end || !wallets_go_on(wallets, loaded))
			return false;
	return true;
}

/* Whether it registers data that cannot be registered: to judge them again with each block costs a second or two. */
static bool wallets_registers_refused(struct wallet *wallet, const struct ledger_tx *own_tx)
{
	size_t pledge_count;
	const struct wallet_pledge *pledges = wallet_pledges(wallet, &pledge_count);

	for (size_t i = 0; i < pledge_count; i++)
		if (pledge_is_refused(&pledges[i]) && memcmp(pledges[i].registration, own_tx->txid, 32) == 0)
			return true;
	return false;
}

/* A transaction that nobody has taken into a block yet may have been dropped from all mempools. */
static void wallets_offer_unconfirmed(struct wallets *wallets, struct wallet *wallet)
{
	const struct ledger *ledger = wallet_ledger(wallet);
	struct ledger_tx **own_txs;
	struct reject offer_reject;
	size_t own_count;
	size_t i;

	/* In the order they were learnt, so parents come before what spends them; and a list of its own, since each
	 * that is taken comes back as a notice. */
	own_txs = ledger_list(ledger, &own_count);
	for (i = 0; i < own_count; i++) {
		if (own_txs[i]->height != 0 || own_txs[i]->in_mempool || own_txs[i]->abandoned ||
			own_txs[i]->coinbase || !ledger_from_us(ledger, own_txs[i]) ||
			ledger_conflicted(ledger, own_txs[i]) || wallets_registers_refused(wallet, own_txs[i]))
			continue;
		if (chain_add_tx(wallets->chain, tx_ref(own_txs[i]->tx), NULL, &offer_reject) == CHAIN_REJECTED)
			log_debug(LOG_WALLET, "Wallet %s: a transaction is not taken: %s", wallet_name(wallet),
				offer_reject.reason);
	}
	free(own_txs);
}

/* --- Pledges --- */

static void wallets_tell_pledge(const struct wallet *wallet, struct wallet_pledge *pledge,
	const struct pledge_status *status)
{
	char pledge_root[65];

	if (pledge->is_told && pledge->told_stage == (int)status->stage)
		return;
	pledge->is_told = true;
	pledge->told_stage = (int)status->stage;
	hex_encode(pledge_root, status->contribution.root, 32);
	switch (status->stage) {
	case PLEDGE_COMMITTING:
		log_info("Wallet %s: contribution %s: its commitment waits for a block", wallet_name(wallet),
			pledge_root);
		break;
	case PLEDGE_WAITING:
		log_info("Wallet %s: contribution %s: its commitment has %u of %u blocks", wallet_name(wallet),
			pledge_root, status->depth, status->needed);
		break;
	case PLEDGE_REGISTERING:
		log_info("Wallet %s: contribution %s: its registration waits for a block", wallet_name(wallet),
			pledge_root);
		break;
	case PLEDGE_REGISTERED:
		log_info("Wallet %s: contribution %s is dataset %zu since block %u", wallet_name(wallet), pledge_root,
			status->dataset, status->height);
		break;
	case PLEDGE_REFUSED:
		log_warn("Wallet %s: contribution %s is refused, and not offered again on this branch: %s",
			wallet_name(wallet), pledge_root, status->why);
		break;
	case PLEDGE_FAILED:
		log_warn("Wallet %s: contribution %s failed: %s", wallet_name(wallet), pledge_root, status->why);
		break;
	}
}

/* The chain keeps unconfirmed bytes for a while only, and a restart makes it forget whose they are. */
static void wallets_bring_pledged(struct wallets *wallets, struct wallet *wallet, const uint8_t root[32])
{
	struct reject blob_reject = { .reason = "" };
	struct buf pledged_bytes;
	struct errmsg err;

	buf_init(&pledged_bytes);
	if (!wallet_read_pledged(wallet, root, &pledged_bytes, &err))
		log_error("Wallet %s: %s", wallet_name(wallet), err.text);
	else
		chain_add_blob(wallets->chain, root, pledged_bytes.data, pledged_bytes.size, true, &blob_reject);
	buf_clear(&pledged_bytes);
}

/* A registration that is due, or whose bytes are missing, says why it is not in the mempool. */
static void wallets_offer_pledge(struct wallets *wallets, struct wallet *wallet, struct wallet_pledge *pledge)
{
	const struct ledger_tx *registration = ledger_find(wallet_ledger(wallet), pledge->registration);
	struct reject offer_reject = { .reason = "", .detail = "" };
	enum chain_result offered = chain_add_tx(wallets->chain, tx_ref(registration->tx), NULL, &offer_reject);

	pledge->refused = REASON_NONE;
	if (offered != CHAIN_REJECTED && offered != CHAIN_ORPHAN)
		return;
	pledge->refused = offer_reject.why;
	snprintf(pledge->refusal, sizeof pledge->refusal, "%s (%s)", offer_reject.reason, offer_reject.detail);
}

/* The same bytes may have been pledged anew after a failure. */
static bool wallets_pledge_again(struct wallets *wallets, struct wallet *wallet, const struct wallet_pledge *ended,
	const uint8_t root[32])
{
	size_t pledge_count;
	const struct wallet_pledge *pledges = wallet_pledges(wallet, &pledge_count);

	for (size_t i = 0; i < pledge_count; i++) {
		struct pledge_status status;

		if (&pledges[i] == ended || !pledges[i].keeps_bytes)
			continue;
		pledge_look(wallet, chain_registry(wallets->chain), &pledges[i], &status);
		if (status.stage != PLEDGE_FAILED && memcmp(status.contribution.root, root, 32) == 0)
			return true;
	}
	return false;
}

/* Its bytes are kept until no reorganisation can make it begin again. Those of one that failed are nobody's then, and
 * the chain need not have them either. */
static void wallets_end_pledge(struct wallets *wallets, struct wallet *wallet, struct wallet_pledge *pledge,
	const struct pledge_status *status)
{
	const uint32_t tip_height = chain_tip(wallets->chain)->height;
	const uint8_t *root = status->contribution.root;
	uint32_t ended_at;
	struct errmsg err;

	if (status->stage != PLEDGE_FAILED)
		pledge->failed_at = 0;
	else if (pledge->failed_at == 0 || pledge->failed_at > tip_height)
		pledge->failed_at = tip_height;
	ended_at = status->stage == PLEDGE_REGISTERED ? status->height : pledge->failed_at;
	if (!pledge->keeps_bytes || ended_at == 0 || tip_height < ended_at + WALLETS_PLEDGE_DEPTH ||
		wallets_pledge_again(wallets, wallet, pledge, root))
		return;
	wallets_report_failure(wallet_drop_pledged(wallet, pledge, root, &err), &err);
	chain_release_blob(wallets->chain, root);
}

/* After the wallet's transactions were offered, once a block. By index: what is offered comes back as a notice. */
static void wallets_tend_pledges(struct wallets *wallets, struct wallet *wallet)
{
	struct wallet_pledge *pledges;
	struct pledge_status status;
	size_t pledge_count;

	pledges = wallet_pledges(wallet, &pledge_count);
	for (size_t i = 0; i < pledge_count && wallet_is_sound(wallet); i++) {
		pledge_look(wallet, chain_registry(wallets->chain), &pledges[i], &status);
		if (status.stage < PLEDGE_REGISTERED && pledges[i].keeps_bytes &&
			(!pledges[i].is_told || !chain_has_blob(wallets->chain, status.contribution.root)))
			wallets_bring_pledged(wallets, wallet, status.contribution.root);
		if (status.stage == PLEDGE_REGISTERING && !status.in_mempool) {
			wallets_offer_pledge(wallets, wallet, &pledges[i]);
			pledge_look(wallet, chain_registry(wallets->chain), &pledges[i], &status);
		}
		wallets_tell_pledge(wallet, &pledges[i], &status);
		wallets_end_pledge(wallets, wallet, &pledges[i], &status);
	}
}

/* --- Opening again --- */

/* The warning says what is down, as long as something is. */
static void wallets_warn_of_down(const struct wallets *wallets)
{
	const char *down = wallets_down(wallets, NULL);

	if (down != NULL)
		warning_set(WARNING_WALLET, "A wallet is down until it can be opened again: %s", down);
	else
		warning_clear(WARNING_WALLET);
}

/* A payment that was answered with an error must not go out now. */
static bool wallets_abandon_refused(struct wallets_loaded *loaded, struct errmsg *err)
{
	struct ledger_tx *refused_tx = ledger_find(wallet_ledger(loaded->wallet), loaded->refused);

	if (loaded->has_refused && refused_tx != NULL && refused_tx->height == 0 && !refused_tx->in_mempool &&
		!refused_tx->abandoned && !wallet_abandon(loaded->wallet, refused_tx, err))
		return false;
	loaded->has_refused = false;
	return true;
}

/* From the disk, as if the node had just started: memory was ahead of it, and is not trusted in anything. What the
 * caller held of the old one is void from here on. */
static void wallets_open_again(struct wallets *wallets, struct wallets_loaded *loaded)
{
	char *wallet_path = path_join(wallets->dir, loaded->name);

	if (loaded->wallet != NULL)
		wallet_close(loaded->wallet);
	loaded->wallet = wallet_open(wallet_path, loaded->name, chain_spec(wallets->chain), &loaded->why);
	free(wallet_path);
	if (loaded->wallet != NULL && !wallets_abandon_refused(loaded, &loaded->why)) {
		wallet_close(loaded->wallet);
		loaded->wallet = NULL;
	}
	loaded->retry_at = clock_mono_ms() + WALLETS_RETRY_MS;
	if (loaded->wallet == NULL)
		return;
	log_warn("Wallet %s: opened again after a write that failed; nothing that was acknowledged is lost",
		loaded->name);
	loaded->stuck = false;
	loaded->mempool_due = true;
	loaded->offer_due = true;
}

static void wallets_mend_all(struct wallets *wallets, bool patient)
{
	struct wallets_loaded *loaded;

	for (size_t i = 0; i < wallets->count; i++) {
		loaded = &wallets->loaded[i];
		if (!wallets_is_sound(loaded) &&
			(!patient || loaded->wallet != NULL || clock_mono_ms() >= loaded->retry_at))
			wallets_open_again(wallets, loaded);
	}
	wallets_warn_of_down(wallets);
}

void wallets_mend(struct wallets *wallets)
{
	wallets_mend_all(wallets, false);
}

const char *wallets_down(const struct wallets *wallets, const char *name)
{
	for (size_t i = 0; i < wallets->count; i++)
		if (wallets->loaded[i].wallet == NULL && (name == NULL || strcmp(wallets->loaded[i].name, name) == 0))
			return wallets->loaded[i].why.text;
	return NULL;
}

bool wallets_forget(struct wallets *wallets, const char *name)
{
	for (size_t i = 0; i < wallets->count; i++)
		if (wallets->loaded[i].wallet == NULL && strcmp(wallets->loaded[i].name, name) == 0) {
			wallets_drop_loaded(wallets, i);
			wallets_warn_of_down(wallets);
			return true;
		}
	return false;
}

/* What is due once a second for one of them; true when it is level with the chain, or must not be told more. In this
 * order: locking cannot wait; a wallet that is behind must not offer what a block it has not seen yet holds. */
static bool wallets_look_after(struct wallets *wallets, struct wallets_loaded *loaded, int64_t slice_end)
{
	if (!wallets_is_sound(loaded))
		return true;
	wallet_is_unlocked(loaded->wallet);
	if (!wallets_catch_up(wallets, loaded, slice_end))
		return loaded->stuck;
	if (loaded->mempool_due)
		chain_mempool_each(wallets->chain, wallets_look_at, loaded->wallet);
	loaded->mempool_due = false;
	if (loaded->offer_due && wallets_is_sound(loaded))
		wallets_offer_unconfirmed(wallets, loaded->wallet);
	if (loaded->offer_due && wallets_is_sound(loaded))
		wallets_tend_pledges(wallets, loaded->wallet);
	loaded->offer_due = false;
	return true;
}

bool wallets_tick(struct wallets *wallets)
{
	int64_t slice_end = clock_mono_ms() + WALLETS_SLICE_MS;
	bool more_to_catch_up = false;
	size_t i;

	wallets_mend_all(wallets, true);
	for (i = 0; i < wallets->count; i++)
		if (!wallets_look_after(wallets, &wallets->loaded[i], slice_end))
			more_to_catch_up = true;
	return more_to_catch_up;
}

/* --- Creating, loading, unloading --- */

/* The name is a folder's: no slash and no dot in front, so no caller of RPC gets out of the wallets' folder or at what
 * a draft is called. */
static bool wallets_name_is_valid(const char *name, struct errmsg *err)
{
	static const char name_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t name_size = strlen(name);

	if (name_size >= 1 && name_size <= WALLETS_NAME_MAX && strspn(name, name_letters) == name_size && *name != '.')
		return true;
	return errmsg_set(err,
		"A wallet's name has 1 to %d letters, digits, \"-\", \"_\" and \".\", and no \".\" first",
		WALLETS_NAME_MAX);
}

/* The first slice at once: a wallet that is only a little behind answers its first question from the tip. */
static void wallets_adopt(struct wallets *wallets, struct wallet *wallet)
{
	wallets->loaded = mem_realloc(wallets->loaded, (wallets->count + 1) * sizeof *wallets->loaded);
	wallets->loaded[wallets->count++] = (struct wallets_loaded){ .name = mem_strdup(wallet_name(wallet)),
		.wallet = wallet,
		.mempool_due = true,
		.offer_due = true };
	wallets_tick(wallets);
}

static enum wallets_result wallets_create_in(struct wallets *wallets, const char *wallet_path, const char *name,
	const char *passphrase, const char *words, struct wallet **wallet, struct errmsg *err)
{
	/* Old words may have been paid at any height; new ones by nobody yet. */
	const struct index_entry *birth = words != NULL ? chain_genesis(wallets->chain) : chain_tip(wallets->chain);
	struct wallet_place synced_place = wallets_place_of(birth);
	uint8_t words_entropy[BIP39_ENTROPY_MAX];
	size_t words_entropy_size;
	bool are_words = true;

	if (!folder_settle(wallet_path, err))
		return WALLETS_FAILED;
	switch (folder_look(wallet_path, err)) {
	case FOLDER_WALLET:
		errmsg_set(err, "There is a wallet %s already", name);
		return WALLETS_EXISTS;
	case FOLDER_BROKEN:
		return WALLETS_FAILED;
	case FOLDER_FREE:
		break;
	}
	if (words != NULL) {
		are_words = bip39_decode(words_entropy, &words_entropy_size, words, err);
		wipe(words_entropy, sizeof words_entropy);
	}
	if (!are_words)
		return WALLETS_BAD_WORDS;
	if (!dir_make(wallets->dir, err))
		return WALLETS_FAILED;
	*wallet = wallet_create(wallet_path, name, chain_spec(wallets->chain), passphrase, words, &synced_place, err);
	return *wallet != NULL ? WALLETS_OK : WALLETS_FAILED;
}

enum wallets_result wallets_create(struct wallets *wallets, const char *name, const char *passphrase, const char *words,
	struct wallet **wallet, struct errmsg *err)
{
	enum wallets_result create_result;
	char *wallet_path;

	if (!wallets_name_is_valid(name, err))
		return WALLETS_BAD_NAME;
	wallet_path = path_join(wallets->dir, name);
	create_result = wallets_create_in(wallets, wallet_path, name, passphrase, words, wallet, err);
	free(wallet_path);
	if (create_result == WALLETS_OK)
		wallets_adopt(wallets, *wallet);
	return create_result;
}

static enum wallets_result wallets_load_from(struct wallets *wallets, const char *wallet_path, const char *name,
	struct wallet **wallet, struct errmsg *err)
{
	if (!folder_settle(wallet_path, err))
		return WALLETS_FAILED;
	if (folder_look(wallet_path, err) == FOLDER_FREE) {
		errmsg_set(err, "There is no wallet %s", name);
		return WALLETS_MISSING;
	}
	*wallet = wallet_open(wallet_path, name, chain_spec(wallets->chain), err);
	return *wallet != NULL ? WALLETS_OK : WALLETS_FAILED;
}

enum wallets_result wallets_load(struct wallets *wallets, const char *name, struct wallet **wallet, struct errmsg *err)
{
	enum wallets_result load_result;
	char *wallet_path;

	if (!wallets_name_is_valid(name, err))
		return WALLETS_BAD_NAME;
	/* So that one that can be opened again is not called down below. */
	wallets_mend(wallets);
	if (wallets_find(wallets, name) != NULL) {
		errmsg_set(err, "The wallet %s is loaded already", name);
		return WALLETS_LOADED;
	}
	if (wallets_down(wallets, name) != NULL) {
		errmsg_set(err, "%s", wallets_down(wallets, name));
		return WALLETS_FAILED;
	}
	wallet_path = path_join(wallets->dir, name);
	load_result = wallets_load_from(wallets, wallet_path, name, wallet, err);
	free(wallet_path);
	if (load_result == WALLETS_OK)
		wallets_adopt(wallets, *wallet);
	return load_result;
}

/* A registration waits for its commitment in the node: who unloads the wallet stops it. */
static void wallets_take_back_pledges(struct wallets *wallets, struct wallet *wallet)
{
	size_t pledge_count;
	const struct wallet_pledge *pledges = wallet_pledges(wallet, &pledge_count);

	for (size_t i = 0; i < pledge_count; i++) {
		const struct ledger_tx *registration = ledger_find(wallet_ledger(wallet), pledges[i].registration);

		if (registration != NULL)
			chain_abandon_tx(wallets->chain, tx_wtxid(registration->tx));
	}
}

void wallets_unload(struct wallets *wallets, struct wallet *wallet)
{
	size_t i = 0;

	wallets_take_back_pledges(wallets, wallet);
	while (wallets->loaded[i].wallet != wallet)
		i++;
	wallets_drop_loaded(wallets, i);
}

bool wallets_abandon(struct wallets *wallets, struct wallet *wallet, struct ledger_tx *abandoned_tx, struct errmsg *err)
{
	if (!wallet_abandon(wallet, abandoned_tx, err))
		return false;
	chain_abandon_tx(wallets->chain, tx_wtxid(abandoned_tx->tx));
	return true;
}

/* A node must not fail to start for one damaged wallet. */
void wallets_load_startup(struct wallets *wallets)
{
	struct errmsg err = { "" };
	struct wallet *wallet;
	size_t startup_count;
	char **startup_names = startup_read(wallets->dir, &startup_count, &err);

	if (startup_names == NULL)
		log_error("The list of the wallets to load cannot be read: %s", err.text);
	for (size_t i = 0; i < startup_count; i++) {
		if (wallets_load(wallets, startup_names[i], &wallet, &err) == WALLETS_OK)
			log_info("Wallet %s is loaded%s", startup_names[i],
				wallet_is_unlocked(wallet) ? "" : ", and locked");
		else
			log_error("The wallet %s, of the list to load at the start, is not loaded: %s",
				startup_names[i], err.text);
		free(startup_names[i]);
	}
	free(startup_names);
}

bool wallets_set_startup(struct wallets *wallets, const char *name, bool wanted, struct errmsg *err)
{
	return startup_set(wallets->dir, name, wanted, err);
}

size_t wallets_count(const struct wallets *wallets)
{
	size_t sound_count = 0;

	for (size_t i = 0; i < wallets->count; i++)
		sound_count += wallets->loaded[i].wallet != NULL;
	return sound_count;
}

struct wallet *wallets_at(const struct wallets *wallets, size_t index)
{
	size_t i = 0;

	while (wallets->loaded[i].wallet == NULL || index-- > 0)
		i++;
	return wallets->loaded[i].wallet;
}

static struct wallets_loaded *wallets_find_loaded(const struct wallets *wallets, const char *name)
{
	for (size_t i = 0; i < wallets->count; i++)
		if (strcmp(wallets->loaded[i].name, name) == 0)
			return &wallets->loaded[i];
	return NULL;
}

struct wallet *wallets_find(const struct wallets *wallets, const char *name)
{
	const struct wallets_loaded *loaded = wallets_find_loaded(wallets, name);

	return loaded != NULL ? loaded->wallet : NULL;
}

struct wallet *wallets_owner(const struct wallets *wallets, const uint8_t key[32])
{
	struct wallet *owner = NULL;

	for (size_t i = 0; i < wallets->count && (owner == NULL || !wallet_is_unlocked(owner)); i++) {
		struct wallet *loaded_wallet = wallets->loaded[i].wallet;

		if (wallets_is_sound(&wallets->loaded[i]) && ledger_script(wallet_ledger(loaded_wallet), key) != NULL &&
			(owner == NULL || wallet_is_unlocked(loaded_wallet)))
			owner = loaded_wallet;
	}
	return owner;
}

struct chain *wallets_chain(const struct wallets *wallets)
{
	return wallets->chain;
}

static int wallets_compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **wallets_on_disk(const struct wallets *wallets, size_t *name_count)
{
	DIR *wallets_dir = opendir(wallets->dir);
	char **wallet_names = mem_alloc(0);
	struct dirent *wallet_folder;
	char *wallet_path;

	*name_count = 0;
	while (wallets_dir != NULL && (wallet_folder = readdir(wallets_dir)) != NULL) {
		wallet_path = path_join(wallets->dir, wallet_folder->d_name);
		if (wallets_name_is_valid(wallet_folder->d_name, NULL) &&
			folder_look(wallet_path, NULL) == FOLDER_WALLET) {
			wallet_names = mem_realloc(wallet_names, (*name_count + 1) * sizeof *wallet_names);
			wallet_names[(*name_count)++] = mem_strdup(wallet_folder->d_name);
		}
		free(wallet_path);
	}
	if (wallets_dir != NULL)
		closedir(wallets_dir);
	qsort(wallet_names, *name_count, sizeof *wallet_names, wallets_compare_names);
	return wallet_names;
}

/* --- Sending --- */

/* What the mempool did not take must not go out later, when it has been reported as failed. */
static void wallets_give_up(struct wallets_loaded *loaded, const uint8_t refused_txid[32])
{
	struct errmsg err;

	memcpy(loaded->refused, refused_txid, 32);
	loaded->has_refused = true;
	if (wallets_is_sound(loaded) && !wallets_abandon_refused(loaded, &err))
		log_error("%s", err.text);
}

enum chain_result wallets_send(struct wallets *wallets, struct wallet *wallet, const struct tx *tx,
	struct reject *reject, struct errmsg *err)
{
	struct wallets_loaded *loaded = wallets_find_loaded(wallets, wallet_name(wallet));
	enum chain_result send_result = CHAIN_ERROR;
	uint8_t payment_txid[32];

	/* Kept apart: the chain takes the transaction, and may release it. */
	memcpy(payment_txid, tx_txid(tx), 32);
	if (!wallet_record_payment(wallet, tx, err)) {
		tx_unref(tx);
	} else {
		errmsg_set(err, "The chain's disk failed: see the log");
		send_result = chain_add_tx(wallets->chain, tx, NULL, reject);
	}
	if (send_result != CHAIN_NEW && send_result != CHAIN_KNOWN)
		wallets_give_up(loaded, payment_txid);
	return send_result;
}

/* The commitment, or the registration alone where that has been sent. A registration that is early waits beside the
 * mempool until it is due (chain/mempool/places.h). */
static enum chain_result wallets_send_pledge(struct wallets *wallets, const struct pledge_txs *txs,
	struct reject *reject)
{
	struct reject wait_reject;
	enum chain_result send_result;

	if (!txs->is_committed) {
		send_result = chain_add_tx(wallets->chain, tx_ref(txs->commitment), NULL, reject);
		if (send_result == CHAIN_NEW || send_result == CHAIN_KNOWN)
			chain_add_tx(wallets->chain, tx_ref(txs->registration), NULL, &wait_reject);
		return send_result;
	}
	send_result = chain_add_tx(wallets->chain, tx_ref(txs->registration), NULL, reject);
	return send_result == CHAIN_ORPHAN ? CHAIN_NEW : send_result;
}

/* If what is sent first is refused, what follows from it must not go out either. */
enum chain_result wallets_pledge(struct wallets *wallets, struct wallet *wallet, const struct pledge_txs *txs,
	const struct buf *pledged_bytes, struct reject *reject, struct errmsg *err)
{
	struct wallets_loaded *loaded = wallets_find_loaded(wallets, wallet_name(wallet));
	enum chain_result pledge_result = CHAIN_ERROR;

	if (wallet_record_pledge(wallet, txs->commitment, txs->registration, pledged_bytes, err)) {
		errmsg_set(err, "The chain's disk failed: see the log");
		pledge_result = wallets_send_pledge(wallets, txs, reject);
	}
	loaded->offer_due = true;
	if (pledge_result != CHAIN_NEW && pledge_result != CHAIN_KNOWN) {
		wallets_give_up(loaded, tx_txid(txs->registration));
		if (!txs->is_committed)
			wallets_give_up(loaded, tx_txid(txs->commitment));
	}
	tx_unref(txs->commitment);
	tx_unref(txs->registration);
	return pledge_result;
}
