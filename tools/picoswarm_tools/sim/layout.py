"""Where nodes stand in the picture of a mesh: each site is a ring, and in it those are near who had sessions."""

from __future__ import annotations

from collections import Counter
from math import cos, pi, sin, sqrt
from typing import Any

import networkx

SHOWN = 600  # nodes in the picture; more would be a smear
SPRUNG = 350  # nodes of a site whose places are worked out from their sessions

Spot = tuple[float, float]


def place(
    nodes: list[dict[str, Any]], sites: list[dict[str, Any]], edges: list[list[int]]
) -> tuple[list[int], list[Spot], list[dict[str, Any]]]:
    """(numbers of the nodes that are shown, their places in 0..1000, the rings of sites)."""
    special = [number for number, node in enumerate(nodes) if node["role"] != "board"]
    boards = [number for number, node in enumerate(nodes) if node["role"] == "board"]
    room = max(0, SHOWN - len(special))
    step = max(1.0, len(boards) / room) if room else 1.0
    picked = [boards[int(at * step)] for at in range(min(room, len(boards)))]
    shown = sorted(special[:SHOWN] + picked)
    weights = Counter((min(edge), max(edge)) for edge in edges)
    names = list(dict.fromkeys(nodes[number]["site"] for number in shown))
    kinds = {site["name"]: site for site in sites}
    spots: dict[int, Spot] = {}
    rings = []
    sizes = [sqrt(sum(nodes[number]["site"] == name for number in shown)) for name in names]
    for (x, y, radius), name in zip(_rings(sizes), names, strict=True):
        members = [number for number in shown if nodes[number]["site"] == name]
        for number, (dx, dy) in zip(members, _inside(members, nodes, weights), strict=True):
            spots[number] = round(x + dx * radius * 0.92, 1), round(y + dy * radius * 0.92, 1)
        site = kinds.get(name)
        title = f"{name}, behind a {site['nat']} router" if site and site["nat"] else name or "internet"
        rings.append({"x": round(x, 1), "y": round(y, 1), "r": round(radius, 1), "name": title})
    return shown, [spots[number] for number in shown], rings


def _rings(sizes: list[float]) -> list[tuple[float, float, float]]:
    """A circle for each site: one alone fills the picture, several lie on a round."""
    if len(sizes) == 1:
        return [(500.0, 500.0, 480.0)]
    whole = sum(sizes)
    found, angle = [], -pi / 2 if len(sizes) > 2 else pi
    for size in sizes:
        part = 2 * pi * size / whole
        half = part / 2
        radius = min(290.0, 480 * sin(min(half, pi / 2)) / (1 + sin(min(half, pi / 2))) * 0.96)
        far = 485 - radius
        angle += half
        found.append((500 + far * cos(angle), 500 + far * sin(angle), radius))
        angle += half
    if len(sizes) == 2:
        small = [max(150.0, min(240.0, 480 * size / whole)) for size in sizes]
        found = [(15 + small[0], 500.0, small[0]), (985 - small[1], 500.0, small[1])]
    return found


def _inside(members: list[int], nodes: list[dict[str, Any]], weights: Counter[tuple[int, int]]) -> list[Spot]:
    """Places in the unit circle."""
    if len(members) == 1:
        return [(0.0, 0.0)]
    order = sorted(members, key=lambda number: (nodes[number]["role"] == "board", number))
    sunflower = {}
    for at, number in enumerate(order):
        far, turn = sqrt((at + 0.5) / len(order)), at * pi * (3 - sqrt(5))
        sunflower[number] = far * cos(turn), far * sin(turn)
    if len(members) > SPRUNG:
        return [sunflower[number] for number in members]
    graph = networkx.Graph()
    graph.add_nodes_from(members)
    inside = set(members)
    graph.add_weighted_edges_from(
        (a, b, min(count, 3)) for (a, b), count in sorted(weights.items()) if a in inside and b in inside
    )
    sprung = networkx.spring_layout(graph, pos=sunflower, k=2.2 / sqrt(len(members)), iterations=60, seed=1)
    far = max(sqrt(x * x + y * y) for x, y in sprung.values()) or 1.0
    # Ranks instead of distances spread what a spring would leave in a heap.
    ranked = sorted(members, key=lambda number: (float(sprung[number][0] ** 2 + sprung[number][1] ** 2), number))
    found = {}
    for at, number in enumerate(ranked):
        x, y = (float(value) for value in sprung[number])
        length = sqrt(x * x + y * y) or 1e-9
        wanted = 0.35 * length / far + 0.65 * sqrt((at + 0.5) / len(ranked))
        found[number] = x / length * wanted, y / length * wanted
    return [found[number] for number in members]
