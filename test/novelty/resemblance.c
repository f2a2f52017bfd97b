/* What files have in common, by the node's own rules, for contrib/novelty: for each file a line "alone <reason or ->
 * <samples>", then for each pair "<i> <j> <samples of i that j has>". By the spec of main. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "consensus/blob/novelty.h"
#include "util/file.h"
#include "util/mem.h"

static bool resemblance_read(const struct spec *spec, const char *path, struct novelty *novelty)
{
	struct reject reject = { .reason = "-" };
	struct errmsg err;
	struct buf bytes;

	buf_init(&bytes);
	if (!file_read(path, 1 << 24, &bytes, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return false;
	}
	if (!novelty_check(spec, bytes.data, bytes.size, novelty, &reject) &&
		!novelty_sample(novelty, bytes.data, bytes.size))
		return false;
	printf("alone %s %zu\n", reject.reason, novelty->count);
	buf_clear(&bytes);
	return true;
}

int main(int argc, char **argv)
{
	struct novelty *novelties = mem_calloc((size_t)argc, sizeof *novelties);
	struct spec spec;
	int read_count = 0;

	if (!spec_builtin(&spec, "main"))
		return EXIT_FAILURE;
	while (read_count < argc - 1 && resemblance_read(&spec, argv[read_count + 1], &novelties[read_count]))
		read_count++;
	for (int i = 0; i < read_count; i++)
		for (int j = 0; j < read_count; j++)
			if (i != j)
				printf("%d %d %zu\n", i, j, novelty_shared(&novelties[i], &novelties[j]));
	for (int i = 0; i < read_count; i++)
		novelty_clear(&novelties[i]);
	free(novelties);
	spec_clear(&spec);
	return read_count == argc - 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
