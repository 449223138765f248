"""The figures as a table, as Markdown and as a plot, and what must hold."""

import dataclasses
import os
import platform
import statistics

import programs
from plot import plot
from scenarios import SAMPLE_COUNT

PEERS = tuple(peer.name for peer in programs.PEERS)
MANY_BOUNDS = {"start_sec": 2, "supervisor_rss_mb": 40, "idle_percent": 1,
               "visit_ms": 5}
NOTES = {"drain": "limit of the wire", "store": "limit of the disk"}


def median(figures, name, key):
    values = figures.get(name, {}).get(key)
    return statistics.median(values) if values else None


def fastest_peer(figures):
    peers = [name for name in PEERS if "wall" in figures.get(name, {})]
    return min(peers, key=lambda name: median(figures, name, "wall"), default=None)


def least_of_peers(figures, key):
    values = [median(figures, name, key) for name in PEERS]
    return min((value for value in values if value is not None), default=None)


# --- what must hold -----------------------------------------------------------

@dataclasses.dataclass
class Limit:
    scenario: str
    text: str
    value: float
    bound: float

    @property
    def is_reached(self):
        return self.value <= self.bound


def _limit(scenario, text, value, base, bound):
    """A ratio to the base, or None when one of both was not measured."""
    if value is None or not base:
        return None
    return Limit(scenario, text, value / base, bound)


def _limits_of(name, rtt_sec, figures):
    peer = fastest_peer(figures)

    def ours(key):
        return median(figures, "mailhaul", key)

    def its(key):
        return median(figures, peer, key)

    drain = median(figures, "drain", "wall")
    if name == "bulk":
        yield _limit(name, f"wall / {peer}'s", ours("wall"), its("wall"), 0.6)
        yield _limit(name, "wall / the drain's", ours("wall"), drain, 1.6)
        yield _limit(name, f"CPU / {peer}'s", ours("cpu"), its("cpu"), 0.8)
    elif name == "far":
        yield _limit(name, f"wall / {peer}'s", ours("wall"), its("wall"), 0.4)
        yield _limit(name, "wall / (the drain's + 2 round trips)", ours("wall"),
                     drain and drain + 2 * rtt_sec, 1.1)
    elif name == "accounts":
        yield _limit(name, f"wall / {peer}'s", ours("wall"), its("wall"), 0.4)
        yield _limit(name, f"CPU / {peer}'s", ours("cpu"), its("cpu"), 0.4)
    elif name == "empty":
        yield _limit(name, "round trips", ours("trips"), 1, 5)
    elif name == "five":
        yield _limit(name, "round trips", ours("trips"), 1, 6)
    elif name == "known":
        yield _limit(name, "wall / the best peer's", ours("wall"),
                     least_of_peers(figures, "wall"), 1)
        yield _limit(name, "memory / the best peer's", ours("memory"),
                     least_of_peers(figures, "memory"), 1)


def _limits_of_many(many):
    """From its lines of key=value; a key may say more in front."""
    for line in many.splitlines():
        key, _, value = line.partition("=")
        for end, bound in MANY_BOUNDS.items():
            if value and (key == end or key.endswith("_" + end)):
                yield Limit("many", key, float(value), bound)


def limits(results, many):
    """Of those that were measured."""
    found = [limit for scenario, figures in results.items()
             for limit in _limits_of(scenario.name, scenario.rtt_msec / 1000, figures)
             if limit is not None]
    return found + list(_limits_of_many(many))


# --- tables -------------------------------------------------------------------

def _spread(values, digits):
    if not values:
        return ""
    text = f"{statistics.median(values):.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):.{digits}f}-{max(values):.{digits}f})"
    return text


def _ratio(value, base):
    return f"{value / base:.2f}" if value is not None and base else ""


def _per_message(mine, key):
    return [count / SAMPLE_COUNT for count in mine.get(key, [])]


def _row(figures, name, peer):
    mine = figures[name]
    if "wall" not in mine:
        return None
    wall = median(figures, name, "wall")
    return {
        "": f"{name} ({NOTES[name]})" if name in NOTES else name,
        "runs": str(len(mine["wall"])),
        "wall s": _spread(mine["wall"], 3),
        "/ peer": _ratio(wall, median(figures, peer, "wall")),
        "/ drain": _ratio(wall, median(figures, "drain", "wall")),
        "CPU s": _spread(mine["cpu"], 3),
        "CPU / peer": _ratio(median(figures, name, "cpu"), median(figures, peer, "cpu")),
        "round trips": _spread(mine.get("trips"), 1),
        "memory MB": _spread([n / 1e6 for n in mine.get("memory", [])], 1),
        "largest process MB": _spread([n / 1e6 for n in mine.get("process_memory", [])], 1),
        "calls / message": _spread(_per_message(mine, "calls"), 1),
        "flushes / message": _spread(_per_message(mine, "flushes"), 2),
    }


def _table(figures):
    """Head and rows; a column that says nothing is left out."""
    peer = fastest_peer(figures)
    rows = [row for row in (_row(figures, name, peer) for name in figures) if row]
    head = [key for key in rows[0] if any(row[key] for row in rows)] if rows else []
    return head, [[row[key] for key in head] for row in rows]


def _limit_table(found):
    head = ["", "", "is", "at most", "reached"]
    return head, [[limit.scenario, limit.text, f"{limit.value:.2f}", f"{limit.bound:g}",
                   "yes" if limit.is_reached else "NO"] for limit in found]


def _failures(figures):
    return [f"{name} failed: {mine['error'].strip().splitlines()[-1]}"
            for name, mine in figures.items() if "error" in mine]


def _plain(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
        for row in [head, *rows])


def _markdown(head, rows):
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def scenario_text(scenario, figures):
    lines = [f"{scenario.name}: {scenario.title}", _plain(*_table(figures))]
    return "\n".join(lines + _failures(figures)) + "\n"


def limits_text(found):
    return "what must hold\n" + _plain(*_limit_table(found)) + "\n"


def _machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file
                  if line.startswith("model name")]
    return (f"{len(models) or os.cpu_count()} processors "
            f"({models[0] if models else platform.machine()}), "
            f"Linux {platform.release().split('-')[0]}")


def write(directory, results, many, found, rounds):
    os.makedirs(directory, exist_ok=True)
    parts = ["# Figures",
             f"Written by `make bench` on {_machine()}, in {rounds} interleaved rounds: "
             "the median, least and most of them in brackets. How it is measured: "
             "[README](../README.md).",
             "![Wall time per program](figures.svg)",
             "## What must hold\n\n" + _markdown(*_limit_table(found))]
    for scenario, figures in results.items():
        parts.append(f"## {scenario.name}\n\n{scenario.title}.\n\n"
                     + _markdown(*_table(figures)))
        parts += _failures(figures)
    if many:
        parts.append(f"## many\n\n10,000 accounts, mailhaul alone.\n\n```\n{many.strip()}\n```")
    with open(f"{directory}/figures.md", "w", encoding="utf-8") as file:
        file.write("\n\n".join(parts) + "\n")
    with open(f"{directory}/figures.svg", "w", encoding="utf-8") as file:
        file.write(plot(results))
