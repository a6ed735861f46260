"""The boards: boards/*/board.json, their profiles, and what was measured of them (board_pages.py)."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Bytes that have to be left for a program, updates, and the gaps between what is in use: with less, memory runs out.
MARGIN = 16 * 1024


def boards(root: Path = ROOT) -> list[dict]:
    """The board.json of every board, by name."""
    return [json.loads(path.read_text()) for path in sorted((root / "boards").glob("*/board.json"))]


def numbers_of(name: str) -> dict[str, int]:
    """In what the profile in boards/<name>/ differs from the default one. Raises FileNotFoundError."""
    return dict(vars(runpy.run_path(str(ROOT / "boards" / name / "profile.py"))["PROFILE"]))


def measured() -> dict:
    """What `--measure` wrote: by board, bytes of heap by how the library is there; and what the firmware itself takes."""
    return json.loads((ROOT / "boards" / "measured.json").read_text())


def heap_of(board: dict) -> int:
    """Bytes of a board's heap that MicroPython before its prompt and the network interface leave, as far as is known."""
    return board["heap_bytes"] - board.get("prompt_bytes", 0) - board.get("network_bytes", 0)
