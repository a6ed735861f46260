"""`python -m picoswarm_tools.boards [--check]`: docs/boards.md from the data in boards/*/board.json."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "boards.md"

HEAD = """# Boards

Generated from `boards/*/board.json` by `make docs`; change the data, not this file. "Tested on" is what has really run:
no figure here comes from a board on somebody's desk unless it says so.

| board | chip | clock | Python heap | TCP connections | UDP queue | native code | tested on |
|---|---|---|---|---|---|---|---|
"""


def boards(root: Path = ROOT) -> list[dict]:
    """The board.json of every board, by name."""
    return [json.loads(path.read_text()) for path in sorted((root / "boards").glob("*/board.json"))]


def numbers_of(name: str) -> dict[str, int]:
    """In what the profile in boards/<name>/ differs from the default one. Raises FileNotFoundError."""
    return dict(vars(runpy.run_path(str(ROOT / "boards" / name / "profile.py"))["PROFILE"]))


def page() -> str:
    rows = [
        f"| {b['name']} (`{b['board']}`) | {b['chip']} | {b['mhz']} MHz | {b['heap_bytes']:,} B | {b['tcp_connections']} "
        f"| {b['udp_datagrams_queued']} datagrams | `{b['arch']}`, {b['native_code']} | {b['tested']} |\n"
        for b in boards()
    ]
    return HEAD + "".join(rows)


def main(arguments: list[str]) -> int:
    if "--check" not in arguments:
        TARGET.write_text(page())
        return 0
    if TARGET.exists() and TARGET.read_text() == page():
        return 0
    print("docs/boards.md is out of date: run `make docs`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
