// The model continues a text.

import { post, write_text } from "../api.js";
import { fill, h } from "../dom.js";
import { count, duration } from "../format.js";
import { again_button, card, explain, head, span } from "../parts.js";

const BYTES = 300;

function number_field(text, attributes) {
	const input = h("input", { type: "number", ...attributes });

	return { label: h("label", text, input), input };
}

// A text, and what the model makes of it: "Continue" lets it write on behind what is there, "Edit" takes the text back.
export function ask_form(view, { bytes = BYTES, compact = false } = {}) {
	const prompt = h("textarea.prompt", { rows: compact ? 4 : 6, "aria-label": "what it shall continue",
		maxlength: 8000, spellcheck: "false",
		placeholder: "The beginning of a text" }, "The ");
	const warmth = number_field("temperature", { min: 0, max: 2, step: 0.1, value: 0.8 });
	const length = number_field("bytes", { min: 1, max: 2000, step: 1, value: bytes });
	const seed = number_field("seed", { min: 0, step: 1, placeholder: "drawn" });
	const text = h("p.play.asked", { "aria-live": "polite", tabindex: 0, hidden: true }), about = h("div.chips.gap");
	const button = h("button.main", { type: "submit" }, "Continue"),
		edit = h("button", { type: "button", hidden: true }, "Edit"),
		stop = h("button", { type: "button", hidden: true }, "Stop");
	const form = h("form.fill", prompt, text,
		h("div.controls", button, stop, edit, warmth.label, length.label, !compact && seed.label), about);

	function show_text(is_shown) {
		prompt.hidden = is_shown;
		text.hidden = edit.hidden = !is_shown;
	}

	// Or not any more.
	function show_work(is_working) {
		button.hidden = edit.disabled = is_working;
		stop.hidden = !is_working;
		text.classList.toggle("busy", is_working);
	}

	async function ask(event) {
		const stopping = new AbortController(), signal = AbortSignal.any([view.signal, stopping.signal]);
		const start = performance.now();
		const body = { prompt: prompt.value, bytes: Number(length.input.value), temperature: Number(warmth.input.value),
			receipt: true };

		event.preventDefault();
		if (seed.input.value !== "")
			body.seed = seed.input.value;
		const written = h("em");

		show_text(true);
		show_work(true);
		fill(text, body.prompt, written);
		fill(about);
		stop.onclick = () => stopping.abort();
		try {
			const answer = await write_text(body, (piece) => written.append(piece), signal);
			const seconds = (performance.now() - start) / 1000;

			fill(about, chips(answer, body, seconds), answer.receipt && receipt_of(view, answer));
		} catch (error) {
			if (!signal.aborted)
				fill(about, explain(error));
		}
		prompt.value = body.prompt + written.textContent;
		show_work(false);
	}

	form.addEventListener("submit", ask);
	edit.addEventListener("click", () => {
		show_text(false);
		prompt.focus();
	});
	prompt.addEventListener("keydown", (event) => {
		if (event.key === "Enter" && (event.ctrlKey || event.metaKey))
			form.requestSubmit();
	});
	return form;
}

function chips(answer, asked, seconds) {
	return [
		`seed ${answer.seed}`, `after block ${count(answer.height)}`,
		`${count(Math.round(asked.bytes / seconds))} bytes/s`,
	].map((words) => h("span.chip", words));
}

// --- receipts ---

// What somebody needs to follow the text elsewhere.
const slip_of = (answer) => ({ receipt: answer.receipt, prompt: answer.prompt, output: answer.hex });

function draw_verdict(verdict, seconds) {
	if (verdict.valid)
		return h("p.note.good", `Signed, and written by that very model: followed here in ${duration(seconds)}.`);
	return h("p.note.bad", verdict.wrong, verdict.fraud && " Whoever holds the key of this receipt has lied.",
		verdict.expected && ` After ${count(verdict.agreed_bytes)} bytes it says ${verdict.stated}, the model ${verdict.expected}.`);
}

// A chip that opens: the receipt, to be copied, and followed here.
function receipt_of(view, answer) {
	const slip = slip_of(answer), text = JSON.stringify(slip, null, 1);
	const { button, found } = again_button(view, "Follow it here", "verify", slip, draw_verdict, false);
	const copy = h("button", { type: "button" }, "Copy");

	copy.addEventListener("click", async () => {
		await navigator.clipboard.writeText(text);
		copy.textContent = "Copied";
	});
	return h("details.receipt", h("summary.chip.good", "receipt: anyone can re-run this"),
		h("pre.code", { tabindex: 0 }, text), h("div.row.gap", button, copy), found);
}

// Somebody else's, pasted.
function receipt_form(view) {
	const slip = h("textarea.mono", { rows: 4, spellcheck: "false", required: true,
		"aria-label": "the receipt, with prompt and output",
		placeholder: '{"receipt": {…}, "prompt": "…", "output": "hex"}' });
	const found = h("div.gap", { "aria-live": "polite" });
	const form = h("form", slip, h("div.controls", h("button", { type: "submit" }, "Follow it here")), found);

	form.addEventListener("submit", async (event) => {
		const start = performance.now();

		event.preventDefault();
		fill(found, h("p.note", "…"));
		try {
			const verdict = await post("verify", JSON.parse(slip.value), view.signal);

			fill(found, draw_verdict(verdict, (performance.now() - start) / 1000));
		} catch (error) {
			if (!view.signal.aborted)
				fill(found, explain(error));
		}
	});
	return form;
}

export async function show(view) {
	return { title: "Ask", content: [
		head("Ask it", "The present model continues what you write, byte by byte, on this machine. It is as good as what the chain has taught " +
			"it so far."),
		h("div.grid", span("s12", card(null, ask_form(view))),
			span("s12", card("Check a receipt", h("p.quiet", "A receipt says which node wrote what with " +
			"which model. Paste one as it is copied here: this node follows the text with that model."),
				receipt_form(view))))] };
}
