// The first view: how the chain, its model and this node stand, as it happens.

import { get } from "../api.js";
import { curve_card } from "../charts.js";
import { fill, h } from "../dom.js";
import { amount, bytes, count, duration, large, nats, plural, short } from "../format.js";
import { address_link, again_button, audited_proof, bar, block_link, card, dataset_link, digest_cells, dots, get_panel,
	panel, proof_link, round_link, span, spark, table } from "../parts.js";
import { ask_form } from "./ask.js";
import { phases, seat_grid } from "./round.js";
import { series_spark } from "./dataset.js";
import { PEOPLE_SHORT, say_incomplete } from "./people.js";
import { merge_change, span_of } from "./rounds.js";
import { tile } from "./blocks.js";

const CHAIN_OPTION = { main: "", test: " -testnet", regtest: " -regtest" };
const TILES = 14;
const DATASETS = 6;
const LATE = 20; // dots for late proofs
const PEOPLE = 6;
const ROUNDS = 6;

function say_progress(model) {
	const before = model.day_ago;

	if (!before || before.mean_loss === null || model.mean_loss === null)
		return null;
	const gain = before.mean_loss - model.mean_loss, ago = Date.now() / 1000 - before.time;
	const since = ago > 80000 && ago < 100000 ? "a day ago" : `${duration(ago)} ago`;

	return h("div", { class: gain >= 0 ? "good" : "bad" },
		`${nats(Math.abs(gain), 3)} ${gain >= 0 ? "lower" : "higher"} than ${since}`);
}

function draw_model({ model, datasets }, curve) {
	const loss = model.mean_loss ?? model.loss ?? null;

	return [
		loss === null ? h("div.big", "untrained") : [
			h("div.big", nats(loss, 3), " ", h("small", "nats a byte")),
			h("div.dim", "loss on text that no step trains on; lower is better"),
			say_progress(model),
		],
		curve && spark(curve.loss, "the loss over all blocks"),
		h("div.dim", `${large(model.parameters)} parameters · ${plural(model.layers, "layer")} · context ${count(model.ctx)}`),
		h("div.dim", "root ", h("span.mono", { title: model.root }, short(model.root, 12, 6))),
		h("div.chips.gap", h("a.chip", { href: "#/model" }, "safetensors, GGUF"),
			h("a.chip", { href: "#/model" }, `licences of ${plural(datasets, "dataset")}`)),
	];
}

// The newest merges, small.
const MERGES = [
	{ name: "merge at", of: (round) => h("a", { href: `#/round/${round.base}` }, count(round.merge)) },
	{ name: "runs", class: "n", of: (round) => count(round.seats.merged ?? 0) },
	{ name: "struck", class: "n", of: (round) => count(round.seats.struck ?? 0) },
	{ name: "change", class: "n", of: merge_change },
];

async function load_model(view, summary) {
	const whole = await summary();

	if (whole.height === 0)
		return [whole, null];
	try {
		return [whole, await get("curve?points=80", view.signal)];
	} catch {
		return [whole, null];
	}
}

function draw_round({ round, run, height, spacing }) {
	if (!round)
		return h("p.note", "The first round has not begun.");
	return [
		seat_grid(round),
		phases(round, height),
		run && run.segments > 0 && run.deadline > height && [
			h("div.gap", "Your run: segment ", h("b", `${count(run.segments_done)} of ${count(run.segments)}`),
				h("span.dim", ` · ${run.state}`)),
			bar(run.segments_done / run.segments, "segments of this node's run"),
			h("div.quiet", `deadline in ${plural(run.deadline - height, "block")}` +
				(spacing > 0 ? `, about ${duration((run.deadline - height) * spacing)}` : "")),
		],
	];
}

// Newest first, and before them the one that is being made.
function strip_of(view, summary) {
	const next = h("div.tile.next", { "aria-live": "off" }), blocks = h("div", { style: { display: "contents" } });
	const strip = h("div.strip", { role: "region", "aria-label": "newest blocks", tabindex: 0 }, next, blocks);
	let newest = 0;

	async function draw_next() {
		try {
			const { next: waiting, height } = await summary();

			fill(next, h("b.dim", "next"), dots(waiting.slots, Math.min(waiting.late, LATE), true),
				h("div.dim", `${plural(waiting.proofs, "proof")}${waiting.late > 0 ? `, ${count(waiting.late)} late` : " so far"}`),
				h("div.dim", plural(waiting.transactions, "transaction")));
			next.title = `block ${count(height + 1)}`;
		} catch {
			fill(next, h("b.dim", "next"), h("div.dim", "not known here"));
		}
	}

	async function draw_blocks() {
		try {
			const listed = await get(`blocks?count=${TILES}`, view.signal);

			fill(blocks, listed.map((block) => tile(block, newest > 0 && block.height > newest)));
			newest = listed[0]?.height ?? 0;
		} catch (error) {
			if (!view.signal.aborted)
				fill(blocks, h("p.note", error.message));
		}
	}

	view.on(["block"], () => Promise.all([draw_blocks(), draw_next()]));
	view.on(["proof", "tx"], draw_next);
	strip.ready = Promise.all([draw_blocks(), draw_next()]);
	return strip;
}

// How to begin, for as long as there is only the genesis block.
function first_steps(view, summary) {
	const section = h("section.card.first", { hidden: true });

	async function look() {
		const { chain, height } = await summary().catch(() => ({ height: 1 }));
		const call = `atelier-cli${CHAIN_OPTION[chain] ?? " -chainspec=FILE"}`;

		section.hidden = height > 0;
		fill(section, h("div.title", h("h2", "Nobody has trained this model yet")),
			h("p.note", "Mine, and each block appears here as it comes. Or follow somebody who does:"),
			h("pre.code", { tabindex: 0 }, `${call} createwallet w\n${call} setmining true\n${call} addnode ADDRESS add`));
	}
	view.on(["block"], () => !section.hidden && look());
	look();
	return section;
}

const data_columns = (view) => [
	{ name: "dataset", class: "wide", of: (data) => dataset_link(data.number, data.title) },
	{ name: "owner", class: "hide-narrow", of: (data) => data.owner ? address_link(data.owner) : "" },
	{ name: "size", class: "n hide-narrow", of: (data) => bytes(data.size) },
	{ name: "value", of: (data) => series_spark(view, data.number) },
	{ name: "earned", class: "n", of: (data) => data.number === 0 ? "" : amount(data.total_paid, 2) },
];

function newest_proof(view) {
	let touched = false;

	const section = panel(view, { title: "Newest proof", columns: "s12", kinds: [], load: async () => {
		const [tip] = await get("blocks?count=1", view.signal);

		return get(`block/${tip.hash}`, view.signal);
	}, draw: (block) => {
		if (!block.proofs?.length)
			return h("p.note", "There is none before block 1.");
		const proof = block.proofs[block.proofs.length - 1];
		const { button, found } = again_button(view, "Execute it here", "audit/proof", { id: proof.id }, audited_proof);

		button.addEventListener("click", () => { touched = true; });
		return h("div.grid",
			h("div.s6", h("dl",
				h("dt", "proof"), h("dd", proof_link(proof.id), h("span.dim", " in block "), block_link(block.height)),
				h("dt", "seed"), h("dd.mono", short(proof.seed, 16, 8)),
				h("dt", "trained on"), h("dd", dataset_link(proof.dataset)),
				h("dt", "by"), h("dd", address_link(proof.miner), h("span.dim", ` for ${amount(proof.reward)}`)))),
			h("div.s6", h("div.row", h("span.dim", "its digest"), h("span.mono", short(proof.digest, 12, 8)), button),
				digest_cells(proof.digest), h("div.quiet", "32 bytes of what came out: whoever repeats the step gets the same."), found));
	} });

	view.on(["block"], () => !touched && section.refresh());
	return section;
}

export async function show(view) {
	const { round_blocks } = await get("spec", view.signal).catch(() => ({}));
	let summary_asked = null;
	const summary = () => (summary_asked ??= get("summary", view.signal));

	view.on(["block", "proof", "tx", "run", "model"], () => { summary_asked = null; });
	const people = get_panel(view, `contributors?count=${PEOPLE}`, {
		title: h("a", { href: "#/people" }, "People and machines"), columns: "s5", kinds: ["block"],
		draw: (found) => [table(PEOPLE_SHORT, found.contributors, { empty: "Nobody has earned anything yet." }),
			say_incomplete(found)],
	});
	const data = get_panel(view, "datasets?count=200", {
		title: h("a", { href: "#/data" }, "Data that taught it"), columns: "s7", kinds: ["block"],
		tools: h("div.tools", h("a.small.link", { href: "#/contribute" }, "contribute a file")),
		draw: (list) => table(data_columns(view), list.sort((a, b) => b.total_draws - a.total_draws).slice(0,
			DATASETS)),
	});
	const round = panel(view, {
		title: "Round", columns: "s4", kinds: ["block", "run"],
		load: () => Promise.all([summary(), get(`rounds?count=${ROUNDS}`, view.signal)]),
		draw: ([whole, rounds]) => {
			if (whole.round)
				fill(round.querySelector("h2"), round_link(whole.round.base, `Round of blocks ${span_of(whole.round)}`));
			return [draw_round(whole), rounds.length > 1 &&
				h("div.gap", table(MERGES, rounds.filter((one) => one.over)))];
		},
	});

	return { title: "", content: [
		h("h1.unseen", "The chain and its model"),
		first_steps(view, summary),
		h("div.grid",
			panel(view, { title: h("a", { href: "#/model" }, "The model"), columns: "s5", kinds: ["block"],
				load: () => load_model(view, summary), draw: ([whole, curve]) => draw_model(whole, curve) }),
			span("s7", card_of_asking(view))),
		strip_of(view, summary),
		h("div.grid", curve_card(view, round_blocks ? "s8" : "s12"), round_blocks > 0 && round, data, people,
			newest_proof(view)),
	] };
}

function card_of_asking(view) {
	const section = card(h("a", { href: "#/ask" }, "Ask it"), ask_form(view, { bytes: 160, compact: true }));

	section.querySelector(".body").classList.add("fill");
	return section;
}
