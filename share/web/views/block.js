// One block: who trained on what, what it did to the model, who was paid, what else is in it.

import { get, path_of } from "../api.js";
import { h } from "../dom.js";
import { amount, bytes, change, count, duration, moment, nats, plural, share } from "../format.js";
import { address_link, again_button, ago, block_link, card, dataset_link, effect, facts, head, proof_link, span, swatch,
	table, tx_link, whole } from "../parts.js";
import { EFFECTS } from "./dataset.js";
import { kind_of } from "./tx.js";

const TRANSACTIONS = 100; // shown at most

function proof_columns(is_late) {
	return [
		{ name: "proof", of: (proof) => proof_link(proof.id) },
		{ name: "trained on", class: "wide", of: (proof) => dataset_link(proof.dataset) },
		is_late ? { name: "was for the child of", class: "n", of: (proof) => block_link(proof.parent_height) } :
			{ name: "slot", class: "n hide-narrow", of: (proof) => count(proof.slot) },
		is_late && { name: "worth", class: "n", of: (proof) => share(proof.worth, 0) },
		{ name: "by", class: "hide-narrow", of: (proof) => address_link(proof.miner) },
		{ name: "digest", class: "hide-narrow", of: (proof) => h("span.mono.dim", `${proof.digest.slice(0, 16)}…`) },
		{ name: "reward", class: "n", of: (proof) => amount(proof.reward) },
	].filter(Boolean);
}

const SLOTS = [
	{ name: "dataset", class: "wide", of: (slot) => dataset_link(slot.dataset) },
	{ name: "proofs", class: "n hide-narrow", of: (slot) => count(slot.proofs) },
	{ name: "reserved text", class: "n", of: (slot) => effect(slot.effect) },
	{ name: "own pages", class: "n hide-narrow", of: (slot) => effect(slot.own) },
	{ name: "value", class: "n", of: (slot) => nats(slot.value) },
	{ name: "note", of: (slot) => slot.left_out ? h("span.chip.bad", "left out") : !slot.known ?
		h("span.chip", "new to it") : "" },
];

function slots_of(slots) {
	const used = slots.filter((slot) => slot.proofs > 0), idle = slots.length - used.length;

	return card("Slots: the data it was for, and what each did to the loss", table(SLOTS, used), h("p.quiet.gap", EFFECTS),
		idle > 0 && h("p.quiet", `${plural(idle, "slot")} without a proof`));
}

function transactions_of(block) {
	const shown = block.tx.slice(0, TRANSACTIONS);
	const sum = (transaction) => transaction.vout.reduce((total, output) => total + output.value, 0);

	return [table([
		{ name: "transaction", of: (transaction) => tx_link(transaction.txid) },
		{ name: "what", class: "wide", of: (transaction) => kind_of(transaction) },
		{ name: "outputs", class: "n hide-narrow", of: (transaction) => count(transaction.vout.length) },
		{ name: "size", class: "n hide-narrow", of: (transaction) => bytes(transaction.size) },
		{ name: "amount", class: "n", of: (transaction) => sum(transaction) > 0 ? amount(sum(transaction)) : "" },
	], shown), block.tx.length > shown.length && h("p.note.gap",
		`… and ${count(block.tx.length - shown.length)} more`)];
}

function payments_of(block) {
	const rows = [
		...(block.data_payments ?? []).map((one) => ["data", one.owner, one.amount, ""]),
		...(block.run_payments ?? []).map((one) => ["run", one.miner, one.amount, block_link(one.seat)]),
	];

	return rows.length > 0 && card("Paid for what went before", table([
		{ name: "for", of: (row) => row[0] },
		{ name: "to", of: (row) => address_link(row[1]) },
		{ name: "seat", of: (row) => row[3] },
		{ name: "amount", class: "n", of: (row) => amount(row[2]) },
	], rows));
}

function audited_block(answer, seconds) {
	const wrong = answer.proofs.filter((proof) => !proof.valid).length;

	return [
		h("p", { class: answer.valid ? "note good" : "note bad" }, answer.valid ?
			`All as stated: ${plural(answer.proofs.length, "proof")}, the update and the state after it, executed here in ${duration(seconds)}.` :
			`Not as stated: ${plural(wrong, "false proof")}, outcome ${answer.outcome_valid ? "right" : "wrong"}, state ` +
			`${answer.model_root_valid ? "right" : "wrong"}.`),
		h("div.row", answer.proofs.map((proof) => h("a.chip",
			{ href: `#/proof/${proof.id}`, class: proof.valid ? "good" : "bad" },
			swatch(proof.dataset), h("span.mono", proof.found_digest.slice(0, 10)), proof.valid ? " ✓" : " ✗"))),
		h("p.quiet.mono", `state ${answer.model_root_found}`),
	];
}

// A round's last block names its base by what it merges.
async function merge_of(view, block) {
	try {
		const spec = await get("spec", view.signal);

		if (!spec.round_blocks || block.height < 2 * spec.round_blocks || block.height % spec.round_blocks !== 0)
			return null;
		return h("p.note.gap", "It ends a round: ",
			h("a", { href: `#/round/${block.height - spec.round_blocks}` }, "what became of its seats"), ".");
	} catch {
		return null;
	}
}

export async function show(view, [id]) {
	const block = await get(path_of("block", id), view.signal);
	const { button, found } = again_button(view, "Execute it all again", "audit/block", { blockhash: block.hash },
		audited_block);
	const step = (key, height) => view.on([key], () => { location.hash = `#/block/${height}`; });
	const is_genesis = block.height === 0, merge = await merge_of(view, block);

	if (!is_genesis)
		step("ArrowLeft", block.height - 1);
	if (block.nextblockhash)
		step("ArrowRight", block.height + 1);
	const gain = block.outcome?.void ? h("span.bad", "the update was void: it would have harmed the model") :
		h("span", { class: block.loss_after < block.loss_before ? "good" : "" },
			`${change(block.loss_after - block.loss_before)} nats`);

	return { title: `Block ${count(block.height)}`, content: [
		head(`Block ${count(block.height)}`, null,
			!is_genesis && h("a.chip", { href: `#/block/${block.height - 1}`, rel: "prev" },
				`← ${count(block.height - 1)}`),
			block.nextblockhash && h("a.chip", { href: `#/block/${block.height + 1}`, rel: "next" },
				`${count(block.height + 1)} →`),
			h("a.chip", { href: `api/block/${block.hash}` }, "JSON")),
		h("div.grid",
			span("s8", card("What it is", facts([
				["id", whole(block.hash)],
				["when", h("span", `${moment(block.time)} · `, ago(block.time), " ago")],
				["mined by", !is_genesis && address_link(block.miner)],
				["confirmations", block.confirmations > 0 ?
					count(block.confirmations) : "none: it is not on the active chain"],
				["size", !is_genesis && `${bytes(block.size)} · ${plural(block.nTx, "transaction")}`],
				["state", is_genesis && h("span.mono", block.model_root)],
				["work", !is_genesis && `${count(Math.round(block.difficulty))} · seed ${block.seed?.slice(0, 16) ?? "none"}…`],
				["state after it", block.model_root_after && h("span.mono", block.model_root_after)],
			]), merge)),
			span("s4", card("What it did to the model", is_genesis ? h("p.note", "The chain begins here.") : [
				h("div.big", nats(block.outcome?.void ? block.loss_before : block.loss_after), " ",
					h("small", "nats a byte")),
				h("div", gain, h("span.dim", ` from ${nats(block.loss_before)}`)),
				h("div.row.gap", button), found])),
			block.outcome?.slots && span("s12", slots_of(block.outcome.slots)),
			!is_genesis && span("s12", card(`Proofs · ${count(block.proofs.length)}`,
				table(proof_columns(false), block.proofs))),
			block.late?.length > 0 && span("s12", card(`Late proofs · ${count(block.late.length)}`,
				table(proof_columns(true), block.late))),
			span("s12", payments_of(block)),
			block.tx && span("s12", card(`Transactions · ${count(block.nTx)}`, transactions_of(block)))),
	] };
}
