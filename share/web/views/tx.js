// One transaction: whose coins went where, or what it says.

import { get, path_of } from "../api.js";
import { h } from "../dom.js";
import { amount, bytes, count } from "../format.js";
import { address_link, block_link, card, facts, head, span, table, tx_link, whole } from "../parts.js";

const contribution_of = (transaction) => transaction.vout.find((output) =>
	output.scriptPubKey.contribution)?.scriptPubKey.contribution;
const commitment_of = (transaction) => transaction.vout.find((output) =>
	output.scriptPubKey.commitment)?.scriptPubKey.commitment;

// What a transaction is for, in a few words.
export function kind_of(transaction) {
	const contribution = contribution_of(transaction), { round } = transaction;

	if (transaction.vin.some((input) => input.coinbase !== undefined))
		return "coinbase: what the block pays";
	if (round)
		return h("span", `${round.kind} of the seat of block `, block_link(round.seat));
	if (contribution)
		return h("span", "contributes ", h("b", contribution.title));
	if (commitment_of(transaction))
		return "commits to data that it does not show yet";
	return "payment";
}

function says(transaction) {
	const contribution = contribution_of(transaction), { round } = transaction;

	if (contribution)
		return card("The data that it registers", facts([
			["title", contribution.title], ["licence", contribution.licence],
				["owner", address_link(contribution.owner)],
			["size", bytes(contribution.size)], ["root",
				h("a.mono", { href: `#/dataset/${contribution.root}` }, contribution.root)],
		]));
	if (round)
		return card("What it says of a run", facts([
			["kind", round.kind], ["seat", h("span", "block ", block_link(round.seat))],
			["segments", round.length !== undefined && count(round.length)],
			["segment", round.segment !== undefined && count(round.segment)],
			["trace", round.root && h("span.mono", round.root)], ["bytes", round.blob && h("span.mono", round.blob)],
		]));
	return null;
}

const has_coin = (input) => input.coinbase === undefined && !/^0+$/.test(input.txid);

const INPUTS = [
	{ name: "from", class: "wide", of: (input) => !has_coin(input) ? (input.coinbase !== undefined ? "new coins" : "no coin") :
		input.prevout?.scriptPubKey.address ? address_link(input.prevout.scriptPubKey.address) : "unknown" },
	{ name: "of", class: "hide-narrow", of: (input) => has_coin(input) ? [tx_link(input.txid), h("span.dim", ` ${count(input.vout)}`)] : "" },
	{ name: "amount", class: "n", of: (input) => input.prevout ? amount(input.prevout.value, 8) : "" },
];

const OUTPUTS = [
	{ name: "output", class: "n dim", of: (output) => count(output.n) },
	{ name: "to", class: "wide", of: ({ scriptPubKey: script }) => script.address ? address_link(script.address) :
		script.contribution ? "burned, for the data" : script.commitment ? "a commitment" :
		h("span.mono.dim", { title: script.hex }, `${script.hex.slice(0, 40)}${script.hex.length > 40 ? "…" : ""}`) },
	{ name: "amount", class: "n", of: (output) => amount(output.value, 8) },
];

export async function show(view, [id]) {
	const transaction = await get(path_of("tx", id), view.signal);
	const what = says(transaction);
	const inputs = card(`From · ${count(transaction.vin.length)}`, table(INPUTS, transaction.vin));
	const outputs = card(`To · ${count(transaction.vout.length)}`, table(OUTPUTS, transaction.vout));
	const about = card("What it is", facts([
		["id", whole(transaction.txid)], ["what", kind_of(transaction)],
		["block", transaction.blockhash ? block_link(transaction.blockhash,
			transaction.blockhash.slice(0, 16)) : "none yet: it waits in the mempool"],
		["confirmations", transaction.confirmations > 0 && count(transaction.confirmations)],
		["size", `${bytes(transaction.size)}, ${count(transaction.vsize)} virtual`],
		["fee", transaction.fee !== undefined && amount(transaction.fee, 8)],
	]));

	return { title: "Transaction", content: [
		head(["Transaction ", h("span.mono", transaction.txid.slice(0, 16))], null,
			h("a.chip", { href: `api/tx/${transaction.txid}` }, "JSON")),
		h("div.grid", span("s12", about), span("s12", what), span("s6", inputs), span("s6", outputs))] };
}
