// One dataset: whose it is, what it is worth to the model, what it has earned.

import { get, path_of } from "../api.js";
import { h } from "../dom.js";
import { amount, bytes, count, nats, plural } from "../format.js";
import { address_link, block_link, card, colour, effect, facts, head, span, spark, swatch, table, tx_link,
	whole } from "../parts.js";

const POINTS = 160;
const FEW = 16; // for a picture in a table

// What it was worth over time, as a small line that comes when it is here.
export function series_spark(view, number) {
	const holder = h("span");

	get(path_of("dataset", number, { points: FEW }), view.signal).then((data) => {
		const line = spark(known_values(data), `value of dataset ${number} over time`,
			{ classes: colour(number), width: 84, height: 16 });

		if (line)
			holder.append(line);
	}, () => {});
	return holder;
}

const known_values = (data) => (data.series?.mean_value ?? []).filter((value) => value !== null);

export const EFFECTS = "No step trains on the reserved text, which is the benchmark, nor on a dataset's own pages. Its value, which is paid, is what a step " +
	"gains on own pages: 0 if it was left out, as it harms the model, or while the text is new to the model.";

const DRAWS = [
	{ name: "block", of: (draw) => block_link(draw.height) },
	{ name: "proofs", class: "n hide-narrow", of: (draw) => count(draw.proofs) },
	{ name: "reserved text", class: "n", of: (draw) => effect(draw.effect) },
	{ name: "own pages", class: "n hide-narrow", of: (draw) => effect(draw.own) },
	{ name: "value", class: "n", of: (draw) => nats(draw.value) },
	{ name: "note", of: (draw) => draw.left_out ? h("span.chip.bad", "left out") : draw.known ?
		"" : h("span.chip", "new to it") },
];

function status_of(data) {
	if (data.status === "quarantine")
		return `in quarantine from block ${count(data.quarantine.since)} to ${count(data.quarantine.until)}, as it harmed the model`;
	return data.status === "waiting" ? `can be drawn from block ${count(data.drawable_from)}` : "can be drawn";
}

// What it takes for every fourth seat of a round, and for own pages to judge a merge.
const proven_of = (data) => data.proven ? "yes: every fourth seat of a round, of proven data alone, may be of it" :
	"not now: it takes 32 draws that hardly harm; until then every fourth seat of a round is without it";

// With what its ends mean below it.
function value_line(data) {
	const values = known_values(data), { height } = data.series ?? {};
	const line = spark(values, "its value over time", { classes: `high ${colour(data.number)}`, height: 90 });

	if (line === null)
		return h("p.note.gap", "It has no values yet: it was not drawn often enough.");
	return [line, h("div.quiet", `value while it was drawn, blocks ${count(data.height ?? 0)} to ${count(height[height.length - 1])}: ` +
		`at most ${nats(Math.max(...values))}, at last ${nats(values[values.length - 1])} nats`)];
}

export async function show(view, [number]) {
	const data = await get(path_of("dataset", number, { points: POINTS }), view.signal)
		.catch(() => get(path_of("dataset", number), view.signal));
	const { round_blocks } = await get("spec", view.signal).catch(() => ({}));
	const about = card("What it is", facts([
		["owner", data.owner && address_link(data.owner)],
		["licence", data.licence || "none stated: it came with the chain"],
		["size", `${bytes(data.size)} (${count(data.size)})`],
		["root", whole(data.root)],
		["registered", data.txid && h("span", "in block ", block_link(data.height), ", by ", tx_link(data.txid))],
		["burned for it", data.number > 0 && amount(data.burned, 6)],
		["status", status_of(data)],
		["proven", round_blocks > 0 && proven_of(data)],
		["content", data.available ? "on this node" : "not on this node"],
	]));
	const worth = card("What it did", [
		h("div.big", amount(data.total_paid, 2), " ", h("small", "earned by its owner")),
		h("div.dim", `${plural(data.total_draws, "draw")} so far` +
			(data.mean_value !== null && data.mean_value !== undefined ?
				` · mean value ${nats(data.mean_value)}` : "")),
		value_line(data),
	]);
	const draws = card("Its last draws: what each did to the loss",
		table(DRAWS, data.last_draws ?? [], { empty: "None yet." }), data.last_draws?.length > 0 && h("p.quiet.gap", EFFECTS));

	return { title: data.title, content: [
		head([swatch(data.number), h("span", data.title)], `Dataset ${data.number}`,
			h("a.chip", { href: `api/dataset/${data.number}` }, "JSON")),
		h("div.grid", span("s7", about), span("s5", worth), span("s12", draws))] };
}
