// One key: what it has, what it gave and was paid for, what went in and out.

import { get, path_of } from "../api.js";
import { fill, h } from "../dom.js";
import { amount, count, moment, plural } from "../format.js";
import { block_link, card, dataset_link, explain, facts, head, span, table, tx_link, whole } from "../parts.js";
import { say_incomplete } from "./people.js";

const PAGE = 50;
const DATASETS = 50;

const TRANSACTIONS = [
	{ name: "transaction", of: (one) => tx_link(one.txid) },
	{ name: "block", class: "n", of: (one) => block_link(one.height) },
	{ name: "when", class: "dim hide-narrow", of: (one) => moment(one.time) },
	{ name: "note", class: "wide", of: (one) => one.lost ?
		h("span.bad", "struck: what a block had paid is lost") : "" },
	{ name: "amount", class: "n", of: (one) => h("span",
		{ class: one.amount > 0 ? "good" : "", title: amount(one.amount, 8) }, signed(one.amount)) },
];

const signed = (value) => (value > 0 ? "+" : "") + amount(value, 4);

function given(found) {
	const { runs } = found;

	return facts([
		["blocks", count(found.blocks)],
		["proofs", `${count(found.proofs)}${found.late > 0 ? ` and ${count(found.late)} late` : ""}`],
		["runs", `${count(runs.merged)} merged, ${count(runs["left out"])} left out, ${count(runs.struck)} struck, ${count(runs.empty)} empty`],
		["paid for proofs", amount(found.paid_proofs)],
		["paid for runs", found.paid_runs > 0 && amount(found.paid_runs)],
		["paid for data", found.paid_data > 0 && amount(found.paid_data)],
		["lost", found.lost > 0 && h("span.bad", amount(found.lost))],
	]);
}

export async function show(view, [address]) {
	const body = h("div"), more = h("div.more");
	const ask = (skip) => get(path_of("address", address, { count: PAGE, skip }), view.signal);
	const found = await ask(0);
	let listed = found.transactions;

	async function extend() {
		try {
			listed = [...listed, ...(await ask(listed.length)).transactions];
			draw();
		} catch (error) {
			if (!view.signal.aborted)
				fill(more, explain(error));
		}
	}

	function draw() {
		fill(body, table(TRANSACTIONS, listed, { empty: "None in blocks yet." }));
		fill(more, listed.length < found.txs && h("button", { type: "button", onclick: extend }, "Older ones"));
	}
	draw();
	const has = card("What it has", h("div.big", amount(found.balance, 2), " ", h("small", "coins")), facts([
		["address", whole(found.address)], ["received", amount(found.received, 8)], ["sent", amount(found.sent, 8)],
		["whose", found.own && "a wallet of this node"]]), say_incomplete(found));
	const gave = card("What it gave", given(found));
	const owns = found.datasets.length > 0 && card(`Its data · ${plural(found.datasets.length, "dataset")}`,
		h("div.row",
		found.datasets.slice(0, DATASETS).map((number) => h("span.chip", dataset_link(number)))));
	const moved = h("section.card.s12", h("div.title", h("h2", `Transactions · ${count(found.txs)}`)), body, more);

	return { title: "Address", content: [
		head(["Address ", h("span.mono", `${address.slice(0, 12)}…${address.slice(-6)}`)], null,
			h("a.chip", { href: `api/${path_of("address", address)}` }, "JSON")),
		h("div.grid", span("s7", has), span("s5", gave), span("s12", owns), moved)] };
}
