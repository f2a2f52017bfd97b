// Keys, ranked by what they earned.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { amount, count } from "../format.js";
import { address_link, explain, head, table } from "../parts.js";

const PAGE = 100;

export function people_columns() {
	return [
		{ name: "key", class: "wide", of: (person) => [address_link(person.address), person.own && h("span.dim", {}, " this node")] },
		{ name: "proofs", class: "n", of: (person) => count(person.proofs) },
		{ name: "runs", class: "n", of: (person) => count(person.runs_merged) },
		{ name: "earned", class: "n", of: (person) => amount(person.earned, 2) },
	];
}

export async function show(view) {
	const body = h("div"), more = h("div.more");
	let listed = [];

	async function extend() {
		try {
			const found = await get(`contributors?count=${PAGE}&skip=${listed.length}`, view.signal);

			listed = [...listed, ...found];
			fill(body, table(people_columns(), listed, { empty: "Nobody has earned anything yet." }));
			fill(more, found.length === PAGE && h("button", { type: "button", onclick: extend }, "More"));
		} catch (error) {
			if (!view.signal.aborted)
				fill(body, explain(error));
		}
	}
	await extend();
	return { title: "People", content: [
		head("People and machines", "Keys that were paid: for proofs, for runs, for data. One person may have many."),
		h("section.card", {}, body, more)] };
}
