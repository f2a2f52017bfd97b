// Keys, ranked by what they earned.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { amount, count, plural } from "../format.js";
import { address_link, explain, head, table } from "../parts.js";

const PAGE = 50;
const some = (value) => value > 0 ? amount(value, 2) : "";

// What a key gave, for a card on the first view.
export const PEOPLE_SHORT = [
	{ name: "key", class: "wide", of: (person) => [address_link(person.address),
		person.own && h("span.dim", " this node")] },
	{ name: "proofs", class: "n", of: (person) => count(person.proofs) },
	{ name: "runs", class: "n", of: (person) => count(person.runs.merged) },
	{ name: "earned", class: "n", of: (person) => amount(person.earned, 2) },
];

const COLUMNS = [
	PEOPLE_SHORT[0],
	{ name: "blocks", class: "n hide-narrow", of: (person) => count(person.blocks) },
	{ name: "proofs", class: "n", of: (person) => count(person.proofs) },
	{ name: "late", class: "n hide-narrow", of: (person) => person.late > 0 ? count(person.late) : "" },
	{ name: "runs merged", class: "n hide-narrow", of: (person) => count(person.runs.merged) },
	{ name: "left out", class: "n hide-narrow", of: (person) => count(person.runs["left out"]) },
	{ name: "struck", class: "n hide-narrow", of: (person) =>
		h("span", { class: person.runs.struck > 0 ? "bad" : "" }, count(person.runs.struck)) },
	{ name: "for proofs", class: "n hide-narrow", of: (person) => some(person.paid_proofs) },
	{ name: "for runs", class: "n hide-narrow", of: (person) => some(person.paid_runs) },
	{ name: "for data", class: "n hide-narrow", of: (person) => some(person.paid_data) },
	{ name: "earned", class: "n", of: (person) => amount(person.earned, 2) },
];

// The index behind these figures may not have caught up yet.
export function say_incomplete(found) {
	return !found.complete && h("p.quiet.gap", `As of block ${count(found.height)}: the node is still reading its blocks.`);
}

export async function show(view) {
	const body = h("div"), more = h("div.more");
	let listed = [];

	async function extend() {
		try {
			const found = await get(`contributors?count=${PAGE}&skip=${listed.length}`, view.signal);

			listed = [...listed, ...found.contributors];
			fill(body, table(COLUMNS, listed, { empty: "Nobody has earned anything yet." }), say_incomplete(found));
			fill(more, listed.length < found.count &&
				h("button", { type: "button", onclick: extend }, `More of ${plural(found.count, "key")}`));
		} catch (error) {
			if (!view.signal.aborted)
				fill(body, explain(error));
		}
	}
	await extend();
	return { title: "People", content: [
		head("People and machines", "Keys that gave something, and what they were paid for proofs, runs and data. One person may have many."),
		h("section.card", body, more)] };
}
