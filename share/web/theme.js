// Light or dark: the system's choice, or the other one if that was chosen here, which is kept. Not a module, so that it is settled before
// anything is painted.

{
	const KEY = "atelier-theme";
	const { style } = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");
	const is_dark = () => (style.colorScheme ? style.colorScheme === "dark" : system.matches);

	const use = (theme) => { style.colorScheme = ["light", "dark"].includes(theme) ? theme : ""; };

	function say() {
		document.getElementById("theme").setAttribute("aria-pressed", String(is_dark()));
		dispatchEvent(new Event("theme"));
	}

	function change() {
		const dark = !is_dark();

		use(dark === system.matches ? "" : dark ? "dark" : "light");
		try {
			localStorage.setItem(KEY, style.colorScheme);
		} catch {
			// It is kept until the page is left.
		}
		say();
	}

	try {
		use(localStorage.getItem(KEY));
	} catch {
		// A browser that keeps nothing for a page.
	}
	document.addEventListener("DOMContentLoaded", () => {
		const button = document.getElementById("theme");

		button.hidden = false;
		button.addEventListener("click", change);
		system.addEventListener("change", say);
		addEventListener("storage", ({ key, newValue }) => {
			if (key === KEY || key === null) {
				use(newValue);
				say();
			}
		});
		say();
	});
}
