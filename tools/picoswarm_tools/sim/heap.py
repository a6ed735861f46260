"""How much of its heap a board of each group needs, by `picoswarm size` and the sessions that it really had."""

from __future__ import annotations

from typing import Any

from ..boards import boards
from ..runtimes import Missing
from .scenario import NodesTable, numbers


def estimates(groups: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """(group, board, bytes of the heap, parts of (what, bytes)) of each group with a board, and why there are none."""
    known = {board["board"]: board for board in boards()}
    found = []
    wanted = [group for group in groups if group["board"] in known]
    if not wanted:
        return [], "no group of nodes names a board"
    from ..size import predict

    for group in wanted:
        board = known[group["board"]]
        profile = numbers(NodesTable(name="", board=group["board"], profile=group["profile"]))
        try:
            parts = predict(profile, has_native=board["native_code"] == "in the heap")
        except (Missing, RuntimeError) as trouble:
            return [], str(trouble)
        shown: dict[str, int] = {}
        for part in parts:
            size = part.bytes * group["sessions"] if part.what == "sessions" else part.total
            what = "code" if part.what.startswith(("code", "native")) else part.what
            shown[what] = shown.get(what, 0) + size
        found.append(
            {
                "group": group["name"],
                "board": board["name"],
                "sessions": group["sessions"],
                "heap": board["heap_bytes"],
                "parts": list(shown.items()),
            }
        )
    return found, ""
