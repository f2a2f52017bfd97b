// One proof of training: what was to be computed, by whom, and what came out, which anybody can compute again.

import { get, path_of } from "../api.js";
import { h } from "../dom.js";
import { amount, count, moment } from "../format.js";
import { address_link, again_button, ago, audited_proof, block_link, card, dataset_link, digest_cells, facts, head, span,
	whole } from "../parts.js";

export async function show(view, [id]) {
	const proof = await get(path_of("proof", id), view.signal);
	const { button, found } = again_button(view, "Execute it here", "audit/proof", { id: proof.id },
		(answer, seconds) => [
		h("dl", h("dt", "found"), h("dd.mono", answer.found_digest)), audited_proof(answer, seconds)]);
	const data = await get(path_of("dataset", proof.dataset), view.signal).catch(() => ({}));

	button.classList.add("main");
	const left = card("What was to be done", facts([
		["seed", whole(proof.seed)],
		["trained on", dataset_link(proof.dataset, data.title)],
		["slot", count(proof.slot)],
		["start", h("span", "the model before block ", block_link(proof.height))],
	]), h("p.quiet.gap", "The seed draws the dataset's slot and the windows of text in it. From there the step is fixed to the last " +
		"bit: whoever trains on the same windows from the same state gets the same change of the model, and so the same digest."));
	const right = card("Who did it", facts([
		["miner", address_link(proof.miner)],
		["when", h("span", `${moment(proof.time)} · `, ago(proof.time), " ago")],
		["block", h("span", block_link(proof.height),
			h("span.dim", proof.index === 0 ? " · its own proof" : ` · proof ${proof.index}`))],
		["confirmations", count(proof.confirmations)],
		["reward", proof.reward !== undefined && amount(proof.reward)],
		["ticket", h("span.mono", proof.ticket)],
	]));

	return { title: "Proof", content: [
		head(["Proof ", h("span.mono", proof.id.slice(0, 16))], null,
			h("a.chip", { href: `api/proof/${proof.id}` }, "JSON")),
		h("div.grid", span("s7", left), span("s5", right), span("s12", card("The digest of what came out", h("dl",
			h("dt", "stated"), h("dd", whole(proof.digest))), digest_cells(proof.digest),
		h("div.row.gap", button, h("span.quiet", "This node has executed it before it took the block. See for yourself.")), found))),
	] };
}
