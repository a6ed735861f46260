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


class Family:
    """The base of all families. `start` and `stop` frame its life; what fails in between it mends itself, without a word to
    the mesh side, and shows in `state`."""

    name = ""

    def __init__(self) -> None:
        self.verbs: dict[str, Verb] = {}

    async def start(self, gateway: Gateway) -> None:
        """Begin to serve. It returns soon: connecting goes on behind it."""

    async def stop(self) -> None:
        """End every task and connection."""

    def state(self) -> dict[str, Any]:
        """What the dashboard shows: `state` ("up", "starting" or "down"), and whatever else, as JSON has it."""
        return {"state": "up"}

    async def ask(self, board: bytes) -> None:
        """A node is asked about itself just now: ask what concerns this family. Raises RequestError."""

    # The four parts

    async def discover(self) -> list[str]:
        """Addresses of the nodes or servers of this family that it could use."""
        return []

    async def dial(self, address: str) -> None:
        """Connect to one of them."""
        raise Refused("this family dials nobody")

    async def follow(self, board: bytes, what: bytes) -> bytes:
        """A board wants to hear of something from now on."""
        raise Refused("nothing to follow here")

    async def submit(self, board: bytes, what: bytes) -> bytes:
        """A board hands something over to the family's network."""
        raise Refused("nothing to submit here")
