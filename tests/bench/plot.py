"""The plot: wall time, a panel per scenario, a bar per program.

Colours are of middle lightness on no background, to be read on light and dark.
A bar that would leave no room for the others is broken; its number is not.
"""

import statistics

WIDTH, LABEL, VALUE = 760, 90, 80
BAR, GAP, TITLE, MARGIN = 16, 6, 28, 16
LENGTH = WIDTH - LABEL - VALUE  # of the longest bar
BREAK = 8  # seconds are shown up to so many times the shortest bar
INK, OURS, THEIRS, LIMIT = "#7d8590", "#2f9e5f", "#6b8fbf", "#d0813a"
LIMIT_NAMES = {"drain": "wire", "store": "disk"}


def _text(x, y, text, anchor="start", weight="normal", colour=INK):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" '
            f'font-weight="{weight}" fill="{colour}">{text}</text>')


def _rect(x, y, width, colour):
    return (f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" '
            f'fill="{colour}"/>')


def _bar(name, seconds, longest, y):
    colour = OURS if name == "mailhaul" else THEIRS
    width = max(min(seconds / longest, 1) * LENGTH, 1)
    parts = [_text(LABEL - 8, y + BAR - 4, name, "end",
                   "bold" if name == "mailhaul" else "normal"),
             _text(LABEL + width + 6, y + BAR - 4, f"{seconds:.2f} s")]
    if seconds <= longest:
        return [*parts, _rect(LABEL, y, width, colour)]
    return [*parts, _rect(LABEL, y, width - 24, colour),
            _rect(LABEL + width - 18, y, 18, colour)]


def _mark(seconds, longest, top, bottom):
    x = LABEL + min(seconds / longest, 1) * LENGTH
    return (f'<line x1="{x:.1f}" y1="{top - 4}" x2="{x:.1f}" y2="{bottom + 4}" '
            f'stroke="{LIMIT}" stroke-width="1.5" stroke-dasharray="4 3"/>')


def _panel(scenario, figures, top):
    walls = {name: statistics.median(mine["wall"])
             for name, mine in figures.items() if "wall" in mine}
    bars = {name: wall for name, wall in walls.items() if name not in LIMIT_NAMES}
    marks = {name: wall for name, wall in walls.items() if name in LIMIT_NAMES}
    if not bars:
        return [], top
    longest = min(max(bars.values()), BREAK * min(bars.values()))
    parts = [_text(0, top + 16, scenario.title[0].upper() + scenario.title[1:],
                   weight="bold")]
    if marks:
        limits = ", ".join(f"{LIMIT_NAMES[name]} {wall:.2f} s"
                           for name, wall in marks.items())
        parts.append(_text(WIDTH, top + 16, f"limit: {limits}", "end", colour=LIMIT))
    first = y = top + TITLE
    for name, seconds in sorted(bars.items(), key=lambda item: item[1]):
        parts += _bar(name, seconds, longest, y)
        y += BAR + GAP
    parts += [_mark(seconds, longest, first, y - GAP) for seconds in marks.values()]
    return parts, y + MARGIN


def plot(results):
    parts, y = [], 0
    for scenario, figures in results.items():
        panel, y = _panel(scenario, figures, y)
        parts += panel
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" '
            f'width="{WIDTH}" height="{y}" role="img" '
            f'aria-label="Wall time of each program">\n'
            f'<g font-family="system-ui, sans-serif" font-size="13">\n'
            + "\n".join(parts) + "\n</g>\n</svg>\n")
