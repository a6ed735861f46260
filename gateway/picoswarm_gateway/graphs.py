"""The topology of a mesh in the formats that other programs read: JSON, DOT (Graphviz), GraphML (yEd, Gephi), CSV (a line
for each link)."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from xml.sax.saxutils import escape, quoteattr

FORMATS = ("json", "dot", "graphml", "csv")
_LINK = ("rtt_ms", "quality")


def write(topology: dict[str, Any], form: str) -> str:
    """A text of one of FORMATS. `topology`: nodes with id, name, kind; links with a, b, rtt_ms, quality."""
    return {"json": _json, "dot": _dot, "graphml": _graphml, "csv": _csv}[form](topology)


def _json(topology: dict[str, Any]) -> str:
    return json.dumps(topology, indent=1) + "\n"


def _quoted(text: str) -> str:
    """A string of DOT, where only the quote and what makes it none are special."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _dot(topology: dict[str, Any]) -> str:
    lines = ["graph mesh {"]
    for node in topology["nodes"]:
        shape = "box" if node["kind"] == "gateway" else "ellipse"
        label = _quoted(node["name"] or node["id"][:8])
        lines.append(f"  {_quoted(node['id'])} [label={label} shape={shape}]")
    for link in topology["links"]:
        rtt = link["rtt_ms"]
        label = "" if rtt is None else f' [label="{rtt:.0f} ms"]'
        lines.append(f"  {_quoted(link['a'])} -- {_quoted(link['b'])}{label}")
    return "\n".join([*lines, "}", ""])


def _graphml(topology: dict[str, Any]) -> str:
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">',
        ' <key id="name" for="node" attr.name="name" attr.type="string"/>',
        ' <key id="kind" for="node" attr.name="kind" attr.type="string"/>',
        *(f' <key id="{key}" for="edge" attr.name="{key}" attr.type="double"/>' for key in _LINK),
        ' <graph id="mesh" edgedefault="undirected">',
    ]
    for node in topology["nodes"]:
        parts = "".join(f'<data key="{key}">{escape(node[key])}</data>' for key in ("name", "kind"))
        lines.append(f"  <node id={quoteattr(node['id'])}>{parts}</node>")
    for link in topology["links"]:
        parts = "".join(f'<data key="{key}">{link[key]}</data>' for key in _LINK if link[key] is not None)
        lines.append(f"  <edge source={quoteattr(link['a'])} target={quoteattr(link['b'])}>{parts}</edge>")
    return "\n".join([*lines, " </graph>", "</graphml>", ""])


def _csv(topology: dict[str, Any]) -> str:
    names = {node["id"]: node["name"] for node in topology["nodes"]}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["a", "b", "a_name", "b_name", *_LINK])
    for link in topology["links"]:
        ends = (link["a"], link["b"])
        figures = ("" if link[key] is None else link[key] for key in _LINK)
        writer.writerow([*ends, *(names.get(end, "") for end in ends), *figures])
    return out.getvalue()
