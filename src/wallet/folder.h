/* The folder of a wallet: there whole or not at all.
 *
 * A wallet's database is made, or rewritten, in a draft beside it, ".NAME.new" for NAME, and takes the name when it is
 * complete and synced. What had the name until then waits as ".NAME.old", and is destroyed when the new one is sure to
 * stay. So whatever ends the process, the wallet is there as it was before or as it was to be; folder_settle clears up
 * what is left of the other. No database in the folders may be open meanwhile.
 *
 * A folder that has files but not LevelDB's CURRENT is a wallet that lost a part: LevelDB would take it for none and
 * begin anew over it. Without a log it would open, and give addresses out again. It is neither opened nor overwritten:
 * what is missing must be put back. */
#ifndef ATELIER_WALLET_FOLDER_H
#define ATELIER_WALLET_FOLDER_H

#include <stdbool.h>

#include "util/error.h"

enum folder_state {
	FOLDER_FREE, /* missing, or empty */
	FOLDER_WALLET,
	FOLDER_BROKEN, /* something else: err says what */
};

enum folder_state folder_look(const char *path, struct errmsg *err);

/* The draft's path, which the caller frees. */
char *folder_draft(const char *path);

/* Settles the folder and makes an empty draft. */
bool folder_begin(const char *path, struct errmsg *err);
/* Gives the draft the name. On failure what had the name before has it still, and the draft is gone. */
bool folder_install(const char *path, struct errmsg *err);
/* Destroys the draft. */
void folder_give_up(const char *path);
/* Takes the name from what was installed last, and destroys it. */
void folder_withdraw(const char *path);

/* Puts right what a process that ended at any moment left of one wallet, or of all in the folder dir; logs what it did.
 * False: the disk's reason is in err. */
bool folder_settle(const char *path, struct errmsg *err);
void folder_settle_all(const char *dir);

/* Nobody but the owner may look into it: mode 0700, the files 0600. What cannot be changed is logged. */
void folder_make_private(const char *path);

#endif
