"""`python -m picoswarm_tools.board_pages [--check | --measure]`: docs/boards.md and the board tables of README.md.

They are made from boards/*/board.json and from boards/measured.json, where `--measure` keeps what a node of each board's
profile takes of its heap (as `picoswarm size` measures it). `--check` writes nothing and exits 1 where a page is not what
this program would write.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from . import board_memory
from .boards import MARGIN, ROOT, boards, heap_of, measured, numbers_of

TARGET = ROOT / "docs" / "boards.md"
README = ROOT / "README.md"
TEXT = ROOT / "boards" / "page.txt"
BEGIN, END = "<!-- boards: made by `make docs` -->\n", "<!-- boards end -->\n"
LEVELS = {
    "none": "nothing yet",
    "unix": "unix build",
    "qemu": "unix build, kernels on an emulated core",
    "emulated": "the whole firmware on an emulated board",
    "hardware": "hardware",
}


def _table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [tuple(heads)]
    lines += [("---",) * len(lines[0]), *(tuple(map(str, row)) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def limits_table() -> str:
    heads = ("board", "chip", "flash", "Python heap", "TCP connections", "UDP queue", "native code", "LED", "tested on")
    return _table(
        heads,
        (
            (
                f"{b['name']} (`{b['board']}`)",
                f"{b['chip']}, {b['mhz']} MHz",
                f"{b['flash_kb'] // 1024} MB",
                f"{b['heap_bytes']:,} B",
                b["tcp_connections"],
                f"{b['udp_datagrams_queued']} datagrams",
                f"`{b['arch']}`, {b['native_code']}",
                b["led"],
                b["tested"],
            )
            for b in boards()
        ),
    )


def _left(heap: int, taken: int) -> str:
    return f"{taken:,} B, {heap - taken:,} B" if taken < heap else f"{taken:,} B: does not fit"


def memory_table() -> str:
    """What a node with all its sessions takes, and what it leaves."""
    found = measured()
    rows = []
    for b in boards():
        each = found["boards"][b["board"]]
        sessions = {**{"links": 4}, **numbers_of(b["board"])}["links"]
        cells = [_left(heap_of(b), each[way]) for way in ("mpy", "frozen")]
        rows.append((f"`{b['board']}`", f"{b['heap_bytes']:,} B", sessions, *cells))
    return _table(("board", "Python heap", "sessions", "`.mpy` files: taken, left", "frozen: taken, left"), rows)


def survival_table() -> str:
    heads = ("board", "images are told by", "keys survive in", "bad boots are counted in", "has")
    return _table(
        heads,
        (
            (
                f"`{b['board']}`",
                f"`{b['esptool_chip']}` (esptool)" if "esptool_chip" in b else f"UF2 family `{b['uf2_family']}`",
                b["keys_survive_in"],
                b["boot_count_in"],
                ", ".join(b["features"]),
            )
            for b in boards()
        ),
    )


def flash_table() -> str:
    rows = (
        (f"`{b['board']}`", part["what"], f"`{part['at']}`", f"{part['bytes'] // 1024:,} KB")
        for b in boards()
        for part in b["flash_map"]
    )
    return _table(("board", "what", "at", "size"), rows)


def page() -> str:
    """docs/boards.md: boards/page.txt with the tables in it."""
    text = TEXT.read_text()
    found = measured()
    tables = {
        "limits": limits_table(),
        "memory": memory_table(),
        "survival": survival_table(),
        "flash": flash_table(),
        "firmware bytes": f"{found['firmware']:,}",
        "network bytes": f"{sum(b.get('network_bytes', 0) for b in boards()):,}",
        "prompt bytes": f"{sum(b.get('prompt_bytes', 0) for b in boards()):,}",
        "provisioning bytes": f"{found['provisioning']:,}",
    }
    for name, table in tables.items():
        text = text.replace(f"{{{name}}}", table.rstrip("\n"))
    return text


def readme_part() -> str:
    found = measured()
    rows = []
    for b in boards():
        each = found["boards"][b["board"]]
        left = [heap_of(b) - each["mpy"] - found["firmware"], heap_of(b) - each["frozen"]]
        left = [f"{size // 1024} KB" if size >= MARGIN else "does not fit" for size in left]
        rows.append((f"{b['name']} (`{b['board']}`)", f"{b['heap_bytes'] // 1024} KB", *left, LEVELS[b["tested_level"]]))
    heads = ("board", "Python heap", "left for your program, from `.mpy` files", "the same, frozen", "tested on")
    return _table(heads, rows)


def readme() -> str:
    """README.md with its part made anew. Raises ValueError where the marks are missing."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"README.md has no lines {BEGIN!r} and {END!r}")
    return before + BEGIN + readme_part() + END + after


def main(arguments: list[str]) -> int:
    if "--measure" in arguments:
        (ROOT / "boards" / "measured.json").write_text(json.dumps(board_memory.measure(), indent=2) + "\n")
    pages = {TARGET: page(), README: readme()}
    if "--check" not in arguments:
        for path, text in pages.items():
            path.write_text(text)
        return 0
    stale = [path.name for path, text in pages.items() if not path.exists() or path.read_text() != text]
    if stale:
        print(f"{' and '.join(stale)} out of date: run `make docs`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
