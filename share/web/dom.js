// Elements, made without markup: whatever strangers wrote (titles, licences, data of transactions) ends up in text
// nodes and attributes, never where a browser would parse it.

const SVG = "http://www.w3.org/2000/svg";
const VECTOR = new Set(["svg", "path", "line", "rect", "circle", "g", "text", "title", "polyline"]);

// h("a.mono", { href: "#/" }, "text", element, [more]): null and false among the children are left out, and so may be
// the attributes. Of these on... are listeners, style is an object of properties (the CSP allows no style attributes),
// true is "".
export function h(spec, ...content) {
	const [attributes, ...children] = is_plain(content[0]) ? content : [{}, ...content];
	const [tag, ...classes] = spec.split(".");
	const element = VECTOR.has(tag) && tag !== "title" ?
		document.createElementNS(SVG, tag) : document.createElement(tag);

	if (classes.length > 0)
		element.setAttribute("class", classes.join(" "));
	for (const [name, value] of Object.entries(attributes))
		set(element, name, value);
	add(element, children);
	return element;
}

const is_plain = (value) => value !== null && typeof value === "object" &&
	Object.getPrototypeOf(value) === Object.prototype;

function set(element, name, value) {
	if (name.startsWith("aria-") && typeof value === "boolean")
		value = String(value);
	if (value === null || value === undefined || value === false)
		return;
	if (name.startsWith("on"))
		element.addEventListener(name.slice(2), value);
	else if (name === "style")
		for (const [property, text] of Object.entries(value))
			element.style.setProperty(property, text);
	else if (name === "class")
		element.classList.add(...value.split(" ").filter(Boolean));
	else
		element.setAttribute(name, value === true ? "" : String(value));
}

function add(element, children) {
	for (const child of children.flat(Infinity))
		if (child !== null && child !== undefined && child !== false)
			element.append(child);
}

// The title of a vector is its own kind of element.
export function vector_title(text) {
	const title = document.createElementNS(SVG, "title");

	title.textContent = text;
	return title;
}

export function fill(element, ...children) {
	element.replaceChildren();
	add(element, children);
	return element;
}
