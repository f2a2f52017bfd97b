// What the views are made of: cards, facts, tables, links, small pictures.

import { Failure, get, post } from "./api.js";
import { fill, h, vector_title } from "./dom.js";
import { age, change, count, duration, moment, plural, short, short_address } from "./format.js";

// --- a view ---

// Everything a view started ends with it: fetches, and what it does upon events.
export class View {
	constructor() {
		this.leaving = new AbortController();
		this.handlers = new Map();
	}

	get signal() {
		return this.leaving.signal;
	}

	on(kinds, handler) {
		for (const kind of kinds)
			this.handlers.set(kind, [...(this.handlers.get(kind) ?? []), handler]);
	}

	tell(kind, what) {
		for (const handler of this.handlers.get(kind) ?? [])
			handler(what);
	}

	leave() {
		this.leaving.abort();
		this.handlers.clear();
	}
}

const PAUSE = 1000; // milliseconds at least between two looks at what changes all the time

export function explain(error) {
	if (error instanceof Failure && error.is_missing)
		return h("p.note", `This node cannot tell that (“${error.message}”).`);
	return h("p.note.bad", { role: "alert" }, error.message);
}

export function card(title, ...content) {
	return h("section.card", title && h("div.title", h("h2", title)), h("div.body", ...content));
}

// How many of twelve columns it takes: "s4". Nothing stays nothing.
export function span(columns, section) {
	if (section)
		section.classList.add(columns);
	return section;
}

// A card whose content is asked of the node. load() gives what draw() shows; upon an event of these kinds both happen
// again, once at a time, and what was shown stays until then.
export function panel(view, { title, tools, columns = "s12", kinds = [], load, draw }) {
	const body = h("div.body", { "aria-busy": "true" }, h("p.note", "…"));
	const section = h(`section.card.${columns}`, title && h("div.title", h("h2", title), tools), body);
	let working = false, again = false;

	async function refresh() {
		if (working) {
			again = true;
			return;
		}
		working = true;
		do {
			if (again)
				await new Promise((resolve) => setTimeout(resolve, PAUSE));
			again = false;
			try {
				fill(body, draw(await load()));
			} catch (error) {
				if (view.signal.aborted)
					return;
				fill(body, explain(error));
			}
			body.removeAttribute("aria-busy");
		} while (again && !view.signal.aborted);
		working = false;
	}
	view.on(kinds, refresh);
	section.ready = refresh();
	section.refresh = refresh;
	return section;
}

export const get_panel = (view, path, options) => panel(view, { ...options, load: () => get(path, view.signal) });

export function head(title, lead, ...tools) {
	return h("div.head", h("h1", title), tools.length > 0 && h("div.tools", ...tools), lead && h("p.lead", lead));
}

// --- facts, tables ---

// [["name", value], ...]: those whose value is missing are left out.
export function facts(pairs) {
	const shown = pairs.filter((pair) => pair && ![null, undefined, false, ""].includes(pair[1]));

	return h("dl", shown.map(([name, value]) => [h("dt", name), h("dd", value)]));
}

// columns: [{ name, class, of(row) }]. One that says nothing of any row is left out.
export function table(columns, rows, { empty = "None." } = {}) {
	if (rows.length === 0)
		return h("p.note", empty);
	const cells = rows.map((row) => columns.map((column) => column.of(row)));
	const shown = [...columns.keys()].filter((at) => cells.some((line) => ![null, undefined, false, ""].includes(line[at])));
	const line = (tag, attributes, of) => h("tr", shown.map((at) =>
		h(tag, { class: columns[at].class, ...attributes }, of(at))));

	return h("div.scroll", h("table",
		h("thead", line("th", { scope: "col" }, (at) => columns[at].name)),
		h("tbody", cells.map((row) => line("td", {}, (at) => row[at])))));
}

// How long ago that was, as time goes on: the frame keeps it.
export const ago = (time) => h("time", { "data-since": time, datetime: new Date(time * 1000).toISOString(), title: moment(time) }, age(time));

// What a step did to a loss: an effect is by how much it fell.
export function effect(value) {
	if (value === null || value === undefined)
		return "";
	return h("span", { class: value > 0 ? "good" : value < 0 ? "bad" : "" }, change(-value));
}

// --- links ---

const link = (route, part) => `#/${route}/${encodeURIComponent(part)}`;

export const block_link = (id, text) => h("a", { href: link("block", id) }, text ?? count(id));
export const round_link = (base, text) => h("a", { href: link("round", base) }, text ?? count(base));
export const proof_link = (id) => h("a.mono", { href: link("proof", id), title: id }, short(id));
export const tx_link = (id) => h("a.mono", { href: link("tx", id), title: id }, short(id));

export function address_link(address) {
	return address ? h("a.mono", { href: link("address", address), title: address },
		short_address(address)) : h("span.dim", "–");
}

export const colour = (dataset) => `c${Number(dataset) % 8}`;
export const swatch = (dataset) => h("span.swatch", { class: colour(dataset) });

// Without a title, it comes when the node has told it.
export function dataset_link(number, title) {
	const words = h("span", title ?? `dataset ${number}`);

	if (title === undefined)
		title_of(number).then((found) => { words.textContent = found; }, () => {});
	return h("a", { href: link("dataset", number) }, swatch(number), words);
}

const titles = new Map(); // by number; what was told stays true but for a reorganisation, which a reload mends

function title_of(number) {
	if (!titles.has(number)) {
		titles.set(number, get(`dataset/${number}`).then((data) => data.title));
		titles.get(number).catch(() => titles.delete(number));
	}
	return titles.get(number);
}

// A name as the chain has it, whole, and a button that copies it.
export function whole(text) {
	const button = h("button.plain", { type: "button", title: "copy", "aria-label": "copy" }, "copy");

	button.addEventListener("click", async () => {
		await navigator.clipboard.writeText(text);
		button.textContent = "copied";
	});
	return h("span.whole", h("span.mono", text), button);
}

// --- small pictures ---

function points_of(values, width, height) {
	const low = Math.min(...values), high = Math.max(...values), last = Math.max(1, values.length - 1);

	return values.map((value, at) => [at * width / last, height - (value - low) / (high - low || 1) * height]);
}

export function spark(values, label, { classes = "", width = 400, height = 44 } = {}) {
	const known = values.filter((value) => value !== null && value !== undefined);

	if (known.length < 2)
		return null;
	const path = points_of(known, width, height).map(([x, y], at) =>
		`${at === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`);

	return h("svg.spark", { class: classes, viewBox: `0 -2 ${width} ${height + 4}`, preserveAspectRatio: "none",
		role: "img",
		"aria-label": label }, vector_title(label), h("path.line", { d: path.join("") }));
}

export function bar(part, label) {
	const done = Math.max(0, Math.min(1, part || 0));

	return h("div.bar", { role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100,
		"aria-valuenow": Math.round(done * 100) }, h("i.accent", { style: { width: `${done * 100}%` } }));
}

// The proofs of a block, in the colours of the datasets that they trained on; if wanted also the slots that have none yet.
export function dots(slots = [], late = 0, shows_open = false) {
	const proofs = slots.flatMap((slot) => Array.from({ length: slot.proofs }, () => slot.dataset));
	const label = `${plural(proofs.length, "proof")}${late > 0 ? ` and ${late} late` : ""}`;

	return h("div.dots", { role: "img", "aria-label": label, title: label },
		proofs.map((dataset) => h("i", { class: colour(dataset) })),
		shows_open && slots.filter((slot) => slot.proofs === 0).map((slot) => h("i.open", { class: colour(slot.dataset) })),
		Array.from({ length: late }, () => h("i.late")));
}

// 32 bytes as 32 cells: two digests are equal if these look alike, and they are compared besides.
export function digest_cells(hex, other) {
	const bytes = String(hex).match(/../g) ?? [];

	return h("div.digest", { "aria-hidden": "true" },
		bytes.map((byte, at) => h(`i${other && other.substr(2 * at, 2) !== byte ? ".wrong" : ""}`,
		{ style: { opacity: (0.14 + parseInt(byte, 16) / 296).toFixed(3) } })));
}

// --- doing something again ---

// A button that asks the node to execute something again, and what came of it: draw(answer, seconds).
export function again_button(view, text, path, body, draw, shows_digest = true) {
	const found = h("div.gap", { "aria-live": "polite" });
	const button = h("button", { type: "button" }, text);

	button.addEventListener("click", async () => {
		const start = performance.now();

		button.disabled = true;
		button.textContent = "Executing …";
		fill(found, shows_digest && h("div.digest.waiting", Array.from({ length: 32 }, () => h("i"))));
		try {
			const answer = await post(path, body, view.signal);

			fill(found, draw(answer, (performance.now() - start) / 1000));
		} catch (error) {
			if (!view.signal.aborted)
				fill(found, explain(error));
		}
		button.disabled = false;
		button.textContent = "Once more";
	});
	return { button, found };
}

export function audited_proof(answer, seconds) {
	return [
		digest_cells(answer.found_digest, answer.digest),
		h("p", { class: answer.valid ? "note good" : "note bad" },
			answer.valid ? `The same digest, executed here in ${duration(seconds)}.` : "Another digest: this proof is false."),
	];
}
