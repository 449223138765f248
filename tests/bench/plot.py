"""The plot: wall time, a panel per scenario, a bar per program.

Colours are of middle lightness on no background, to be read on light and dark.
"""

import statistics

WIDTH, LABEL, VALUE = 760, 110, 120
BAR, GAP, TITLE, MARGIN = 16, 6, 40, 12
INK, OURS, THEIRS, LIMIT = "#7d8590", "#2f9e5f", "#6b8fbf", "#d0813a"
LIMIT_NAMES = {"drain": "wire", "store": "disk"}


def _text(x, y, text, anchor="start", weight="normal"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{text}</text>')


def _bar(name, seconds, scale, y):
    colour = OURS if name == "mailhaul" else THEIRS
    width = max(seconds * scale, 1)
    middle = y + BAR - 4
    return [_text(LABEL - 8, middle, name, "end"),
            f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" '
            f'rx="2" fill="{colour}"/>',
            _text(LABEL + width + 6, middle, f"{seconds:.2f} s")]


def _mark(name, seconds, scale, top, bottom):
    x = LABEL + seconds * scale
    return [f'<line x1="{x:.1f}" y1="{top - 4}" x2="{x:.1f}" y2="{bottom}" '
            f'stroke="{LIMIT}" stroke-width="1.5" stroke-dasharray="4 3"/>',
            f'<title>{LIMIT_NAMES[name]}: {seconds:.2f} s</title>']


def _panel(scenario, figures, top):
    walls = {name: statistics.median(mine["wall"])
             for name, mine in figures.items() if "wall" in mine}
    bars = {name: wall for name, wall in walls.items() if name not in LIMIT_NAMES}
    marks = {name: wall for name, wall in walls.items() if name in LIMIT_NAMES}
    if not bars:
        return [], top
    scale = (WIDTH - LABEL - VALUE) / max(walls.values())
    title = scenario.title[0].upper() + scenario.title[1:]
    parts = [_text(0, top + 16, title, weight="bold")]
    if marks:
        limits = ", ".join(f"{LIMIT_NAMES[name]} {wall:.2f} s"
                           for name, wall in marks.items())
        parts.append(f'<g fill="{LIMIT}">'
                     + _text(WIDTH, top + 16, f"limit: {limits}", "end") + "</g>")
    y = top + TITLE - 12
    first = y
    for name, seconds in sorted(bars.items(), key=lambda item: item[1]):
        parts += _bar(name, seconds, scale, y)
        y += BAR + GAP
    for name, seconds in marks.items():
        parts += _mark(name, seconds, scale, first, y - GAP + 4)
    return parts, y + MARGIN


def plot(results):
    parts, y = [], 0
    for scenario, figures in results.items():
        panel, y = _panel(scenario, figures, y)
        parts += panel
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" '
            f'width="{WIDTH}" height="{y}" role="img" '
            f'aria-label="Wall time of each program">\n'
            f'<g font-family="system-ui, sans-serif" font-size="13" fill="{INK}">\n'
            + "\n".join(parts) + "\n</g>\n</svg>\n")
