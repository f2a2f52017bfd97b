// This node: its miner, its mempool, its peers, what it warns of.

import { key, post } from "../api.js";
import { h } from "../dom.js";
import { amount, bytes, count, duration, plural, share } from "../format.js";
import { address_link, block_link, facts, get_panel, head, panel, table, tx_link } from "../parts.js";

const WAITING = 50; // transactions shown
const OWN = 12; // runs

const PEERS = [
	{ name: "node", of: (peer) => h("span.mono", peer.addr ?? `peer ${peer.id}`) },
	{ name: "how", class: "hide-narrow", of: (peer) => peer.inbound ? "came to us" : peer.connection_type },
	{ name: "height", class: "n", of: (peer) => count(peer.synced_blocks < 0 ? null : peer.synced_blocks) },
	{ name: "ping", class: "n hide-narrow", of: (peer) => peer.pingtime === undefined ?
		"" : `${Math.round(peer.pingtime * 1000)} ms` },
	{ name: "sent", class: "n hide-narrow", of: (peer) => bytes(peer.bytessent) },
	{ name: "received", class: "n hide-narrow", of: (peer) => bytes(peer.bytesrecv) },
	{ name: "right proofs", class: "n", of: (peer) => count(peer.proofs_valid) },
	{ name: "false", class: "n", of: (peer) => h("span", { class: peer.proofs_false > 0 ? "bad" : "" },
		count(peer.proofs_false)) },
	{ name: "version", class: "hide-narrow dim", of: (peer) => peer.subver },
];

const RUNS = [
	{ name: "seat", of: (run) => h("a", { href: `#/round/${run.base}/${run.height}` }, count(run.height)) },
	{ name: "round", class: "n hide-narrow", of: (run) => h("a", { href: `#/round/${run.base}` }, count(run.base)) },
	{ name: "state", of: (run) => run.state },
	{ name: "segments", class: "n", of: (run) => `${count(run.segments_done)} of ${count(run.segments)}` },
	{ name: "deadline", class: "n hide-narrow", of: (run) => run.deadline ? count(run.deadline) : "" },
	{ name: "pay", class: "n", of: (run) => run.pay > 0 ? amount(run.pay) : "" },
	{ name: "problem", class: "text dim hide-narrow", of: (run) => run.problem ?? "" },
];

function draw_mining(mining) {
	return facts([
		["mining", mining.mining ? (mining.paused ?
			`paused: ${mining.paused}` : `with ${plural(mining.threads, "thread")}`) : ["no: ", h("span.mono", "atelier-cli setmining true"), " begins"]],
		["paid to", mining.address && address_link(mining.address)],
		["speed", mining.mining && `${mining.steps_per_second} steps/s, ${count(mining.tokens_per_second)} tokens/s`],
		["attempts", count(mining.attempts)],
		["blocks found", count(mining.blocks_found)],
		["shares", count(mining.shares)],
		["failed", mining.failed > 0 && count(mining.failed)],
		["waiting", `${plural(mining.loose_proofs, "proof")} for the next block, ${count(mining.late_proofs)} late`],
	]);
}

function draw_chain(chain) {
	return facts([
		["chain", chain.chain],
		["tip", block_link(chain.bestblockhash, count(chain.blocks))],
		["best header", count(chain.headers)],
		["verified", share(chain.verificationprogress)],
		["on disk", bytes(chain.size_on_disk) + (chain.pruned ? `, pruned below ${count(chain.prune_height)}` : "")],
		["price of data", `${chain.data_rate} base units a byte, burned`],
	]);
}

// What keys used and paid for. Shown to who has the page's key alone, and only where something is sold.
function draw_income(income) {
	if (income.price === 0 && income.tokens === 0)
		return h("p.quiet", "Nothing is sold here (-price).");
	return [facts([
		["tokens", `${count(income.tokens)}, ${amount(income.price, 8)} for 1,000 now`],
		["paid by keys", amount(income.credited, 8)],
		["not deep enough", income.pending > 0 && amount(income.pending, 8)],
		["used", amount(income.used, 8)],
		["owed to makers", income.usage_ppm > 0 && `${amount(income.owed, 8)}: their share is ${share(income.usage_ppm / 1e6)}`],
		["settled", income.usage_ppm > 0 && amount(income.settled, 8)],
		["waits for a block", income.waiting && tx_link(income.waiting)],
	]), income.usage_ppm > 0 && h("p.quiet", "What is owed is sent by settleusage; no rule of the chain enforces it.")];
}

function income_of(view) {
	return key() === "" ? null : panel(view, { title: "Sold texts", columns: "s4", kinds: ["block"],
		load: () => post("income", {}, view.signal), draw: draw_income });
}

function draw_waiting(waiting) {
	const listed = Object.entries(waiting).slice(0, WAITING).map(([txid, entry]) => ({ txid, ...entry }));

	return table([
		{ name: "transaction", of: (entry) => tx_link(entry.txid) },
		{ name: "size", class: "n", of: (entry) => bytes(entry.vsize ?? entry.size) },
		{ name: "fee", class: "n", of: (entry) => amount(entry.fees?.base ?? entry.fee, 8) },
		{ name: "waits", class: "n", of: (entry) => duration(Math.max(1, Date.now() / 1000 - entry.time)) },
	], listed, { empty: "No transaction waits." });
}

export async function show(view) {
	const part = (path, title, columns, kinds, draw) => get_panel(view, path, { title, columns, kinds, draw });

	return { title: "Node", content: [
		head("This node", null, h("a.chip", { href: "api/mining" }, "JSON")),
		h("div.grid",
			part("chain", "Chain", "s4", ["block"], draw_chain),
			part("mining", "Miner", "s4", ["block", "proof"], draw_mining),
			part("training", "Verification", "s4", ["block", "proof"], ({ verification: work }) => facts([
				["blocks waiting", count(work.blocks_waiting)],
				["verifying", plural(work.blocks_verifying, "block") +
					(work.steps_total > 0 ? `, step ${work.steps_done} of ${work.steps_total}` : "")],
				["proofs executed", count(work.proofs_executed)],
				["found false", h("span", { class: work.proofs_false > 0 ? "bad" : "" }, count(work.proofs_false))],
			])),
			income_of(view),
			part("runs", "Own runs, newest first", "s12", ["run", "block"],
				(runs) => table(RUNS, runs.reverse().slice(0, OWN), { empty: "None: in a round they come with the blocks of the one before that this node's wallets mined." })),
			part("peers", "Peers", "s12", ["block"], (peers) => table(PEERS, peers, { empty: ["Nobody is connected. To have a peer: ", h("span.mono", "atelier-cli addnode ADDRESS add")] })),
			part("mempool/txs", "Mempool", "s12", ["tx", "block"], draw_waiting))] };
}
