// One key: what it was paid for, and what went in and out.

import { get, path_of } from "../api.js";
import { h } from "../dom.js";
import { amount } from "../format.js";
import { facts, get_panel, head, table, tx_link, block_link, whole } from "../parts.js";

export async function show(view, [address]) {
	return { title: "Address", content: [
		head("Address", null, h("a.chip", { href: `api/${path_of("address", address)}` }, "JSON")),
		h("div.grid", {}, get_panel(view, path_of("address", address), { span: "s12", kinds: ["block"], draw: (found) => [
			facts([["address", whole(address)], ["balance", amount(found.balance, 8)]]),
		] }))] };
}
