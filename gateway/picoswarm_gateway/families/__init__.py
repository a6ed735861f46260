"""Families: what the gateway bridges the mesh to. Each has the same four parts, and serves verbs to the boards.

A board's call of the method `family/verb` reaches the coroutine function `verbs[verb]` with the board's id (32 bytes,
proven by its session) and the payload; it returns the answer, bytes, or raises `Refused`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..gateway import Gateway

Verb = Callable[[bytes, bytes], Awaitable[bytes]]


class Refused(Exception):
    """A board asked for what it cannot have; the text tells it why, in at most 64 bytes."""

    status = 2  # docs/protocol.md 7.3


class Unreachable(Exception):
    """Nobody answers at an address, or not as was to be expected."""


class Family:
    """The base of all families. `start` and `stop` frame its life; what fails in between it mends itself, without a word to
    the mesh side, and shows in `state`.

    Its four parts are what it does with its network. The gateway keeps `wanted` connections by the first two (dialing.py);
    the other two serve boards, mostly as verbs.
    """

    name = ""
    wanted = 0  # connections to different addresses; 0: the gateway dials nobody for it

    def __init__(self) -> None:
        self.verbs: dict[str, Verb] = {}
        self.always: list[str] = []  # addresses of `discover` that are dialed beside those, and by their own places

    async def start(self, gateway: Gateway) -> None:
        """Begin to serve. It returns soon; the gateway dials after it."""

    async def stop(self) -> None:
        """End every task. What the gateway dialed has ended before."""

    def state(self) -> dict[str, Any]:
        """What the dashboard shows: `state` ("up", "starting" or "down"), and whatever else, as JSON has it."""
        return {"state": "up"}

    async def ask(self, board: bytes) -> None:
        """A node is asked about itself just now: ask what concerns this family. Raises RequestError."""

    # The four parts

    async def discover(self) -> list[str]:
        """Addresses of the nodes or servers of this family that it could use, as `dial` takes them. It is asked before each
        dial, so what costs something is remembered; there may be none yet."""
        return []

    async def dial(self, address: str) -> None:
        """Connect to one of them, and serve the connection until it ends: then return, if it was of use, and the address is
        dialed again soon. Raises Unreachable or OSError where nothing came of it: later. Cancelled when the gateway ends."""
        raise Unreachable("this family dials nobody")

    async def follow(self, board: bytes, what: bytes) -> bytes:
        """A board wants to hear of something from now on."""
        raise Refused("nothing to follow here")

    async def submit(self, board: bytes, what: bytes) -> bytes:
        """A board hands something over to the family's network."""
        raise Refused("nothing to submit here")
