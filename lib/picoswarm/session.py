"""A session: the encrypted connection between two nodes, from the open socket to the last record (docs/protocol.md 4). Pure.

Whoever owns the socket reads into buf[fill:], tells `Swarm.received`, and writes what `to_send` gives. Reactors see a
session as their peer: `id`, `hello`, `ip`, `is_outbound`, `try_send`, `can_send`, `close`.
"""

from .compat import const, ticks_add, ticks_diff
from .mux import Mux
from .sealed import Sealed
from .wire import copy

# Stages, in order.
CONNECTING = 0  # the socket is on its way
GREETING = 1  # handshake
PARKED = 2  # proven, but waits whether an older session of this peer is alive
STARTED = 3  # records may be sent; the peer may still refuse
OPEN = 4  # known to the reactors
CLOSING = 5  # the last record waits to be sent
OVER = 6  # the socket is to be closed

_HEAD = const(2)  # before a record: its length
_TAG = const(16)
_FRAME = const(3)  # the shortest plaintext
_PARTIAL_MS = const(10_000)
_COUNT = const(0x3FFFFFFF)

_MALFORMED = const(11)  # see reasons.py
_SLOW = const(19)
_FORGED = const(21)


class Session:
    """See the module. `link` is the ConnManager's, None where the peer dialed, until it is proven who."""

    def __init__(self, swarm, ip, port, link, now):
        self.swarm = swarm
        self.ip = ip
        self.port = port
        self.link = link
        self.is_outbound = link is not None
        self.id = None  # 32 bytes, once proven
        self.hello = None
        self.reactors = []  # those that share a channel with the peer
        self.epoch = 0
        self.stage = CONNECTING
        self.reason = 0  # why it is over
        self.since = now
        self.deadline = None  # of this stage
        self.handshake = self.mux = None
        self.buf = b""
        self.fill = 0
        self.bytes_in = self.bytes_out = 0  # modulo 2**30
        self.is_unsent = False  # in the swarm's list of sessions to flush
        self.has_work = True  # its handshake can go on
        self.is_greeted = False  # the one inbound handshake that is at work
        self.is_kept = False  # in the swarm's peers
        self.rival = None  # a newer session of the same peer, which waits whether this one lives
        self._sealer = self._opener = None
        self._partial_at = None
        self._last = None  # a handshake that is done but for its last message, which is not sent yet

    def start(self, profile, channels, now):
        """Records take the place of handshake messages; bytes that came behind the last one are kept."""
        handshake = self._last = self.handshake
        self.handshake = None
        self._sealer = Sealed(handshake.send_key)
        self._opener = Sealed(handshake.receive_key)
        self.mux = Mux(profile, channels, self.is_outbound, now)
        self.mux.on_message = self._on_message
        buf = bytearray(_HEAD + profile.record + _TAG)
        copy(buf, 0, handshake.buf, 0, handshake.fill)
        self.fill = handshake.fill
        self.buf = buf
        self.mux.start(self.hello.channels, min(self.hello.record, profile.record), now)

    def receive(self, n, now):
        """Take `n` new bytes at buf[fill:]: every whole record is opened in place and its frames handed on. Returns 0, or
        the reason for which the session has to end."""
        buf = self.buf
        end = self.fill + n
        at = 0
        while end - at >= _HEAD:
            n = buf[at] << 8 | buf[at + 1]
            if n < _FRAME + _TAG or n > len(buf) - _HEAD:
                return _MALFORMED
            n += at + _HEAD
            if n > end:
                break
            at += _HEAD
            end_of_text = self._opener.open(buf, at - _HEAD, n)
            if end_of_text < 0:
                return _FORGED
            at = self.mux.receive(buf, at, end_of_text, now)
            if at:
                return at
            at = n
            self._partial_at = None
        if at and at < end:
            copy(buf, 0, buf, at, end - at)
        self.fill = end = end - at
        if end and self._partial_at is None:
            self._partial_at = now
        return 0

    def to_send(self, out, now):
        """Write what is to be sent now to `out`; returns its size, 0 for nothing."""
        n = 0
        if self.handshake:
            n = self.handshake.to_send(out)
        elif self._last:
            n = self._last.to_send(out)
            self._last = None
        if n or self.handshake:
            pass
        elif self.mux and self.stage >= STARTED:
            n = self.mux.fill(out, _HEAD, len(out) - _TAG, now)
            n = self._sealer.seal(out, 0, n) if n > _HEAD else 0
        self.bytes_out = (self.bytes_out + n) & _COUNT
        return n

    def due(self, now):
        """Milliseconds until `to_send` may have something, -1 for nothing."""
        if self.handshake or self._last:
            return 0
        return self.mux.due(now) if self.mux and self.stage >= STARTED else -1

    def overdue(self, now):
        """The reason for which time is up, or 0."""
        if self.deadline is not None and ticks_diff(now, self.deadline) >= 0:
            return _SLOW
        if self._partial_at is not None and ticks_diff(now, self._partial_at) >= _PARTIAL_MS:
            return _SLOW
        return 0

    def count_in(self, n):
        """Count bytes that were read."""
        self.bytes_in = (self.bytes_in + n) & _COUNT

    def limit(self, now, ms):
        """This stage may last `ms`."""
        self.deadline = ticks_add(now, ms)

    # What reactors and streams call

    def try_send(self, channel, data):
        """Queue a whole message (bytes). False: there is no room, or no session any more. Raises LocalError for a channel
        that the peer does not serve, and for a message that it could not take."""
        if self.stage not in (STARTED, OPEN) or not self.mux.try_send(channel, data):
            return False
        self.touch()
        return True

    def can_send(self, channel):
        """Whether `try_send` would take a message now."""
        return self.stage in (STARTED, OPEN) and self.mux.can_send(channel)

    def close(self, reason=0):
        """End the session; the peer is told why."""
        self.swarm.end(self, reason)

    def touch(self):
        """Something may be to send."""
        if not self.is_unsent:
            self.is_unsent = True
            self.swarm.unsent.append(self)

    def _on_message(self, channel, view):
        self.swarm.deliver(self, channel, view)
