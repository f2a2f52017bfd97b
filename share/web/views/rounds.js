// Rounds, newest first.

import { h } from "../dom.js";
import { change, count, nats } from "../format.js";
import { get_panel, head, round_link, table } from "../parts.js";

const COUNT = 50;
const seats = (round, state) => count(round.seats[state] ?? 0);

export const span_of = (round) => `${count(round.base + 1)}–${count(round.merge)}`;

// What the merge did to the loss.
export function merge_change(round) {
	if (!round.over)
		return h("span.chip", "under way");
	if (round.void)
		return h("span.dim", "void");
	return h("span", { class: round.loss_after < round.loss_before ? "good" : "" },
		change(round.loss_after - round.loss_before));
}

// Where own pages judged a merge its losses are theirs, and stand beside no others.
export const of_pages = (round) => round.over && !round.void && round.judged_by === "own pages" ? "of own pages" : "";

const notes = (round) => [round.halved && "by the better half", of_pages(round) && "losses of own pages"]
	.filter(Boolean).join(", ");

const COLUMNS = [
	{ name: "blocks", of: (round) => round_link(round.base, span_of(round)) },
	{ name: "runs merged", class: "n", of: (round) => round.over ? seats(round, "merged") : "" },
	{ name: "left out", class: "n hide-narrow", of: (round) => round.over ? seats(round, "left out") : "" },
	{ name: "struck", class: "n", of: (round) => round.over ? seats(round, "struck") : "" },
	{ name: "empty", class: "n hide-narrow", of: (round) => round.over ? seats(round, "empty") : "" },
	{ name: "loss before", class: "n hide-narrow", of: (round) => round.over ? nats(round.loss_before) : "" },
	{ name: "change, nats", class: "n", of: merge_change },
	{ name: "note", class: "hide-narrow", of: notes },
];

export async function show(view) {
	return { title: "Rounds", content: [
		head("Rounds", "A round is so many blocks, during which the miners of the one before train on by themselves, in runs; its last block " +
			"merges the true ones into the model."),
		get_panel(view, `rounds?count=${COUNT}`, { kinds: ["block"], draw: (rounds) =>
			table(COLUMNS, rounds, { empty: "This chain has no rounds, or the first has not begun." }) })] };
}
