// Giving the chain a file to train on: first what it would cost, then for good. Only who has the page's key may spend.

import { key, post, use_key } from "../api.js";
import { fill, h } from "../dom.js";
import { amount, bytes, count } from "../format.js";
import { card, dataset_link, explain, facts, head, table, tx_link } from "../parts.js";

const LICENCES = ["CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "MIT", "Apache-2.0", "GPL-3.0-or-later"];

function hex_of(buffer) {
	return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What contributedata takes, by name.
async function request_of(fields, dry_run) {
	const file = fields.file.files[0];
	const request = { licence: fields.licence.value.trim(), title: fields.title.value.trim(),
		hexdata: hex_of(await file.arrayBuffer()),
		leave_out_pages: fields.pages.checked, dry_run };

	if (fields.wallet.value !== "")
		request.wallet = fields.wallet.value;
	if (fields.owner.value.trim() !== "")
		request.owner = fields.owner.value.trim();
	return request;
}

function draw_cost(answer) {
	return [
		facts([
			["size", `${bytes(answer.size)} (${count(answer.size)})`], ["burned", amount(answer.burned, 8)],
				["fee", amount(answer.fee, 8)],
			["owner", h("span.mono", answer.owner)], ["root", h("span.mono", answer.root)],
			["pages left out", answer.left_out?.length > 0 && count(answer.left_out.length)],
		]),
		(answer.warnings ?? []).map((warning) => h("p.note.bad", warning)),
	];
}

function draw_sent(answer) {
	return [
		h("p.note.good", "Committed. When the commitment is deep enough, the wallet registers the data by itself; until then it must stay loaded."),
		draw_cost(answer),
		h("p.quiet", "commitment ", tx_link(answer.commitment), " · registration ", tx_link(answer.txid),
			` · ${answer.stage}`),
	];
}

const STAGES = [
	{ name: "title", class: "wide", of: (one) => one.dataset !== undefined ?
		dataset_link(one.dataset, one.title) : one.title },
	{ name: "size", class: "n hide-narrow", of: (one) => bytes(one.size) },
	{ name: "licence", class: "hide-narrow clip", of: (one) => one.licence },
	{ name: "how far", of: (one) => h("span", { class: one.why ? "bad" : "", title: one.why },
		one.stage === "waiting" ? `waiting: ${one.depth} of ${one.needed} blocks` : one.stage) },
	{ name: "registration", class: "hide-narrow", of: (one) => tx_link(one.txid) },
];

// What the wallet has contributed, newest first, which follows the chain; nothing without the key.
function progress_of(view, fields) {
	const section = h("section.card.gap", { hidden: true });

	async function refresh() {
		if (key() === "")
			return;
		try {
			const found = await post("contributions", fields.wallet.value === "" ? {} : { wallet: fields.wallet.value },
				view.signal);

			section.hidden = found.length === 0;
			fill(section, h("div.title", h("h2", "What the wallet has contributed")),
				h("div.body", table(STAGES, found.reverse())));
		} catch {
			section.hidden = true;
		}
	}
	view.on(["block"], refresh);
	return { section, refresh };
}

// Which wallets there are to choose from, once the key is known.
async function fill_wallets(view, select) {
	if (key() === "")
		return;
	try {
		const names = await post("wallets", {}, view.signal);

		fill(select, names.map((name) => h("option", { value: name }, name || "(without a name)")));
		select.parentElement.hidden = names.length === 1;
		if (names.length === 0)
			fill(select, h("option", { value: "" }, "none is loaded: atelier-cli createwallet NAME makes one"));
	} catch {
		select.parentElement.hidden = true;
	}
}

export async function show(view) {
	const fields = {
		wallet: h("select"),
		file: h("input", { type: "file", required: true }),
		title: h("input", { maxlength: 64, required: true, placeholder: "at most 64 bytes" }),
		licence: h("input", { list: "licences", required: true, placeholder: "an SPDX expression, such as CC-BY-4.0" }),
		owner: h("input.mono", { placeholder: "a new address of the wallet" }),
		pages: h("input", { type: "checkbox" }),
		key: h("input.mono", { type: "password", autocomplete: "off", value: key(),
			placeholder: "the 64 digits behind #key=" }),
	};
	const progress = progress_of(view, fields);
	const result = h("div.full", { "aria-live": "polite" });
	const look = h("button", { type: "submit" }, "What would it cost?"),
		send = h("button.main", { type: "button", disabled: true }, "Contribute it");

	async function ask(dry_run) {
		look.disabled = send.disabled = true;
		use_key(fields.key.value);
		fill(result, h("p.note", "…"));
		try {
			const answer = await post("contribute", await request_of(fields, dry_run), view.signal);

			fill(result, dry_run ? draw_cost(answer) : draw_sent(answer));
			send.disabled = !dry_run;
			progress.refresh();
		} catch (error) {
			if (!view.signal.aborted)
				fill(result, explain(error));
		}
		look.disabled = false;
	}

	async function know() {
		use_key(fields.key.value);
		await fill_wallets(view, fields.wallet);
		await progress.refresh();
	}

	fields.file.addEventListener("change", () => {
		if (fields.title.value === "" && fields.file.files[0])
			fields.title.value = fields.file.files[0].name.slice(0, 64);
	});
	send.addEventListener("click", () => ask(false));
	fields.key.addEventListener("change", know);
	fields.wallet.addEventListener("change", progress.refresh);
	const form = h("form.form", { onsubmit: (event) => { event.preventDefault(); ask(true); },
		oninput: () => { send.disabled = true; } },
		h("label", "file", fields.file), h("label", "title", fields.title),
		h("label", "licence", fields.licence, h("datalist", { id: "licences" },
			LICENCES.map((id) => h("option", { value: id })))),
		h("label", "owner, who is paid", fields.owner),
		h("label.inline.full", fields.pages, "leave out pages that are nearly empty, or there twice"),
		h("label.full", { hidden: true }, "wallet that pays", fields.wallet),
		key() === "" && h("label.full", "the page's key: ",
			h("span.mono", "atelier-cli getpageaddress"), " tells the address with it",
			fields.key),
		h("div.row.full", look, send), result);

	know();
	return { title: "Contribute", content: [
		head("Contribute a file", "Your file becomes training data of the chain: public for good, under the licence that you state. When the " +
			"model gets better by it, its owner is paid. Registering burns coins of the node's wallet."),
		card(null, form), progress.section] };
}
