// The model's card: what it is, what it was trained on, under which licences, and how to have it.

import { get } from "../api.js";
import { curve_card } from "../charts.js";
import { h } from "../dom.js";
import { bytes, count, large, plural, share } from "../format.js";
import { address_link, block_link, card, colour, facts, head, span, table, whole } from "../parts.js";

const DATASETS = 1000;

function licences_of(data) {
	const found = new Map();

	for (const one of data) {
		const licence = one.licence || "the chain's own corpus";
		const sum = found.get(licence) ?? { licence, datasets: 0, share: 0 };

		found.set(licence, { licence, datasets: sum.datasets + 1, share: sum.share + one.share });
	}
	return [...found.values()].sort((a, b) => b.share - a.share);
}

const LINEAGE = [
	{ name: "dataset", class: "wide", of: (one) => h("a", { href: `#/dataset/${one.root}` },
		h("span.swatch", { class: one.colour }), h("span", one.title)) },
	{ name: "owner", class: "hide-narrow", of: (one) => one.owner ? address_link(one.owner) : "" },
	{ name: "licence", class: "hide-narrow clip", of: (one) => h("span", { title: one.licence }, one.licence) },
	{ name: "size", class: "n hide-narrow", of: (one) => bytes(one.bytes) },
	{ name: "slots", class: "n", of: (one) => count(one.slots) },
	{ name: "share", class: "n", of: (one) => share(one.share) },
];

const LICENCES = [
	{ name: "licence", class: "text", of: (one) => one.licence },
	{ name: "datasets", class: "n", of: (one) => count(one.datasets) },
	{ name: "share", class: "n", of: (one) => share(one.share) },
];

function how_to_have(model) {
	const commands = ["atelier-cli exportmodel model safetensors", "atelier-cli exportmodel model.gguf gguf",
		"atelier-cli exportmodel model-8.gguf gguf-q8_0"];

	return [
		h("p.note", "The weights are whole and open. The node writes them, with their lineage, as files for transformers (safetensors) or " +
			"llama.cpp (GGUF, with 32 or 8 bits a weight); a relative path lies in the folder exports of the chain's data:"),
		h("pre.code", { tabindex: 0 }, commands.join("\n")),
		h("p.quiet.gap", `About ${bytes(model.parameters * 4)} with 32 bits, ${bytes(model.parameters * 1.06)} with 8.`),
	];
}

function how_to_ask() {
	const commands = [`curl ${location.origin}/v1/completions -H 'Content-Type: application/json' \\`,
		"  -d '{\"prompt\": \"The \", \"max_tokens\": 100, \"temperature\": 0.8}'"];

	return [
		h("p.note", "Programs that speak OpenAI's API find the model at ", h("span.mono", `${location.origin}/v1`),
			", completions and chats, whole or in pieces. Once ", h("span.mono", "atelier-cli createapikey"),
			" has made a key, or where texts have a price, they need one."),
		h("pre.code", { tabindex: 0 }, commands.join("\n")),
	];
}

export async function show(view) {
	const model = await get(`model?count=${DATASETS}`, view.signal).catch(() => get("model", view.signal));
	const listed = await get(`datasets?count=${DATASETS}`, view.signal).catch(() => []);
	const numbers = new Map(listed.map((data) => [data.root, data.number]));
	const numbered = model.data.map((one) => ({ ...one, colour: numbers.has(one.root) ? colour(numbers.get(one.root)) : "" }));
	const sizes = card("What it is", facts([
		["after block", block_link(model.height)],
		["root", whole(model.model_root)],
		["kind", model.architecture],
		["parameters", `${large(model.parameters)} (${count(model.parameters)})`],
		["layers", count(model.layers)],
		["width", `${count(model.d)}, ${plural(model.heads, "head")}, feed-forward ${count(model.ff)}`],
		["context", `${count(model.ctx)} bytes`],
		["vocabulary", count(model.vocabulary)],
		["a training step", `${count(model.tokens_per_step)} tokens, ${bytes(model.body_bytes)} of change`],
	]), h("p.quiet.gap", "The root is a hash of all weights. Every node that has verified the chain up to this block has the same, to the last bit."));
	const lineage = card(`What it was trained on · ${plural(model.datasets, "dataset")}, ${count(model.slots)} slots`,
		h("div.bar.tall", { role: "img", "aria-label": "shares of the datasets" }, numbered.map((one) =>
			h("i", { class: one.colour, title: one.title, style: { width: `${one.share * 100}%` } }))),
		h("div.gap", table(LINEAGE, numbered)));
	const licences = card("Licences of its data", table(LICENCES, licences_of(model.data)));
	const having = card("Have it", how_to_have(model));

	return { title: "Model", content: [
		head("The model", null, h("a.chip", { href: "#/ask" }, "Ask it"), h("a.chip", { href: "api/model" }, "JSON")),
		h("div.grid", span("s6", sizes), span("s6", having), curve_card(view, "s12"), span("s12", lineage),
			span("s5", licences), span("s7", card("Ask it from programs", how_to_ask())))] };
}
