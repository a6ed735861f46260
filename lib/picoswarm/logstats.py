"""What a node tells of itself: its log on channel 5 and its counters on channel 6 (docs/protocol.md 7.4, 7.5), in one
reactor, either part of which may be left out. It answers whoever asks, and keeps nothing of a peer but for one that waits
for the next line of the log. Pure, without I/O.
"""

from .channel import Channel, Reactor
from .compat import const, ticks_add, ticks_diff
from .wire import copy, u16

_MALFORMED = const(11)
_LOG = const(5)
_STATS = const(6)
_ANSWER = const(2)  # in the first byte; its lowest bit, of a question: do not answer before there is something; names
_CHUNK = const(251)  # bytes of the log in an answer
_RETRY_MS = const(250)


class LogStats(Reactor):
    """See the module. The log is a stream of bytes, each with its position since the start (modulo 2**30).
    `on_answer(peer, channel, view)`, unless None, gets the answers to the node's own questions."""

    def __init__(self, log_bytes, sources, now):
        """`log_bytes`: how much of the log is kept; 0: none. `sources`: pairs of a part of a node, or of names in one text
        (see counters.py), and of numbers from 0 on, whatever gives them one after another; empty: no counters."""
        self.channels = (Channel(_LOG, 1, 2, 512, 5 + _CHUNK),) if log_bytes else ()
        if sources:
            self.channels += (Channel(_STATS, 1, 2, 1024, 512),)
        self.now = now
        self.on_answer = None
        self._sources = sources
        self._size = log_bytes
        self._ring = b""  # who writes no log has no memory for it
        self._end = 0  # position of the next byte
        self._n = 0  # bytes that there are
        self._at = 0  # in the ring, of the next byte
        self._waiting = {}  # by peer: (whether it waits for more, position from which it reads)
        self._due = None

    def write(self, line, now):
        """Add a line (text without its end). Of one that is longer than the ring, the end is kept."""
        ring = self._ring
        if not ring:
            try:
                self._ring = ring = bytearray(self._size)
            except MemoryError:
                return  # what has no room is not told
        text = (line + "\n").encode()
        self._end = ticks_add(self._end, len(text))
        text = text[max(0, len(text) - len(ring)) :]
        if not text:
            return
        n = min(len(text), len(ring) - self._at)
        copy(ring, self._at, text, 0, n)
        copy(ring, 0, text, n, len(text) - n)
        self._at = (self._at + len(text)) % len(ring)
        self._n = min(self._n + len(text), len(ring))
        if self._waiting:
            self._due = now

    # Reactor

    def init_peer(self, peer):
        """A session came to be."""

    add_peer = init_peer

    def remove_peer(self, peer, reason):
        """The session ended."""
        self._waiting.pop(peer, None)

    def receive(self, peer, channel, view):
        """A message of a peer. Returns the reason to close it, or 0."""
        n = len(view)
        if n < 2 or (channel == _LOG and n < 5):
            return _MALFORMED
        n = view[0]
        if n > 1:  # beyond the answers: of a later version
            if self.on_answer and n < 4:
                self.on_answer(peer, channel, view)
        elif channel == _LOG:
            self._waiting[peer] = n & 1, (u16(view, 1) & 0x3FFF) << 16 | u16(view, 3)
            self._answer(peer)
        else:
            out = bytearray((n & 1 | _ANSWER, view[1]))
            if view[1] < len(self._sources):
                part, counts = self._sources[view[1]]
                if n & 1:
                    from .counters import names

                    try:
                        out += names(part).encode()
                    except MemoryError:
                        return 0  # this node's trouble, not its peer's, which asks again
                    counts = ()
                for n in counts:
                    while n > 127:
                        out.append(n & 127 | 128)
                        n >>= 7
                    out.append(n)
            peer.try_send(_STATS, out)  # who gets none asks again
        return 0

    def _answer(self, peer):
        waits, start = self._waiting[peer]
        ring = self._ring
        n = ticks_diff(self._end, start)
        if not 0 <= n <= self._n:
            n = self._n  # the ring has it no more, or this node has rebooted meanwhile
        if n or not waits:
            start = ticks_add(self._end, -n)
            out = bytearray(5 + min(n, _CHUNK))
            out[0] = _ANSWER
            for at in range(4):
                out[4 - at] = start & 0xFF
                start >>= 8
            start = (self._at - n) % (len(ring) or 1)
            n = min(len(out) - 5, len(ring) - start)
            copy(out, 5, ring, start, n)
            copy(out, 5 + n, ring, 0, len(out) - 5 - n)
            if peer.try_send(_LOG, out):
                del self._waiting[peer]
            else:
                self._due = ticks_add(self.now, _RETRY_MS)

    # Time

    def next_time(self):
        """The tick at which `tick` must be called at the latest, or None."""
        return self._due

    def tick(self, now):
        """Do what is due at `now`."""
        self._due = self.now = now  # again, where memory runs out on the way
        for peer in list(self._waiting):
            self._answer(peer)
        if self._due == now:
            self._due = None
