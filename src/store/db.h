/* The database: a thin layer over LevelDB.
 *
 * Keys and values are bytes. What belongs together goes into one batch, which is written whole or not at all, whatever
 * kills the process. Every failure names the folder and LevelDB's reason. The keys of the chain's one database,
 * `chainstate/`, begin with a byte of enum db_prefix:
 *
 *   b <block id 32>              index entry (chain/index.h)
 *   c <txid 32> <u32 index>      unspent coin (chain/coins.h)
 *   x <txid 32>                  id of the block of the active chain that holds the transaction
 *   p <proof id 32>              id of the block of the active chain that holds the proof, u32 its place: 0 the own one
 *   n <blob root 32>             samples of a blob that a verified block registers, u64 each (chain/novelty/samples.h)
 *   s <sample, u64 big-endian> <u32 number>   that dataset of the active chain has the sample
 *   r <kind> <u32 big-endian>    a slice of the registry after the tip (consensus/branch/slices.h)
 *   a <u32 height of the base, big-endian> <key 32>   u8 verdict on a segment of a run (chain/verify/audits.h)
 *   d <blob root 32>             of a run: u32 height of the last block that names it (chain/model/prune.h)
 *   u                            what is pruned: u32 height up to which it goes, u32 height up to which it has gone
 *   t                            tip: its id, then how many coins there are and their sum */
#ifndef ATELIER_STORE_DB_H
#define ATELIER_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/error.h"

enum db_prefix {
	DB_INDEX = 'b',
	DB_COIN = 'c',
	DB_TX = 'x',
	DB_PROOF = 'p',
	DB_REGISTRY = 'r',
	DB_TIP = 't',
	DB_NOVELTY = 'n',
	DB_SAMPLE = 's',
	DB_ROUND_BLOB = 'd',
	DB_AUDIT = 'a',
	DB_PRUNED = 'u',
};

struct db;

/* Opens the database, made if missing. NULL on failure. */
struct db *db_open(const char *path, struct errmsg *err);
/* The same, but one that is missing is a failure. */
struct db *db_open_existing(const char *path, struct errmsg *err);
void db_close(struct db *db);
/* Whether files of a database are in the folder, even if what names them (CURRENT) is lost: db_open would begin a new
 * one over them. True where nobody can look, too. */
bool db_has_files(const char *path);
/* Whether an error of this module tells of files that are damaged or lost, not of a disk, a permission or a limit. */
bool db_is_damage(const struct errmsg *err);
/* Removes a closed database; one that is missing is no failure. */
bool db_destroy(const char *path, struct errmsg *err);

enum db_result { DB_FOUND, DB_MISSING, DB_FAILED };

/* Appends the value to `value`. */
enum db_result db_get(struct db *db, const void *key, size_t key_size, struct buf *value, struct errmsg *err);

/* Calls visit for every key that begins with the prefix, ascending, until visit returns false. Key and value are
 * borrowed. False on a read failure, or if visit returned false: then err is what visit left there. */
typedef bool db_visit(void *visit_context, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size,
	struct errmsg *err);
bool db_each(struct db *db, const void *key_prefix, size_t key_prefix_size, db_visit *visit, void *visit_context,
	struct errmsg *err);

/* The same for many prefixes of one size, one after the other with one walk: `next` writes the prefix number i of
 * `count` to prefix_out, ascending. May run beside other threads' writes, of which it sees all or none.
 */
typedef void db_next_prefix(void *visit_context, size_t i, uint8_t *prefix_out);
enum { DB_PREFIX_MAX = 64 };
bool db_each_of(struct db *db, size_t prefix_size, size_t count, db_next_prefix *next, db_visit *visit,
	void *visit_context, struct errmsg *err);

struct db_batch;

struct db_batch *db_batch_new(void);
void db_batch_free(struct db_batch *batch);
void db_batch_put(struct db_batch *batch, const void *key, size_t key_size, const void *value, size_t value_size);
void db_batch_delete(struct db_batch *batch, const void *key, size_t key_size);

/* Writes the batch atomically; with sync it survives a power loss from the return on, and so does all written before.
 *
 * A write that fails may leave half a record at the end of the log: whatever came after it would be lost, and the
 * database refused, at the next opening. So it is the last one: from then on every write fails and says why, until the
 * database has been closed and opened again, which keeps everything that was acknowledged. Whether the failed batch is
 * then there or not is not known: one that was written and could not be synced may be. */
bool db_write(struct db *db, const struct db_batch *batch, bool sync, struct errmsg *err);

/* Whether no write has failed. */
bool db_is_sound(const struct db *db);

#endif
