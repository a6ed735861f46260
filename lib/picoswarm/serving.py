"""Answering questions about an update (docs/protocol.md 7.11), for whoever has one whole. Pure: where bytes come from is the
holder's business.

A holder has `header`, a Header, `list(at, n)`, and `read(name, at, n)` for its files.
"""

from .compat import const
from .manifest import CHUNK, ID, entries

_LIST = const(1)
_GET = const(2)
_FLOOR = const(5)  # where the names of boards begin in a question


def wants(header, payload):
    """Whether the question `0 | floor 4 | names of boards` of a board is answered with this header."""
    return header.version > int.from_bytes(payload[1:_FLOOR], "big") and header.is_for(payload[_FLOOR:])


def piece(holder, payload):
    """The answer to `kind 1 | id 8 | place 2`; b"" for what is not there."""
    header = holder.header
    if len(payload) != 3 + ID or payload[1 : 1 + ID] != header.id:
        return b""
    at = int.from_bytes(payload[1 + ID :], "big")
    if payload[0] == _LIST and at < header.listed:
        return holder.list(at, min(CHUNK, header.listed - at))
    if payload[0] != _GET or at >= header.chunks:
        return b""
    name, size, first = _file_of(header, at, holder.list)
    at = CHUNK * (at - first)
    return holder.read(name, at, min(CHUNK, size - at))


def _file_of(header, at, read):
    """(name, size, number of its first chunk) of the file with the chunk `at`. Most often it is that of the last question:
    the list is read once for each file, and not for each chunk."""
    last = header.served
    if last is None or not 0 <= at - last[2] < (last[1] + CHUNK - 1) // CHUNK:
        for name, size, _, first in entries(header, read):
            if at < first + (size + CHUNK - 1) // CHUNK:
                last = header.served = name, size, first
                break
    return last
