// Blocks, newest first.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { amount, change, count, moment, nats, plural } from "../format.js";
import { address_link, ago, block_link, dots, explain, head, table } from "../parts.js";

const PAGE = 30;

// The loss that a block left, against what it found: lower is better.
function gain_of(block) {
	if (block.void)
		return h("span.bad", "void");
	if (block.gain === null || block.gain === undefined)
		return h("span.dim", "–");
	return h("span", { class: block.gain > 0 ? "good" : "dim" }, change(-block.gain));
}

export function tile(block, enters) {
	const merged = block.merge && `merges ${plural(block.merge.merged, "run")}`;
	const mark = !block.merge ? "" : block.merge.merged > 0 ? "merge" : "merge none";

	return h("a.tile", { href: `#/block/${block.height}`, class: `${enters ? "enter" : ""} ${mark}`,
		title: `${moment(block.time)}\n${plural(block.nTx - 1, "transaction")}` },
	h("b", count(block.height)), h("span.quiet", " ", ago(block.time)),
	block.height === 0 ? h("div.dim", "the genesis block") : [
		dots(block.slots, block.nlate),
		h("div", gain_of(block), h("span.dim", " nats")),
		h("div.dim", `paid ${amount(block.paid, 2)}`),
		merged && h("div.small", { class: mark === "merge" ? "good" : "dim" }, merged),
	]);
}

const COLUMNS = [
	{ name: "block", of: (block) => block_link(block.height) },
	{ name: "age", class: "dim", of: (block) => ago(block.time) },
	{ name: "proofs", class: "squares", of: (block) => dots(block.slots, block.nlate) },
	{ name: "loss", class: "n hide-narrow", of: (block) => nats(block.loss_after) },
	{ name: "change, nats", class: "n", of: gain_of },
	{ name: "paid", class: "n hide-narrow", of: (block) => amount(block.paid, 2) },
	{ name: "to data", class: "n hide-narrow", of: (block) => block.paid_data > 0 ? amount(block.paid_data, 2) : "" },
	{ name: "to runs", class: "n hide-narrow", of: (block) => block.paid_runs > 0 ? amount(block.paid_runs, 2) : "" },
	{ name: "transactions", class: "n hide-narrow", of: (block) => count(block.nTx) },
	{ name: "mined by", class: "hide-narrow", of: (block) => address_link(block.miner) },
	{ name: "round", class: "hide-narrow", of: (block) => block.merge ? h("span.chip", { class: block.merge.merged > 0 ? "good" : "" },
		"merge") : "" },
];

export async function show(view) {
	const body = h("div"), more = h("div.more"), section = h("section.card", body, more);
	let listed = [];

	async function extend(before) {
		try {
			const found = await get(`blocks?count=${PAGE}${before === undefined ? "" : `&before=${before}`}`,
				view.signal);

			listed = before === undefined ? found : [...listed, ...found];
			const last = listed[listed.length - 1]?.height ?? 0;

			fill(body, table(COLUMNS, listed));
			fill(more, last > 0 && h("button", { type: "button", onclick: () => extend(last) }, "Older ones"));
		} catch (error) {
			if (!view.signal.aborted)
				fill(body, explain(error));
		}
	}
	view.on(["block"], () => listed.length <= PAGE && extend());
	await extend();
	return { title: "Blocks", content: [
		head("Blocks", "Each block is proofs that somebody trained the model: a square is a training step, its colour the dataset " +
			"that the step was on. The change is that of the loss on text that is never trained on."),
		section] };
}
