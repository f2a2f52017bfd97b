// The curve of the loss. Drawn by dygraphs, from where the system has it (Debian: libjs-dygraphs); without it a plain
// line, and the figures as a table.

import { fill, h } from "./dom.js";
import { count, moment, nats, plural } from "./format.js";
import { get, path_of } from "./api.js";
import { block_link, explain, table } from "./parts.js";

const POINTS = 600;
const ROWS = 40; // of the table
const LIBRARY = "/lib/dygraphs/";
let library = null;

function load_library() {
	library ??= new Promise((resolve) => {
		document.head.append(
			h("link", { rel: "stylesheet", href: `${LIBRARY}dygraph.min.css` }),
			h("script", { src: `${LIBRARY}dygraph.min.js`, onload: () => resolve(without_legend(window.Dygraph)),
				onerror: () => resolve(null) }));
	});
	return library;
}

// Its legend writes style attributes, which the page's policy forbids; ours is the line below the curve.
function without_legend(Dygraph) {
	if (Dygraph)
		Dygraph.PLUGINS = Dygraph.PLUGINS.filter((plugin) => plugin !== Dygraph.Plugins.Legend);
	return Dygraph ?? null;
}

const probe = document.body.appendChild(h("i", { hidden: true }));

// A colour of the style, as it is now.
function paint(name) {
	probe.style.color = `var(--${name})`;
	return getComputedStyle(probe).color;
}

const at_time = (seconds) => new Date(seconds * 1000);

function rows_of(curve, by_time) {
	return curve.height.map((height, at) => [by_time ? at_time(curve.time[at]) : height,
		[curve.least[at], curve.loss[at], curve.most[at]]]);
}

// Lines where rounds were merged, and marks where an update was void.
function draw_marks(curve, by_time) {
	const time_of = new Map(curve.height.map((height, at) => [height, curve.time[at]]));
	const place = (height) => (by_time ? time_of.get(height) * 1000 : height);

	return (canvas, area, plot) => {
		const line = (height, colour, top, width, dashes = []) => {
			const x = Math.round(plot.toDomXCoord(place(height))) + 0.5;

			if (!(x >= area.x && x <= area.x + area.w))
				return;
			canvas.strokeStyle = colour;
			canvas.lineWidth = width;
			canvas.setLineDash(dashes);
			canvas.beginPath();
			canvas.moveTo(x, top);
			canvas.lineTo(x, area.y + area.h);
			canvas.stroke();
		};

		for (const merge of curve.merges)
			line(merge.height, paint("line"), area.y, 1, merge.void ? [2, 5] : []);
		for (const height of curve.voids)
			line(height, paint("bad"), area.y + area.h - 6, 1.5);
		canvas.setLineDash([]);
	};
}

function say_point(curve, at) {
	const merge = curve.merges.find((one) => one.height === curve.height[at]);

	return [h("b", `block ${count(curve.height[at])}`), ` · ${nats(curve.loss[at])} nats · ${moment(curve.time[at])}`,
		merge && ` · merge of a round: ${merge.void ? "void" : `${nats(merge.loss_before)} → ${nats(merge.loss_after)}`}` +
			`${!merge.void && merge.judged_by === "own pages" ? " of own pages" : ""}`];
}

function say_nothing(curve, zoomable) {
	const merges = curve.merge_count > 0 ? `${plural(curve.merge_count, "line")}: rounds merged (dashed: void)` : "";
	const voids = curve.void_count > 0 ? plural(curve.void_count, "void update") : "";

	return [`blocks ${count(curve.from)} to ${count(curve.to)}`, merges, voids,
		zoomable && "drag to zoom, double-click for all"]
		.filter(Boolean).join(" · ");
}

function draw_dygraph(Dygraph, holder, readout, curve, state, zoomed) {
	return new Dygraph(holder, rows_of(curve, state.by_time), {
		labels: ["block", "loss"], customBars: true, connectSeparatedPoints: true, legend: "never", colors: [paint("accent")], strokeWidth: 1.7,
			fillAlpha: 0.16,
		axisLineColor: paint("line"), gridLineColor: paint("line"), drawGrid: false, axisLabelFontSize: 11, rightGap: 6,
		highlightCircleSize: 4, includeZero: false, xRangePad: 4, yRangePad: 10,
		axes: {
			x: { axisLabelFormatter: state.by_time ? undefined : (value) => count(Math.round(value)),
				axisLabelWidth: 64 },
			y: { axisLabelFormatter: (value, granularity, option, plot) => {
				const [low, high] = plot.yAxisRange();

				return value.toFixed(high - low > 1.5 ? 1 : high - low > 0.15 ? 2 : 3);
			}, axisLabelWidth: 42 },
		},
		underlayCallback: draw_marks(curve, state.by_time),
		highlightCallback: (event, x, points, row) => fill(readout, say_point(curve, row)),
		unhighlightCallback: () => fill(readout, say_nothing(curve, true)),
		pointClickCallback: (event, point) => {
			location.hash = `#/block/${curve.height[point.idx]}`;
		},
		zoomCallback: (low, high) => zoomed(curve, low, high),
	});
}

// Without a library: the line alone.
function draw_plain(holder, curve) {
	const known = curve.height.map((_, at) => at).filter((at) => curve.loss[at] !== null);
	const width = 700, height = 220;
	const low = Math.min(...known.map((at) => curve.least[at])), high = Math.max(...known.map((at) => curve.most[at]));
	const first = curve.height[0], last = curve.height[curve.height.length - 1];
	const x = (block) => (block - first) * width / (last - first || 1), y = (loss) => (high - loss) * height / (high - low || 1);
	const line = known.map((at, place) =>
		`${place === 0 ? "M" : "L"}${x(curve.height[at]).toFixed(1)} ${y(curve.loss[at]).toFixed(1)}`);
	const words = [[-6, 8, high], [-6, height, low]];

	fill(holder, h("svg", { viewBox: `-44 -6 ${width + 50} ${height + 32}`, role: "img",
		"aria-label": "loss over blocks" },
		curve.merges.map((merge) => h("line.rule", { x1: x(merge.height), x2: x(merge.height), y1: 0, y2: height })),
		h("path.line", { d: line.join("") }),
		words.map(([at, level, loss]) => h("text.axis", { x: at, y: level, "text-anchor": "end" }, nats(loss, 2))),
		[first, last].map((block, at) => h("text.axis",
			{ x: x(block), y: height + 20, "text-anchor": at ? "end" : "start" }, count(block)))));
}

function figures(curve) {
	const rows = curve.height.map((height, at) => at).reverse().filter((at) =>
		at % Math.ceil(curve.height.length / ROWS) === 0);

	return table([
		{ name: "block", of: (at) => block_link(curve.height[at]) },
		{ name: "when", of: (at) => moment(curve.time[at]) },
		{ name: "loss", class: "n", of: (at) => nats(curve.loss[at]) },
		{ name: "least", class: "n hide-narrow", of: (at) => nats(curve.least[at]) },
		{ name: "most", class: "n hide-narrow", of: (at) => nats(curve.most[at]) },
	], rows);
}

// A card with the curve. It follows the chain until somebody has zoomed into it.
export function curve_card(view, span = "s8") {
	const holder = h("div.plot", { role: "img", "aria-label": "the loss over blocks" }), readout = h("div.readout");
	const state = { by_time: false, window: null, plot: null };
	const choices = [["blocks", false], ["time", true]].map(([text, by_time]) =>
		h("button.plain", { type: "button", "aria-pressed": by_time === state.by_time, onclick: () => choose(by_time) },
			text));
	const details = h("details.quiet", { hidden: true }, h("summary", "the figures"));
	const body = h("div.body.fill", { "aria-busy": "true" }, holder, readout, details);
	const section = h(`section.card.${span}`, h("div.title",
		h("h2", "Loss over blocks ", h("span", "· nats a byte")),
		h("div.tools", choices)), body);

	function choose(by_time) {
		state.by_time = by_time;
		state.window = null;
		for (const [at, button] of choices.entries())
			button.setAttribute("aria-pressed", (at === 1) === by_time);
		refresh();
	}

	function zoomed(curve, low, high) {
		const inside = curve.height.filter((height, at) => {
			const x = state.by_time ? curve.time[at] * 1000 : height;

			return x >= low && x <= high;
		});
		const all = inside.length === curve.height.length && state.window === null;

		state.window = inside.length < 2 || all ? null : [inside[0], inside[inside.length - 1]];
		refresh();
	}

	async function refresh() {
		try {
			const [from, to] = state.window ?? [];
			if ((await get("chain", view.signal)).blocks === 0) {
				holder.hidden = true;
				fill(readout, "The curve begins with block 1.");
				return;
			}
			const [Dygraph, curve] = await Promise.all([load_library(),
				get(path_of("curve", undefined, { points: POINTS, from, to }), view.signal)]);

			draw(Dygraph, curve);
		} catch (error) {
			if (view.signal.aborted)
				return;
			state.plot?.destroy();
			state.plot = null;
			holder.hidden = true;
			fill(readout, explain(error));
		}
	}

	function draw(Dygraph, curve) {
		state.plot?.destroy();
		state.plot = null;
		holder.hidden = false;
		if (Dygraph === null) {
			draw_plain(holder, curve);
			fill(readout, "Zooming needs the library dygraphs (Debian: libjs-dygraphs), which this machine does not have.");
		} else {
			state.plot = draw_dygraph(Dygraph, holder, readout, curve, state, zoomed);
			fill(readout, say_nothing(curve, true), state.window && [" ", h("button.plain", { type: "button",
				onclick: () => { state.window = null; refresh(); } }, "show all")]);
		}
		details.hidden = false;
		fill(details, h("summary", "the figures"), figures(curve));
	}

	view.on(["block"], () => state.window === null && !holder.matches(":hover") && refresh());
	addEventListener("theme", refresh, { signal: view.signal });
	const sized = new ResizeObserver(() => state.plot?.resize());

	sized.observe(holder);
	view.signal.addEventListener("abort", () => {
		sized.disconnect();
		state.plot?.destroy();
	});
	section.ready = refresh().finally(() => body.removeAttribute("aria-busy"));
	return section;
}
