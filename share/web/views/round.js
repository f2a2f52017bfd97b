// One round: who had its seats, what they trained on, what became of it; and any run's segment, executed again.

import { get, path_of } from "../api.js";
import { fill, h } from "../dom.js";
import { amount, change, count, duration, nats, plural } from "../format.js";
import { address_link, again_button, block_link, card, dataset_link, digest_cells, facts, head, panel, table } from "../parts.js";
import { of_pages, span_of } from "./rounds.js";

const KINDS = {
	open: "open", training: "training", committed: "committed", disclosed: "disclosed", "not disclosed": "committed",
	challenged: "struck", merged: "merged", "left out": "left", struck: "struck", empty: "empty",
};
const WORDS = {
	open: "no commit yet", training: "training here", committed: "committed", disclosed: "disclosed",
		"not disclosed": "not disclosed yet",
	challenged: "challenged", merged: "merged", "left out": "true, left out", struck: "struck", empty: "empty",
};

function state_of(seat) {
	return seat.state === "open" && seat.own ? "training" : seat.state;
}

// A square for each seat, and what their colours mean.
export function seat_grid(round) {
	const counts = new Map();

	for (const seat of round.seats)
		counts.set(state_of(seat), (counts.get(state_of(seat)) ?? 0) + 1);
	const says = (seat) => [`block ${count(seat.height)}: ${WORDS[state_of(seat)] ?? seat.state}`,
		seat.own && "this node's own",
		seat.rechecked > 0 && `${plural(seat.rechecked, "segment")} executed again here`,
		seat.false_segment !== undefined && `segment ${seat.false_segment} is false`].filter(Boolean).join(", ");

	return [
		h("div.seats", round.seats.map((seat) => h("a",
			{ href: `#/round/${round.base}/${seat.height}`, title: says(seat),
			"aria-label": says(seat), class: `k-${KINDS[state_of(seat)] ?? "open"} ${seat.own ? "own" : ""}` }))),
		h("div.legend", [...counts].map(([state, seats]) =>
			h("span", h("span.swatch", { class: `k-${KINDS[state] ?? "open"}` }),
			h("span", `${WORDS[state] ?? state} ${count(seats)}`))),
		round.seats.some((seat) => seat.own) && h("span", "ringed: this node's")),
	];
}

// How far the round is: trained and committed, disclosed, merged.
export function phases(round, height) {
	const parts = [["commits", round.base, round.commits_until],
		["disclosures", round.commits_until, round.disclosures_until],
		["merge", round.disclosures_until, round.merge]];
	const now = parts.find(([, , until]) => height < until);

	return [
		h("div.bar.gap", { role: "img", "aria-label": now ? `${now[0]} until block ${now[2]}` : "merged" },
			parts.map(([, from, until]) => h("span.phase", { style: { flex: Math.max(1, until - from) } },
				h("i.accent", { style: { width: `${Math.max(0, Math.min(1, (height - from) / (until - from || 1))) * 100}%` } })))),
		h("div.quiet", now ? `${now[0]} until block ${count(now[2])}` +
			(now[0] === "merge" ? "" : `, merge at ${count(round.merge)}`) :
			`merged at block ${count(round.merge)}`),
	];
}

function audited_run(answer, seconds) {
	return answer.segments.map((segment) => [
		h("div.quiet", `segment ${segment.segment} · stated `, h("span.mono", segment.digest.slice(0, 24)), "… found ",
			h("span.mono", segment.found_digest.slice(0, 24)), "…"),
		digest_cells(segment.found_digest, segment.digest),
		h("p", { class: segment.valid ? "note good" : "note bad" },
			segment.valid ? `As disclosed, executed here in ${duration(seconds)}.` : "Another digest: this run is false."),
	]);
}

function seat_card(view, seat, round) {
	const { button, found } = again_button(view, "Execute its segment here", "audit/run", { height: seat.height },
		audited_run);
	const is_there = seat.blob !== undefined || seat.own;

	return card(["The run of block ", block_link(seat.height)], facts([
		["state", WORDS[state_of(seat)] ?? seat.state],
		["miner", address_link(seat.miner)],
		["trained on", seat.dataset !== undefined && dataset_link(seat.dataset)],
		["segments", seat.length !== undefined && `${count(seat.length)} of ${count(round.segments)}`],
		["trace", seat.trace_root && h("span.mono", seat.trace_root)],
		["drawn segment", seat.drawn_segment !== undefined && count(seat.drawn_segment)],
		["pay", amount(seat.pay) + (seat.paid ? ", paid" : "")],
		["executed again here", seat.rechecked > 0 && `${plural(seat.rechecked, "segment")}, ` +
			(seat.false_segment === undefined ? "all right" : `segment ${seat.false_segment} false`)],
	]), is_there && h("div.row.gap", button), is_there && found);
}

function seat_columns(round) {
	return [
		{ name: "seat", of: (seat) => h("a", { href: `#/round/${round.base}/${seat.height}` },
			h("span.swatch", { class: `k-${KINDS[state_of(seat)]}` }),
			h("span", count(seat.height))) },
		{ name: "state", of: (seat) => WORDS[state_of(seat)] ?? seat.state },
		{ name: "miner", class: "hide-narrow", of: (seat) =>
			[address_link(seat.miner), seat.own && h("span.dim", " this node")] },
		{ name: "dataset", class: "hide-narrow", of: (seat) => seat.dataset === undefined ?
			"" : dataset_link(seat.dataset) },
		{ name: "segments", class: "n", of: (seat) => count(seat.length) },
		{ name: "pay", class: "n", of: (seat) => seat.pay > 0 ? amount(seat.pay) : "" },
	];
}

// What has made the change: the block has proofs of its own, too.
function by(round) {
	if (round.void)
		return ", by the block's proofs: the merge is void, the runs changed nothing";
	return round.halved ? ", by its proofs and the better half of the runs" : "";
}

export async function show(view, [base, seat]) {
	const path = path_of("round", base);
	const chosen = h("div.s12", { hidden: true });
	const first = await get(path, view.signal);
	const load = () => Promise.all([get(path, view.signal), get("chain", view.signal)]);
	const shown = panel(view, { columns: "s12", kinds: ["block", "run"], load, draw: ([round, chain]) => {
		const found = round.seats.find((one) => String(one.height) === seat);

		if (found && chosen.hidden) {
			fill(chosen, seat_card(view, found, round));
			chosen.hidden = false;
		}
		return [
			h("div.grid",
				h("div.s7", seat_grid(round), !round.over && phases(round, chain.blocks)),
				h("div.s5", facts([
					["base", block_link(round.base)],
					["commits until", block_link(round.commits_until)],
					["disclosures until", block_link(round.disclosures_until)],
					["merge", round.over ? block_link(round.merge) : count(round.merge)],
					["judged by", round.judged_by],
					["loss", round.over && `${nats(round.loss_before)} → ${nats(round.loss_after)} ${of_pages(round)}`],
					["change", round.over && `${change(round.loss_after - round.loss_before)} nats${by(round)}`],
				]))),
			h("div.gap", table(seat_columns(round), round.seats)),
		];
	} });

	const title = `Round of blocks ${span_of(first)}`;

	return { title, content: [
		head(title, "Who mined a block of the round before has a seat here: his node trains on from the model after the " +
			"base, commits to what came out, and shows a segment that is drawn afterwards. Everybody executes that one.",
		h("a.chip", { href: `api/${path}` }, "JSON")),
		h("div.grid", chosen, shown)] };
}
