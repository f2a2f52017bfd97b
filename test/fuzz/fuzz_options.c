/* The configuration file: any bytes are read or refused with a reason that names the place. */
#include <string.h>

#include "config/datadir.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options *options = options_new(datadir_options);
	struct errmsg err = { "" };
	int64_t port;

	if (size & 1)
		options_skip_unknown(options);
	if (!options_parse_text(options, "file", (const char *)data, size, &err))
		FUZZ_PROMISE(strncmp(err.text, "file:", 5) == 0);
	options_set_section(options, "regtest");
	if (!options_int(options, "rpcport", 1, 65535, &port, &err))
		FUZZ_PROMISE(strstr(err.text, "rpcport"));
	options_free(options);
	return 0;
}

bool fuzz_seed(size_t index, struct buf *out)
{
	static const char *const texts[] = {
		"regtest=1\nrpcport = 5 # comment\n[regtest]\nrpcport=6\r\nnorpcuser=1\n",
		"[a]\nnonsense=1\n",
		"#\n\n=\n[]\n[x\nchain=test",
	};

	if (index >= sizeof texts / sizeof *texts)
		return false;
	buf_put_text(out, texts[index]);
	return true;
}
