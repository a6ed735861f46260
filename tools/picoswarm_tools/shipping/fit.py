"""Whether a board has the heap for the library as .mpy files, said before anything is written (boards/measured.json)."""

from __future__ import annotations

from ..boards import MARGIN, heap_of, measured
from .board import KB, Board
from .exits import Failed

# The library's name among those of a firmware's frozen modules.
_FROZEN = b"picoswarm/errors"
# Bytes of free heap as only a board with external RAM has: what is measured is that of one without.
PLENTY = 1024 * KB


def lacks_heap(board: Board, is_frozen: bool, free: int = 0) -> bool:
    """Whether a node with all its sessions has no room on that board. `free`: bytes that it says are free, 0 if it was not
    asked."""
    found = measured()
    taken = found["boards"].get(board.name)
    if not taken or is_frozen or free >= PLENTY:
        return False
    return taken["mpy"] + found["firmware"] + MARGIN > heap_of(board.facts)


def has_frozen(image: bytes) -> bool:
    """Whether a firmware has the library in it."""
    return _FROZEN in image


def advice(board: Board) -> str:
    """What one can do about it."""
    taken = measured()["boards"][board.name]["mpy"]
    return (
        f"{board.name} has {board.facts['heap_bytes']:,} bytes of heap, and the library with its sessions takes "
        f"{taken:,} of them as .mpy files, besides firmware, network and your program. Choose:\n"
        f"  `picoswarm firmware {board.name}`: how to build a firmware with the library in it, for --image\n"
        "  --romfs: into the firmware's ROMFS partition, if it has one\n"
        "  --discovery: a node that finds others and is found, without sessions, messages or updates\n"
        "Or the board has PSRAM: flash it by `picoswarm flash`, then leave out --image, and it is asked."
    )


def refuse_too_large(board: Board, is_frozen: bool, free: int = 0) -> None:
    """Raises Failed where a node would not fit."""
    if lacks_heap(board, is_frozen, free):
        raise Failed(f"Nothing was written. {advice(board)}")
