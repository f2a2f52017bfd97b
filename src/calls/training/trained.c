/* What the model was trained on: the registry's counts, and the tip's, which no coinbase has stated yet. */
#include "calls/training/trained.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/address.h"
#include "util/bytes.h"
#include "util/mem.h"

/* Slots of the tip that had this dataset and a proof. */
static uint64_t trained_by_tip(const struct index_entry *tip, size_t dataset_number)
{
	struct block_outcome tip_outcome;
	uint64_t tip_slots = 0;

	chain_outcome(tip, &tip_outcome);
	for (uint32_t i = 0; tip->height > 0 && !tip_outcome.outcome.is_void && i < tip_outcome.outcome.slots; i++)
		tip_slots += tip_outcome.outcome.slot[i].count > 0 && tip_outcome.dataset[i] == dataset_number;
	return tip_slots;
}

static void trained_add(struct trained *trained, const struct spec *spec, const struct dataset *dataset, uint64_t slots)
{
	struct tensorfile_dataset *added = &trained->datasets[trained->count++];

	hex_encode(added->root, dataset->root, 32);
	snprintf(added->licence, sizeof added->licence, "%s", dataset->licence);
	snprintf(added->title, sizeof added->title, "%s", dataset->title);
	/* The corpus, which was never registered, has no owner. */
	if (dataset->height > 0)
		address_from_key(added->owner, spec->hrp, dataset->owner);
	added->bytes = dataset->size;
	added->slots = slots;
	trained->slots += slots;
}

void trained_gather(const struct chain *chain, struct trained *trained)
{
	const struct registry *registry = chain_registry(chain);
	const size_t registered_count = registry_count(registry);

	*trained = (struct trained){ .datasets = mem_calloc(registered_count, sizeof *trained->datasets) };
	for (size_t i = 0; i < registered_count; i++) {
		const struct dataset *dataset = registry_get(registry, i);
		uint64_t slots = dataset->total_draws + trained_by_tip(chain_tip(chain), i);

		if (slots > 0)
			trained_add(trained, chain_spec(chain), dataset, slots);
	}
}

void trained_clear(struct trained *trained)
{
	free(trained->datasets);
}

json_t *trained_show(const struct trained *trained, size_t skip, size_t count)
{
	json_t *datasets_shown = json_array();

	for (size_t i = skip; i < trained->count && i - skip < count; i++) {
		const struct tensorfile_dataset *dataset = &trained->datasets[i];

		json_array_append_new(datasets_shown,
			json_pack("{s:s,s:o,s:s,s:s,s:I,s:I,s:o}", "root", dataset->root, "title",
				json_text(dataset->title, strlen(dataset->title)), "owner", dataset->owner, "licence",
				dataset->licence, "bytes", (json_int_t)dataset->bytes, "slots",
				(json_int_t)dataset->slots, "share",
				json_fixed((int64_t)(dataset->slots * 1000000 / trained->slots), 6)));
	}
	return datasets_shown;
}
