"""Mail for nodes that sleep, kept by a gateway (docs/protocol.md 7.9). Loaded when the user does.

box = await node.gateway("mailbox")
await leave(box, other_id, b"wake me at six")     # for a node that is away now
await hear(box, ["garden/#"])                     # what is published while this node is away
async for mail in letters(box): ...               # after waking; it ends when the box is empty
"""

from collections import namedtuple

from .compat import const
from .failures import RequestError

_NUMBER = const(4)
_ORIGIN = const(6)  # in an answer: number 4 | more 1 | kind 1 | origin 32 | age 4 | data
_AGE = const(38)
_DATA = const(42)
_ID = const(32)  # an answer that is no mail: the gateway that has more
_MOVES = const(12)  # from gateway to gateway without any mail: a box has four places beside the first

# `topic`: None for a letter, which `origin` put here itself. `age`: seconds.
Mail = namedtuple("Mail", ("topic", "payload", "origin", "age"))


async def leave(box, id32, data, timeout_ms=30000):
    """Put a letter into the box of a node. It is on the gateway's disk when this returns. Raises a RequestError."""
    if isinstance(data, str):
        data = data.encode()
    await box.request("put", bytes(id32) + data, timeout_ms)


async def hear(box, filters, timeout_ms=30000):
    """Keep what is published under these filters, at most 8, while this node is away; none: nothing any more. Raises a
    RequestError."""
    text = b""
    for each in filters:
        each = each.encode()
        text += bytes((min(len(each), 255),)) + each
    await box.request("hear", text, timeout_ms)


class letters:  # noqa: N801  (a call, to who uses it)
    """The mail of this node, oldest first, until there is none, for `async for`. Each is gone from the box when the next
    one is asked for, so the last one of a loop that breaks comes again. Raises a RequestError."""

    def __init__(self, box, timeout_ms=30000):
        self._box = box
        self._ms = timeout_ms
        self._number = bytes(_NUMBER)
        self._place = None  # another gateway than the first, that has some too

    def __aiter__(self):
        return self

    async def __anext__(self):
        answer = await self._take()
        moves = _MOVES
        while len(answer) < _DATA:
            moves -= 1
            if not moves or not answer and self._place is None:
                raise StopAsyncIteration
            self._place = answer if len(answer) == _ID and self._place is None else None  # and then the first one again
            self._number = bytes(_NUMBER)
            answer = await self._take()
        self._number = answer[:_NUMBER]
        topic = None
        data = answer[_DATA:]
        if answer[_NUMBER + 1]:
            n = data[0] + 1
            topic = str(data[1:n], "utf-8")
            data = data[n:]
        return Mail(topic, data, answer[_ORIGIN:_AGE], int.from_bytes(answer[_AGE:_DATA], "big"))

    async def _take(self):
        if self._place is None:
            return await self._box.request("take", self._number, self._ms)
        try:
            return await self._box._node.request(self._place, "mailbox/take", self._number, self._ms)
        except RequestError:
            return b""  # it will say again that it has something
