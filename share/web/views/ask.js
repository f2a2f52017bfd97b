// The model continues a text.

import { post } from "../api.js";
import { fill, h } from "../dom.js";
import { count, duration } from "../format.js";
import { block_link, card, explain, head } from "../parts.js";

const BYTES = 300;

function number_field(text, attributes) {
	const input = h("input", { type: "number", ...attributes });

	return { label: h("label", text, input), input };
}

// A text, and what the model makes of it: "Go on" lets it write on behind what is there, "Edit" takes the text back.
export function ask_form(view, { bytes = BYTES, compact = false } = {}) {
	const prompt = h("textarea.prompt", { rows: compact ? 4 : 6, "aria-label": "what it shall continue", maxlength: 8000, spellcheck: "false",
		placeholder: "The beginning of a text" }, "The ");
	const warmth = number_field("temperature", { min: 0, max: 2, step: 0.1, value: 0.8 });
	const length = number_field("bytes", { min: 1, max: 2000, step: 1, value: bytes });
	const seed = number_field("seed", { min: 0, step: 1, placeholder: "drawn" });
	const text = h("p.play.asked", { "aria-live": "polite", tabindex: 0, hidden: true }), about = h("div.chips.gap");
	const button = h("button.main", { type: "submit" }, "Go on"), edit = h("button", { type: "button", hidden: true }, "Edit");
	const form = h("form.fill", prompt, text,
		h("div.controls", button, edit, warmth.label, length.label, !compact && seed.label), about);

	function show_text(is_shown) {
		prompt.hidden = is_shown;
		text.hidden = edit.hidden = !is_shown;
	}

	async function ask(event) {
		const start = performance.now();
		const body = { prompt: prompt.value, bytes: Number(length.input.value), temperature: Number(warmth.input.value) };

		event.preventDefault();
		if (seed.input.value !== "")
			body.seed = seed.input.value;
		button.disabled = edit.disabled = true;
		show_text(true);
		text.classList.add("busy");
		fill(text, body.prompt);
		fill(about);
		try {
			const answer = await post("generate", body, view.signal);
			const seconds = (performance.now() - start) / 1000;

			fill(text, answer.prompt, h("em", answer.text));
			prompt.value = answer.prompt + answer.text;
			fill(about, chips(answer, body, seconds));
		} catch (error) {
			if (!view.signal.aborted)
				fill(about, explain(error));
		}
		text.classList.remove("busy");
		button.disabled = edit.disabled = false;
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
		`temperature ${asked.temperature}`, `seed ${answer.seed}`, `the model after block ${count(answer.height)}`,
		`${count(Math.round(asked.bytes / seconds))} bytes/s`,
	].map((words) => h("span.chip", words));
}

export async function show(view) {
	return { title: "Ask", content: [
		head("Ask it", "The present model continues what you write, byte by byte, on this machine. It is as good as what the chain has taught " +
			"it so far."),
		card(null, ask_form(view))] };
}
