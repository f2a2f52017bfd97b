/* What a database holds, for contrib/replay: every key with its value, in hexadecimal, ascending, a line each. */
#include <stdio.h>
#include <stdlib.h>

#include "store/db.h"

static void put_hex(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		printf("%02x", data[i]);
}

static bool put_line(void *context, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size,
	struct errmsg *err)
{
	(void)context;
	put_hex(key, key_size);
	putchar(' ');
	put_hex(value, value_size);
	putchar('\n');
	return !ferror(stdout) || errmsg_set(err, "The output cannot be written");
}

int main(int argc, char **argv)
{
	struct errmsg err = { "" };
	struct db *db;
	bool ok;

	if (argc != 2) {
		fprintf(stderr, "usage: dump_database FOLDER\n");
		return EXIT_FAILURE;
	}
	db = db_open_existing(argv[1], &err);
	ok = db != NULL && db_each(db, "", 0, put_line, NULL, &err);
	db_close(db);
	if (ok && fflush(stdout) == 0)
		return EXIT_SUCCESS;
	fprintf(stderr, "error: %s\n", err.text);
	return EXIT_FAILURE;
}
