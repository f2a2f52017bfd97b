// All datasets that the chain trains on.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { amount, bytes, count, nats } from "../format.js";
import { address_link, dataset_link, explain, head, table } from "../parts.js";

const PAGE = 100;

const COLUMNS = [
	{ name: "dataset", class: "wide", of: (data) => dataset_link(data.number, data.title) },
	{ name: "owner", class: "hide-narrow", of: (data) => data.owner ? address_link(data.owner) : "" },
	{ name: "licence", class: "hide-narrow clip", of: (data) => h("span", { title: data.licence }, data.licence) },
	{ name: "size", class: "n", of: (data) => bytes(data.size) },
	{ name: "draws", class: "n", of: (data) => count(data.total_draws) },
	{ name: "mean value", class: "n hide-narrow", of: (data) => nats(data.mean_value) },
	{ name: "earned", class: "n", of: (data) => data.number > 0 ? amount(data.total_paid, 2) : "" },
	{ name: "status", class: "hide-narrow", of: (data) => data.status === "quarantine" ?
		h("span.chip.bad", "quarantine") : data.status === "waiting" ?
		h("span.chip", "waiting") : "" },
];

export async function show(view) {
	const body = h("div"), more = h("div.more");
	let listed = [];

	async function extend() {
		try {
			const found = await get(`datasets?count=${PAGE}&skip=${listed.length}`, view.signal);

			listed = [...listed, ...found];
			fill(body, table(COLUMNS, listed));
			fill(more, found.length === PAGE && h("button", { type: "button", onclick: extend }, "More"));
		} catch (error) {
			if (!view.signal.aborted)
				fill(body, explain(error));
		}
	}
	await extend();
	return { title: "Data", content: [
		head("Data that taught it", "The value of a dataset is by how much a step on it improves the model on pages of it that no step trains " +
			"on; the chain pays its owner for that.", h("a.chip", { href: "#/contribute" }, "Contribute a file")),
		h("section.card", body, more)] };
}
