// The node: paths of /api/ (doc/rest.md), and the key that some actions need.

const KEY = "atelier-page-key";

export class Failure extends Error {
	// status: HTTP's, 0 where nothing answered. code: the call's own, as JSON-RPC has it.
	constructor(message, status, code) {
		super(message);
		this.status = status;
		this.code = code;
	}

	// This node has no such path: it is older than the page, or was built without what answers it.
	get is_missing() {
		return this.code === -32601 || (this.status === 404 && this.code === undefined);
	}
}

async function answer_of(path, options) {
	let response;

	try {
		response = await fetch(path, { ...options, cache: "no-cache" });
	} catch (error) {
		if (error.name === "AbortError")
			throw error;
		throw new Failure("The node does not answer. Is it running?", 0);
	}
	if (response.ok)
		return response;
	const text = await response.text();
	let error = null;

	try {
		error = JSON.parse(text).error;
	} catch {
		error = { message: text.trim() };
	}
	if (typeof error === "string")
		error = { message: error };
	throw new Failure(error?.message || `The node answers ${response.status}.`, response.status, error?.code);
}

export async function get(path, signal) {
	const response = await answer_of(`/api/${path}`, { signal });

	return response.json();
}

// A path from parts that may hold anything.
export function path_of(first, part, query) {
	const path = part === undefined ? first : `${first}/${encodeURIComponent(part)}`;
	const named = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null);

	return named.length > 0 ? `${path}?${new URLSearchParams(named)}` : path;
}

function post_options(body, signal) {
	const headers = { "Content-Type": "application/json" };

	if (key() !== "")
		headers["X-Atelier-Key"] = key();
	return { method: "POST", headers, body: JSON.stringify(body), signal };
}

export async function post(path, body, signal) {
	const response = await answer_of(`/api/${path}`, post_options(body, signal));

	return response.json();
}

// --- texts ---

// Calls told(object) for each message of an answer in pieces: lines "data: {...}", blank lines between, [DONE] at the end.
async function read_pieces(response, told) {
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	let text = "";

	for (;;) {
		const { value, done } = await reader.read();

		if (done)
			return;
		text += value;
		const messages = text.split("\n\n");

		text = messages.pop();
		for (const message of messages)
			if (message.startsWith("data: {"))
				told(JSON.parse(message.slice(6)));
	}
}

// What the model writes behind a prompt: { prompt, text, hex, seed, height, receipt }. told(text) is called for each piece.
// asked: generatetext's arguments. Where the door for programs has a key of its own, the text comes whole.
export async function write_text(asked, told, signal) {
	const { prompt, bytes, ...rest } = asked;
	const answer = { prompt, text: "" };
	let response;

	try {
		response = await answer_of("/v1/completions",
			post_options({ prompt, max_tokens: bytes, stream: true, ...rest }, signal));
	} catch (error) {
		if (!(error instanceof Failure && [401, 404, 405].includes(error.status)))
			throw error;
		const whole = await post("generate", asked, signal);

		told(whole.text);
		return whole;
	}
	await read_pieces(response, ({ choices, atelier, error }) => {
		if (error)
			throw new Failure(error.message, 500, error.code);
		const piece = choices[0]?.text ?? "";

		answer.text += piece;
		told(piece);
		if (atelier)
			Object.assign(answer, atelier.choices[0], { height: atelier.height });
	});
	return answer;
}

// --- the page key ---

export const key = () => sessionStorage.getItem(KEY) ?? "";

export function use_key(text) {
	sessionStorage.setItem(KEY, text.trim());
}

// The address that the node told its owner ends in #key=...: it is kept for this tab, and taken out of sight.
export function take_key() {
	const found = /^#key=([0-9A-Za-z_-]+)$/.exec(location.hash);

	if (found === null)
		return;
	use_key(found[1]);
	history.replaceState(null, "", "#/");
}

// --- events ---

const KINDS = ["block", "proof", "tx", "run", "model"];
const RETRY = 5000; // milliseconds

// Calls told(kind, what) for each event, and changed(live) when the connection comes or goes. A browser has six
// connections to a server, so of all tabs one listens and tells the others; when it is closed, another takes its place.
export function listen(told, changed) {
	if (!navigator.locks || !window.BroadcastChannel) {
		listen_here(told, changed);
		return;
	}
	const tabs = new BroadcastChannel("atelier-events");

	tabs.addEventListener("message", ({ data: [kind, what] }) => {
		if (kind === "live")
			changed(what);
		else if (kind !== "who")
			told(kind, what);
	});
	tabs.postMessage(["who", null]);
	navigator.locks.request("atelier-events", () => new Promise(() => {
		const spread = (kind, what) => tabs.postMessage([kind, what]);
		let live = false;

		listen_here((kind, what) => {
			told(kind, what);
			spread(kind, what);
		}, (connected) => {
			live = connected;
			changed(connected);
			spread("live", connected);
		});
		tabs.addEventListener("message", ({ data: [kind] }) => kind === "who" && spread("live", live));
	}));
}

function listen_here(told, changed) {
	const source = new EventSource("/api/events");

	source.addEventListener("open", () => changed(true));
	source.addEventListener("error", () => {
		changed(false);
		if (source.readyState === EventSource.CLOSED)
			setTimeout(() => listen_here(told, changed), RETRY);
	});
	for (const kind of KINDS)
		source.addEventListener(kind, (event) => told(kind, JSON.parse(event.data)));
}
