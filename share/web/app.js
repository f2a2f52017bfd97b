// The frame: which view an address means, what stands in the head, and events of the node.

import { get, listen, path_of, take_key } from "./api.js";
import { fill, h } from "./dom.js";
import { age, count, plural } from "./format.js";
import { ago, bar, explain, head, View } from "./parts.js";

// A module for each; only what is looked at is loaded.
const VIEWS = {
	"": "home", block: "block", blocks: "blocks", proof: "proof", tx: "tx", address: "address", dataset: "dataset",
		data: "data",
	people: "people", round: "round", rounds: "rounds", model: "model", ask: "ask", node: "node",
		contribute: "contribute",
	search: "search",
};
const SECTION = { block: "blocks", proof: "blocks", tx: "blocks", round: "rounds", dataset: "data", contribute: "data",
	address: "people" };
const LOOK = 5000; // milliseconds between looks at the chain while there are no events
const SECOND = 1000;
const FEW = 2; // blocks behind that are not worth a word

const main = document.getElementById("main");
const badge = document.getElementById("badge");
const query = document.getElementById("query");
let current = new View(), shown = 0, tip = "", live = false, first = true;
let lost = false; // the node did not answer when it was asked last
let failed = false; // nor when the view was drawn
let answered = 0; // when it last did

// --- views ---

function route() {
	const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
	const [name, ...parts] = path.split("/").map((part) => {
		try {
			return decodeURIComponent(part);
		} catch {
			return part;
		}
	});

	return { name, parts, query: new URLSearchParams(search) };
}

async function show() {
	const { name, parts, query: named } = route();
	const turn = ++shown, { hash } = location;

	current.leave();
	current = new View();
	const view = current;

	for (const anchor of document.querySelectorAll("nav a"))
		anchor.toggleAttribute("aria-current", anchor.hash === `#/${SECTION[name] ?? name}`);
	let drawn;

	failed = false;
	try {
		if (VIEWS[name] === undefined)
			throw new Error("There is no such view.");
		drawn = await (await import(`./views/${VIEWS[name]}.js`)).show(view, parts, named);
	} catch (error) {
		if (view.signal.aborted)
			return;
		failed = true;
		drawn = { title: "Not here", content: [head("Not here"), h("section.card", explain(error))] };
	}
	if (turn !== shown)
		return;
	document.title = drawn.title ? `${drawn.title} · Atelier` : "Atelier";
	fill(main, drawn.content);
	main.dataset.shown = hash;
	if (!first) {
		scrollTo(0, 0);
		main.focus({ preventScroll: true });
	}
	first = false;
}

// --- the head ---

function say_standing(chain) {
	badge.hidden = false;
	badge.textContent = `${chain.chain} · height ${count(chain.blocks)}`;
	badge.className = `badge ${live ? "live" : ""}`;
	badge.title = live ? "The node tells of each block as it comes." : "The node is asked every few seconds.";
	const behind = chain.headers - chain.blocks;

	fill(document.getElementById("standing"), behind > 0 ? `${plural(behind, "block")} behind the best header` :
		["The newest block is ", ago(chain.time), " old."]);
	say_warnings(chain.warnings ?? []);
	notice(behind > FEW && [`Catching up: ${count(chain.blocks)} of ${count(chain.headers)} blocks are executed. What you see is as of then.`,
		bar(chain.blocks / chain.headers, "blocks executed")]);
}

// A line above the view, or none.
function notice(content) {
	const line = document.getElementById("notice");

	line.hidden = !content;
	fill(line, content);
}

function say_lost({ status, message }) {
	const since = answered > 0 ? ` What you see is as of ${new Date(answered).toLocaleTimeString("en-GB")}; the page goes on by itself.` : "";
	const words = message + since;

	badge.hidden = false;
	badge.className = "badge lost";
	badge.textContent = status === 503 ? "starting" : "no node";
	badge.title = message;
	notice(h("span.bad", words));
	if (!lost)
		document.getElementById("news").textContent = words;
}

function say_warnings(warnings) {
	const bar = document.getElementById("warnings"), text = warnings.join("\n");

	if (bar.textContent !== text)
		bar.textContent = text;
	bar.hidden = text === "";
}

async function look() {
	try {
		const chain = await get("chain");

		answered = Date.now();
		say_standing(chain);
		if (lost && failed)
			show();
		else if (lost)
			current.tell("block", { height: chain.blocks, hash: chain.bestblockhash });
		lost = false;
		if (tip !== "" && tip !== chain.bestblockhash) {
			document.getElementById("news").textContent = `Block ${count(chain.blocks)} is the tip.`;
			current.tell("block", { height: chain.blocks, hash: chain.bestblockhash });
		}
		tip = chain.bestblockhash;
	} catch (error) {
		say_lost(error);
		lost = true;
	}
}

// --- search ---

document.getElementById("search").addEventListener("submit", (event) => {
	event.preventDefault();
	if (query.value.trim() !== "")
		location.hash = `#/${path_of("search", query.value.trim())}`;
	query.blur();
});

document.addEventListener("keydown", (event) => {
	if (event.target.closest("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey)
		return;
	if (event.key === "/") {
		event.preventDefault();
		query.focus();
		query.select();
	} else if (event.key === "ArrowLeft" || event.key === "ArrowRight")
		current.tell(event.key, {});
});

// --- the start ---

take_key();
addEventListener("hashchange", () => {
	take_key();
	show();
});
show();
look();
listen((kind, what) => {
	if (kind === "block")
		look();
	else
		current.tell(kind, what);
}, (connected) => {
	live = connected;
	look();
});
setInterval(() => {
	if (!live)
		look();
}, LOOK);
setInterval(() => {
	for (const element of document.querySelectorAll("time[data-since]"))
		if (element.textContent !== age(element.dataset.since))
			element.textContent = age(element.dataset.since);
}, SECOND);
