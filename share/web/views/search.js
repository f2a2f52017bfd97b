// What a text may mean. If it is one thing, that is shown at once.

import { get, path_of } from "../api.js";
import { h } from "../dom.js";
import { count } from "../format.js";
import { card, dataset_link, head } from "../parts.js";

const ROUTES = {
	block: (found) => [`block/${found.hash}`, `block ${count(found.height)}`],
	transaction: (found) => [`tx/${found.txid}`, `transaction ${found.txid}`],
	proof: (found) => [`proof/${found.id}`, `proof ${found.id}`],
	address: (found) => [`address/${found.address}`, `address ${found.address}`],
	dataset: (found) => [`dataset/${found.number}`, found.title],
};

export async function show(view, [text]) {
	const found = await get(path_of("search", undefined, { text }), view.signal);

	if (found.length === 1) {
		location.replace(`#/${ROUTES[found[0].kind](found[0])[0]}`);
		return { title: "Search", content: [] };
	}
	return { title: "Search", content: [
		head("Search", found.length === 0 ? `Nothing here is “${text}”: no block, proof, transaction, address or dataset.` :
			`“${text}” may be:`),
		found.length > 0 && card(null, h("ul.plain", found.map((one) => h("li", one.kind === "dataset" ?
			dataset_link(one.number, one.title) : h("a", { href: `#/${ROUTES[one.kind](one)[0]}` },
				ROUTES[one.kind](one)[1])))))] };
}
