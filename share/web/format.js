// Figures as people read them. What is missing is a dash, never a guess.

const GROUPED = new Intl.NumberFormat("en");
const NOTHING = "–";
const MINUS = "−";

const known = (value) => value !== null && value !== undefined && !Number.isNaN(Number(value));

export const count = (value) => (known(value) ? GROUPED.format(value) : NOTHING);

export function plural(value, one, many = `${one}s`) {
	return `${count(value)} ${Number(value) === 1 ? one : many}`;
}

// Nats a byte: losses of a model this good differ in the third digit and after.
export const nats = (value, digits = 4) => (known(value) ? Number(value).toFixed(digits).replace("-", MINUS) : NOTHING);

export function change(value, digits = 4) {
	if (!known(value))
		return NOTHING;
	const text = Math.abs(value).toFixed(digits);

	return Number(text) === 0 ? text : (value < 0 ? MINUS : "+") + text;
}

export function amount(value, digits = 4) {
	if (!known(value))
		return NOTHING;
	return new Intl.NumberFormat("en", { minimumFractionDigits: digits,
		maximumFractionDigits: digits }).format(value).replace("-", MINUS);
}

export const share = (value, digits = 1) => (known(value) ? `${(value * 100).toFixed(digits)} %` : NOTHING);

function scaled(value, step, units, digits) {
	let at = 0;

	for (; Math.abs(value) >= step && at < units.length - 1; at++)
		value /= step;
	return `${at === 0 ? count(value) : value.toFixed(digits)} ${units[at]}`.trim();
}

export const bytes = (value) => (known(value) ? scaled(value, 1000, ["B", "kB", "MB", "GB", "TB"], 1) : NOTHING);
export const large = (value) => (known(value) ? scaled(value, 1000, ["", "k", "M", "G", "T"], 1) : NOTHING);

export function duration(seconds) {
	if (!known(seconds))
		return NOTHING;
	if (seconds < 1)
		return `${Math.round(seconds * 1000)} ms`;
	if (seconds < 100)
		return `${Math.round(seconds)} s`;
	if (seconds < 5400)
		return `${Math.round(seconds / 60)} min`;
	if (seconds < 129600)
		return `${Math.round(seconds / 3600)} h`;
	return plural(Math.round(seconds / 86400), "day");
}

export const age = (time) => (known(time) ? duration(Math.max(1, Date.now() / 1000 - time)) : NOTHING);

export function moment(time) {
	if (!known(time))
		return NOTHING;
	return new Date(time * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}

// The middle of a long name says nothing: "29dea8c1…ab207f".
export function short(text, head = 8, tail = 6) {
	const letters = String(text ?? NOTHING);

	return letters.length <= head + tail + 1 ? letters : `${letters.slice(0, head)}…${letters.slice(-tail)}`;
}

// Addresses begin alike: their prefix and the first letters of the key, then the last ones.
export const short_address = (text) => short(text, String(text ?? "").indexOf("1") + 3, 5);
