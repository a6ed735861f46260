"""The HTML report of a run: one file that loads nothing from elsewhere. Its parts lie in report/."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from . import heap, metrics
from .layout import place

PARTS = Path(__file__).with_name("report")
SERIES = ("on", "joined", "largest", "links", "pieces", "live", "dead", "bad", "udp_bytes", "tcp_bytes", "udp", "tcp")
COUNTS = ("published", "due", "delivered", "asked", "answered")


def data(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """What the page draws, from the lines of a results file."""
    first, last = lines[0], lines[-1]
    samples = [line for line in lines if "sample" in line]
    estimates, why = heap.estimates(last["groups"])
    return {
        "scenario": first["scenario"],
        "about": first["about"],
        "seed": first["seed"],
        "minutes": first["minutes"],
        "total": len(first["nodes"]),
        "summary": [
            {"name": name, "value": value, "unit": metrics.unit(name), "what": metrics.meaning(name)}
            for name, value in last["summary"].items()
        ],
        "expect": [{**each, "unit": metrics.unit(each["metric"])} for each in last["expect"]],
        "quantiles": last["quantiles"],
        "groups": last["groups"],
        "heap": estimates,
        "no_heap": why,
        "t": [line["t"] for line in samples],
        "series": {name: [line["sample"].get(name, 0) for line in samples] for name in (*SERIES, *COUNTS)},
        "events": [line for line in lines if "event" in line],
        "topology": topology(first, samples),
    }


def topology(first: dict[str, Any], samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Where the nodes stand, and frames of what changed: states by node, sessions that opened and closed."""
    frames = [(line["t"], line["states"], line["opened"], line["closed"]) for line in samples]
    shown, spots, rings = place(first["nodes"], first["sites"], [edge for frame in frames for edge in frame[2]])
    at = {number: index for index, number in enumerate(shown)}

    def kept(edges: list[list[int]]) -> list[list[int]]:
        return [[at[a], at[b]] for a, b in edges if a in at and b in at]

    return {
        "nodes": [
            {
                "x": x,
                "y": y,
                "name": first["nodes"][number]["id"],
                **{k: first["nodes"][number][k] for k in ("group", "role")},
            }
            for number, (x, y) in zip(shown, spots, strict=True)
        ],
        "rings": rings,
        "all": len(first["nodes"]),
        "frames": [
            [
                t,
                {at[int(number)]: state for number, state in states.items() if int(number) in at},
                kept(opened),
                kept(closed),
            ]
            for t, states, opened, closed in frames
        ],
    }


def render(lines: list[dict[str, Any]]) -> str:
    """The page."""
    found = data(lines)
    text = (PARTS / "report.html").read_text("utf-8")
    parts = {
        "@TITLE@": html.escape(f"{found['scenario']}, seed {found['seed']}"),
        "@STYLE@": (PARTS / "report.css").read_text("utf-8"),
        "@DATA@": json.dumps(found, separators=(",", ":")).replace("</", "<\\/"),
        "@SCRIPT@": "\n".join((PARTS / name).read_text("utf-8") for name in ("charts.js", "topology.js", "report.js")),
    }
    for mark, part in parts.items():
        text = text.replace(mark, part)
    return text
