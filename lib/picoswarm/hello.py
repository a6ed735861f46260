"""HELLO, what both sides of a session tell about themselves in the handshake (docs/protocol.md 4.3). Pure."""

from .compat import const
from .wire import u16

_VERSIONS = const(0x11)  # the lowest (high nibble) and the highest that are spoken here
_SHORTEST = const(21)
_LONGEST = const(64)
_NAME = const(16)
_RECORD_LEAST = const(64)  # bytes of a record limit
_LIMIT = const(400)  # of the messages of channels 2 and 3, where nothing is said
_FIXED = const(32)  # channels of the bitmap
_STREAMS = const(128)  # the first id that is no channel of an application

_INCOMPATIBLE = const(2)
_DOWNGRADE = const(3)


def _is_name(text):
    """Whether bytes are at most 16 of printable ASCII."""
    return len(text) <= _NAME and all([32 <= byte < 127 for byte in text])


class Hello:
    """What one side says. `capabilities`: 16 bits; `port`: where it listens, 0 for nowhere; `seen`: the receiver's address
    as the sender sees it, IP 4 or 16 | port 2; `channels`: bytes, the fixed channels that it takes part in; `record`: bytes
    of plaintext that it takes in one record, 64 or more; `streams`: how many it accepts; `name`: at most 16 characters;
    `publish_max`, `request_max`: bytes of the longest message that it takes on channels 2 and 3."""

    # What most say takes no memory of theirs.
    publish_max = request_max = _LIMIT
    versions = _VERSIONS

    def __init__(self, capabilities, port, seen, channels, record, streams, name=""):
        self.capabilities = capabilities
        self.port = port
        self.seen = seen
        self.channels = channels
        self.record = record
        self.streams = streams
        self.name = name

    def encode(self):
        """At most 64 bytes. Raises LocalError for a name or a list of channels beyond what fits."""
        a = self.publish_max
        b = self.request_max
        limits = bytes((a >> 8, a & 0xFF, b >> 8, b & 0xFF)) if a != _LIMIT or b != _LIMIT else b""
        name = self.name.encode()
        fixed = 0
        own = b""
        for channel in self.channels:
            if channel < _FIXED:
                fixed |= 1 << channel
            else:
                own += bytes((channel,))
        if not _is_name(name) or len(self.seen) + len(name) + len(own + limits) > _LONGEST - _SHORTEST + 6:
            from .errors import LocalError

            raise LocalError("name or channels do not fit HELLO")
        port = self.port
        bits = self.capabilities
        limit = self.record
        return (
            bytes((self.versions, len(self.seen) > 6, bits >> 8, bits & 0xFF, port >> 8, port & 0xFF))
            + self.seen
            + fixed.to_bytes(4, "big")
            + bytes((limit >> 8, limit & 0xFF, self.streams, len(name)))
            + name
            + bytes((len(own),))
            + own
            + limits
        )


def decode(buf, at, end):
    """The Hello in buf[at:end], or None where a part is missing or has a value that cannot be. What stands behind the last
    part belongs to a later version."""
    if end - at < _SHORTEST:
        return None
    fixed = at + (24 if buf[at + 1] & 1 else 12)
    name = fixed + 8
    if name >= end:
        return None
    limit = u16(buf, fixed + 4)
    own = name + buf[name - 1]
    if own >= end or own + buf[own] >= end or limit < _RECORD_LEAST or buf[at] >> 4 > buf[at] & 15:
        return None
    text = bytes(buf[name:own])
    of_applications = bytes(buf[own + 1 : own + 1 + buf[own]])
    if not _is_name(text) or not all([_FIXED <= channel < _STREAMS for channel in of_applications]):
        return None
    channels = bytes([i for i in range(_FIXED) if buf[fixed + 3 - (i >> 3)] >> (i & 7) & 1]) + of_applications
    seen = bytes(buf[at + 6 : fixed])
    hello = Hello(u16(buf, at + 2), u16(buf, at + 4), seen, channels, limit, buf[fixed + 6], text.decode())
    if buf[at] != _VERSIONS:
        hello.versions = buf[at]
    own += buf[own] + 1
    if own + 4 <= end:
        hello.publish_max = u16(buf, own)
        hello.request_max = u16(buf, own + 2)
    return hello


def refusal(versions, spoken, own=_VERSIONS):
    """Why a session in version `spoken` must not be with a peer that speaks `versions`: 0 for no reason, or a number of
    reasons.py. Both have a higher one in common when somebody changed the first byte."""
    if not versions >> 4 <= spoken <= versions & 15:
        return _INCOMPATIBLE
    return _DOWNGRADE if min(versions & 15, own & 15) > spoken else 0
