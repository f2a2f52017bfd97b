"""Line charts as small SVG files that are legible on light and on dark ground."""

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 340, 54, 40, 210, 44
COLOURS = (("#2468b4", "#6aa9f0"), ("#c2541b", "#f29a66"), ("#1d8659", "#55c795"), ("#8447b5", "#c193ea"), ("#9a7400", "#dcb640"),
           ("#b5304f", "#f0839b"), ("#5b6670", "#a9b4bf"))
DASHES = ("", "6 3", "2 3", "9 3 2 3", "4 2", "1 2", "12 4")


def style():
    light = "".join(f".c{i}{{stroke:{c[0]}}}" for i, c in enumerate(COLOURS))
    dark = "".join(f".c{i}{{stroke:{c[1]}}}" for i, c in enumerate(COLOURS))
    return ("text{font:12px sans-serif;fill:#222}.title{font-weight:bold;font-size:14px}.ground{fill:#fff}.grid{stroke:#ddd}"
            f".line{{fill:none;stroke-width:2}}{light}"
            f"@media(prefers-color-scheme:dark){{text{{fill:#ddd}}.ground{{fill:#16191d}}.grid{{stroke:#3a3f45}}{dark}}}")


def ticks(low, high):
    """Round numbers between low and high, five or so."""
    step = 10.0 ** -6
    while (high - low) / step > 7:
        for factor in (2, 2.5, 2):
            step *= factor
            if (high - low) / step <= 7:
                break
    first = -int(-low // step) if low >= 0 else int(low / step)
    return [round(i * step, 6) for i in range(first, int(high / step + 1e-9) + 1) if i * step >= low - 1e-9]


def draw(path, title, horizontal, vertical, series, top):
    """series: (label, [(x, y)]); what lies above `top` is cut off."""
    right = max(x for _, points in series for x, _ in points)
    bottom = min(y for _, points in series for _, y in points)
    bottom -= 0.04 * (top - bottom)
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x, y):
        return LEFT + plot_width * x / right, TOP + plot_height * (top - y) / (top - bottom)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
           f"<style>{style()}</style>", f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>',
           f'<text class="title" x="{LEFT}" y="24">{title}</text>']
    for y in ticks(bottom, top):
        height = place(0, y)[1]
        out.append(f'<path class="grid" d="M{LEFT} {height:.1f}h{plot_width}"/>'
                   f'<text x="{LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in ticks(0, right):
        out.append(f'<text x="{place(x, 0)[0]:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:g}</text>')
    out.append(f'<text x="{LEFT + plot_width / 2}" y="{HEIGHT - 8}" text-anchor="middle">{horizontal}</text>'
               f'<text x="{LEFT + plot_width + 14}" y="24">{vertical}</text>')
    order = sorted(range(len(series)), key=lambda i: -series[i][1][-1][1])
    for row, i in enumerate(order):
        label, points = series[i]
        shown = [place(x, y) for x, y in points if y <= top]
        dash = f' stroke-dasharray="{DASHES[i]}"' if DASHES[i] else ""
        line, height = f'class="line c{i}"{dash}', TOP + 14 + 20 * row
        out.append(f'<polyline {line} points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in shown)}"/>'
                   f'<path {line} d="M{WIDTH - RIGHT + 14} {height - 4}h28"/>'
                   f'<text x="{WIDTH - RIGHT + 50}" y="{height}">{label}: {points[-1][1]:.3f}</text>')
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n</svg>\n")
