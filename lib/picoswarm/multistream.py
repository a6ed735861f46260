"""multistream-select 1.0: how two sides agree on the protocol of a connection or of a stream (libp2p specs). Pure."""

from .compat import const
from .protobuf import read_varint, varint

_HEADER = b"/multistream/1.0.0"
_LINE = const(1024)  # bytes of the longest one that is read
_REFUSALS = const(16)


def line(text):
    """A line as it goes over the wire."""
    return varint(len(text) + 1) + text + b"\n"


class Select:
    """One side of one choice. The dialer gives the names that it wants, the best first; the first goes out with the header,
    before anything came (`out`). The listener gives `accepts`, a function that says of a name (bytes) whether it is served.

    `receive` takes what came; then `out` is to be sent and set to nothing by whoever sent it, `name` is what was
    agreed on, and `is_failed` that nothing will be."""

    def __init__(self, names, accepts=None):
        self.name = None
        self.is_failed = False
        self.rest = b""  # what came behind the agreement
        self._names = names
        self._accepts = accepts
        self._at = -1  # the header is awaited
        self._refused = 0
        self.out = line(_HEADER)
        if accepts is None:
            self.out += line(names[0])

    def receive(self, data):
        """Take bytes of the peer. True while the choice is open."""
        buf = self.rest + bytes(data)
        at = 0
        while self.name is None and not self.is_failed:
            size, start = read_varint(buf, at, min(len(buf), at + 3))
            if start == 0 and len(buf) - at < 3:
                break
            if start < 1 or not 0 < size <= _LINE:
                self.is_failed = True
                break
            if start + size > len(buf):
                break
            at = start + size
            if buf[at - 1] != 10:
                self.is_failed = True
            else:
                self._take(buf[start : at - 1])
        self.rest = buf[at:]
        return self.name is None and not self.is_failed

    def _take(self, text):
        if self._at < 0:
            self.is_failed = text != _HEADER
            self._at = 0
        elif self._accepts is not None:
            if self._accepts(text):
                self.name = text
                self.out += line(text)
            else:
                self._refused += 1
                self.is_failed = self._refused > _REFUSALS
                self.out += line(b"na")
        elif text == self._names[self._at]:
            self.name = text
        elif text == b"na" and self._at + 1 < len(self._names):
            self._at += 1
            self.out += line(self._names[self._at])
        else:
            self.is_failed = True
