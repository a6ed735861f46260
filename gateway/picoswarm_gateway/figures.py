"""Figures of a mesh in words, for terminals: what `picoswarm top` shows of the nodes that a gateway tells of.

Names, addresses and logs come from other machines: `clean` takes out what a terminal would obey.
"""

from __future__ import annotations

import json
import time
from typing import Any

from rich.text import Text

# name, heading, whether it is a number
COLUMNS = (
    ("name", "Name", False),
    ("id", "Id", False),
    ("address", "Address", False),
    ("rtt", "RTT", True),
    ("seen", "Seen", True),
    ("in", "In/s", True),
    ("out", "Out/s", True),
    ("total", "Bytes", True),
    ("messages", "Messages", True),
    ("firmware", "Firmware", False),
)
NUMBERS = {"rtt_ms": None, "last_seen": 0, "bytes_in": 0, "bytes_out": 0, "port": 0}
QUIET = "grey62"
STYLES = {"warning": "yellow", "error": "red", "critical": "red", "debug": QUIET}


def clean(text: object) -> str:
    """A text whose control characters, terminal sequences among them, are dots."""
    return "".join(letter if letter.isprintable() else "·" for letter in str(text))


def count(value: float) -> str:
    """A number with thousands apart."""
    return f"{value:,.0f}"


def size(value: float) -> str:
    """Bytes in three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 9.95 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def span(seconds: float) -> str:
    """A length of time in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def columns() -> list[str]:
    """The names of the columns."""
    return [name for name, _, _ in COLUMNS]


def line_of(line: str) -> Text:
    """A line of a log. The gateway's own are JSON, those of boards are text."""
    try:
        facts = json.loads(line) if line.startswith("{") else None
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        return Text(clean(line))
    moment, event, level = (str(facts.pop(name, "")) for name in ("timestamp", "event", "level"))
    told = "  ".join(f"{name}={value}" for name, value in facts.items() if name != "logger")
    return Text.assemble((moment[11:19] + "  ", QUIET), (clean(event), STYLES.get(level, "bold")), "  ", clean(told))


class Figures:
    """The nodes as the gateway told of them last, and how fast their bytes grow."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.nodes: dict[str, dict[str, Any]] = {}
        self.speeds: dict[str, tuple[float, float]] = {}  # bytes a second in and out, by id
        self._at = 0.0  # of the last reading, time.monotonic()
        self._messages_per_s = 0.0

    def take(self, state: dict[str, Any], nodes: list[dict[str, Any]], now: float | None = None) -> None:
        """A new reading of /api/state and /api/nodes. What lacks in a node gets its default."""
        now = time.monotonic() if now is None else now
        took = now - self._at if self._at else 0.0
        before, had = self.nodes, self.state
        self.nodes = {
            node["id"]: {"name": "", "state": "gone", "ip": "", "firmware": "", **NUMBERS, **node} for node in nodes
        }
        self.state, self._at = state, now
        self.speeds = {}
        for id_, node in self.nodes.items():
            old = before.get(id_)
            if old and took > 0:
                grown = (node[name] - old[name] for name in ("bytes_in", "bytes_out"))
                self.speeds[id_] = tuple(max(0.0, each / took) for each in grown)
        grown = state.get("messages", 0) - had.get("messages", state.get("messages", 0))
        self._messages_per_s = max(0.0, grown / took) if took > 0 else 0.0

    def rates(self) -> tuple[float, float, float]:
        """Messages, bytes in and bytes out a second, of the whole gateway, between the last two readings."""
        return (self._messages_per_s, *(sum(speed[way] for speed in self.speeds.values()) for way in (0, 1)))

    def name(self, id_: str) -> str:
        """Of a node, or the beginning of its id."""
        return clean(self.nodes.get(id_, {}).get("name") or id_[:8])

    def messages(self, node: dict[str, Any]) -> int:
        """How many the gateway got from a node, over all channels."""
        return sum(counts[0] for counts in node.get("channels", {}).values())

    def value(self, node: dict[str, Any], column: str) -> Any:
        """What a column sorts by; numbers from large to small, but times from short to long."""
        speed = self.speeds.get(node["id"], (0.0, 0.0))
        return {
            "name": (not node["name"], node["name"].lower()),
            "id": node["id"],
            "address": (node["ip"], node["port"]),
            "rtt": (node["rtt_ms"] is None, node["rtt_ms"] or 0),
            "seen": -node["last_seen"],
            "in": -speed[0],
            "out": -speed[1],
            "total": -node["bytes_in"] - node["bytes_out"],
            "messages": -self.messages(node),
            "firmware": node["firmware"],
        }[column]

    def found(self, word: str, by: str, is_reversed: bool) -> list[dict[str, Any]]:
        """The nodes in which a word stands, in order."""
        nodes = [node for node in self.nodes.values() if word in " ".join(row(node, self)).lower() or word in node["id"]]
        return sorted(nodes, key=lambda node: (self.value(node, by), node["id"]), reverse=is_reversed)

    def text(self) -> str:
        """All of it as plain lines."""
        state = self.state
        families = ", ".join(
            f"{name} {facts.get('state', '?')}" for name, facts in sorted(state.get("families", {}).items())
        )
        lines = [
            clean(f"{state.get('name', '')} {state.get('id', '')[:8]}  up {span(state.get('uptime_s', 0))}"),
            clean(f"families: {families or 'none'}"),
            "",
        ]
        rows = [["State", *(title for _, title, _ in COLUMNS)]]
        rows += [[node["state"], *row(node, self)] for node in self.found("", "name", False)]
        wide = [max(len(cells[i]) for cells in rows) for i in range(len(rows[0]))]
        right = [False, *(is_number for _, _, is_number in COLUMNS)]
        for cells in rows:
            padded = [
                cell.rjust(n) if to_right else cell.ljust(n) for cell, n, to_right in zip(cells, wide, right, strict=True)
            ]
            lines.append("  ".join(padded).rstrip())
        return "\n".join(lines)


def row(node: dict[str, Any], figures: Figures) -> list[str]:
    """The cells of a node, one for each of COLUMNS."""
    speed = figures.speeds.get(node["id"])
    seen = "now" if node["state"] == "session" else span(time.time() - node["last_seen"]) if node["last_seen"] else "–"
    return [
        clean(node["name"] or "–"),
        node["id"][:8],
        clean(f"{node['ip']}:{node['port']}") if node["ip"] else "–",
        "–"
        if node["rtt_ms"] is None
        else f"{node['rtt_ms']:.0f} ms"
        if node["rtt_ms"] >= 10
        else f"{node['rtt_ms']:.1f} ms",
        seen,
        size(speed[0]) if speed else "–",
        size(speed[1]) if speed else "–",
        size(node["bytes_in"] + node["bytes_out"]),
        count(figures.messages(node)),
        clean(node["firmware"].removeprefix("picoswarm ") or "–"),
    ]
