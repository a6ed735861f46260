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
OPEN = 4  # a record came: known to the reactors
CLOSING = 5  # the last record waits to be sent
OVER = 6  # the socket is to be closed

_HEAD = const(2)  # before a record: its length
_TAG = const(16)
_FRAME = const(3)  # the shortest plaintext
_PARTIAL_MS = const(10_000)
_AT_ONCE_MS = const(1000)  # so much of `rate` may go at once
_GATEWAY = const(2)  # of the capabilities

_MALFORMED = const(11)  # see reasons.py
_FORGED = const(21)


def check_channels(profile, channels, now):
    """Raise LocalError where no session could have these channels."""
    Mux(profile, channels, True, now)


class Session:
    """See the module. `link` is the ConnManager's, None where the peer dialed, until it is proven who."""

    # What most sessions keep as it is takes no memory of theirs.
    epoch = 0
    reason = 0  # why it is over
    sends_at = reads_at = None  # with a `rate`: ticks from which more may be sent, and read

    def __init__(self, swarm, ip, port, link):
        self.swarm = swarm
        self.ip = ip
        self.port = port
        self.link = link
        self.id = None  # 32 bytes, once proven
        self.hello = None
        self.reactors = ()  # those that share a channel with the peer
        self.stage = CONNECTING
        self.deadline = None  # ticks: of this stage, or of the rest of a record; None: there is none
        self.handshake = self.mux = None
        self.buf = b""  # see `room`
        self.fill = 0
        self.is_unsent = False  # in the swarm's list of sessions to flush
        self._sealer = self._opener = None

    @property
    def is_outbound(self):
        """Whether this node dialed."""
        return self.link is not None and self.link.is_outbound

    def start(self, profile, channels, now):
        """Records follow the handshake messages; bytes that came behind the last one are kept."""
        handshake = self.handshake
        self._sealer = Sealed(handshake.send_key)
        self._opener = Sealed(handshake.receive_key)
        self.mux = Mux(profile, channels, self.is_outbound, now)
        self.mux.on_message = self._on_message
        self.buf = bytearray(_HEAD + profile.record + _TAG)
        self.fill = handshake.fill
        copy(self.buf, 0, handshake.buf, 0, self.fill)
        if profile.rate:
            self.sends_at = self.reads_at = now
        self.mux.start(self.hello.channels, min(self.hello.record, profile.record), now)
        if (self.hello.capabilities | self.swarm._hello.capabilities) & _GATEWAY:
            self.mux.hurry()

    def room(self, now):
        """How many bytes may be read to buf[fill:] now, as somebody will: an idle session has no buffer."""
        if self.stage == PARKED or self._early(self.reads_at, now):
            return 0
        if self.mux and not self.buf:
            self.buf = bytearray(_HEAD + self.swarm.profile.record + _TAG)
        return len(self.buf) - self.fill

    def end(self, reason, now, ms):
        """The next record is the last one and says why; it has `ms` to go."""
        if self.mux:
            self.mux.go_away(reason)
        else:
            self._sealer = Sealed(self.handshake.send_key)
        self.stage = CLOSING
        self.reason = reason
        self.limit(now, ms)
        self.touch()

    def receive(self, n):
        """Take `n` new bytes at buf[fill:]: every whole record is opened in place and its frames handed on. Returns 0, -1
        where no record was whole, or the reason for which the session has to end."""
        if self.reads_at is not None:
            self.reads_at = self._paid(self.reads_at, n, self.swarm.now)
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
            at = self._take(at, n)
            if at:
                return at
            at = n
        end -= at
        self.fill = end
        if at:
            copy(buf, 0, buf, at, end)
            if self.stage <= OPEN:  # or it was closed by what came
                self.deadline = None
        if end and self.deadline is None:
            self.limit(self.swarm.now, _PARTIAL_MS)
        return 0 if at else -1

    def _take(self, at, end):
        """Open the record buf[at:end] and hand its frames on. Returns 0, or a reason."""
        end = self._opener.open(self.buf, at, end)
        return self.mux.receive(self.buf, at + _HEAD, end, self.swarm.now) if end >= 0 else _FORGED

    def to_send(self, out, now):
        """Write what is to be sent now to `out`; returns its size, 0 for nothing."""
        n = 0
        if self.handshake:
            n = self.handshake.to_send(out)
            if self.stage >= STARTED:
                self.handshake = None  # that was its last message
        if not n and self._sealer:
            if self.mux:
                if self._early(self.sends_at, now):
                    return 0
                n = self.mux.fill(out, _HEAD, len(out) - _TAG, now)
            else:  # refused before there was any channel: GOAWAY alone
                copy(out, _HEAD, b"\0\x10\2\4", 0, 4)
                out[_HEAD + 4] = self.reason
                n = _HEAD + 5
            n = self._sealer.seal(out, 0, n) if n > _HEAD else 0
            if not self.mux:
                self._sealer = None
            if self.sends_at is not None:
                self.sends_at = self._paid(self.sends_at, n, now)
        return n

    def _early(self, at, now):
        """Milliseconds until more may be sent, or read, by the `rate` of the profile (row T12). A session that ends waits no
        more."""
        return 0 if at is None or self.stage > OPEN else max(0, ticks_diff(at, now))

    def _paid(self, at, n, now):
        """The next `sends_at` or `reads_at`, where `n` bytes went."""
        if ticks_diff(now, at) > _AT_ONCE_MS:
            at = ticks_add(now, -_AT_ONCE_MS)
        return ticks_add(at, n * 1000 // self.swarm.profile.rate)

    def due(self, now):
        """Milliseconds until `to_send` may have something, -1 for nothing."""
        if self.handshake or not self.mux or self.stage == CLOSING:
            return 0
        wait = self.mux.due(now)
        return wait if wait < 0 else max(wait, self._early(self.sends_at, now))

    def is_overdue(self, now):
        """Whether time is up."""
        return self.deadline is not None and ticks_diff(now, self.deadline) >= 0

    def limit(self, now, ms):
        """This stage may last `ms`."""
        self.deadline = ticks_add(now, ms)
        self.swarm.stir(now)

    # What reactors and streams call

    def try_send(self, channel, data):
        """Queue a whole message, bytes or a text as UTF-8. False: there is no room, or no session any more. Raises
        LocalError for a channel that the peer does not serve, and for a message that it could not take."""
        if isinstance(data, str):
            data = data.encode()
        if self.stage not in (STARTED, OPEN) or not self.mux.try_send(channel, data):
            return False
        self.touch()
        return True

    def can_send(self, channel):
        """Whether `try_send` would take a message now."""
        return self.stage in (STARTED, OPEN) and self.mux.can_send(channel)

    def close(self, reason=0):
        """End the session; the peer is told why."""
        self.swarm.wake()  # which tells the time
        self.swarm.end(self, reason)

    def touch(self):
        """Something may be to send."""
        if not self.is_unsent:
            self.swarm.unsent.append(self)
            self.is_unsent = True
            self.swarm.wake()

    def _on_message(self, channel, view):
        self.swarm.deliver(self, channel, view)
