"""Yamux: many streams over one connection (libp2p specs, yamux). Pure.

A side that is short of memory stops reading the connection: that holds the peer back, as TCP does, and breaks no rule. What
the window of 256 KiB allows must be taken.
"""

from struct import pack_into, unpack_from

from .compat import const, ticks_diff

WINDOW = const(262144)

_HEAD = const(12)
_FRONT = const(2)  # free bytes before a frame, and behind it: who encrypts it does so in place
_BACK = const(16)
_DATA = const(0)  # kinds of frames
_UPDATE = const(1)
_PING = const(2)
_GO_AWAY = const(3)
_SYN = const(1)  # flags
_ACK = const(2)
_FIN = const(4)
_RST = const(8)
_CREDIT_MOST = const(0x1000000)
_REFUSALS = const(256)  # streams refused between two ticks, and the peer is to go
_KEEPALIVE_MS = const(30000)
_ANSWER_MS = const(20000)

NORMAL = const(0)  # why a connection ended
PROTOCOL = const(1)
INTERNAL = const(2)
LOST = const(3)
SLOW = const(4)
MEMORY = const(5)


class Stream:
    """One stream. `data` waits to be read; `credit` may be sent; `is_ended`: nothing more comes; `is_closed`: nothing
    more is
    sent; `is_reset`: neither. `wake`, if there is one, is called after each change. `sink(stream, data)` takes what comes
    instead of `data`, None at the end."""

    sink = wake = protocol = select = then = None
    is_ended = is_closed = is_reset = False

    def __init__(self, mux, number, flags):
        self.mux = mux
        self.number = number
        self.credit = self.window = WINDOW
        self.data = bytearray()
        self._flags = flags  # for its next frame
        self._eaten = 0
        self.since = mux.now

    def changed(self):
        if self.wake:
            self.wake()

    def write(self, data):
        """Send some of `data`: returns how many bytes, 0 where nothing can be sent now."""
        n = min(len(data), self.credit, self.mux.frame)
        if n == 0 or self.is_closed or self.is_reset or not self.mux.can_write():
            return 0
        self.credit -= n
        self.mux.emit(_DATA, self._take_flags(), self.number, n, data[:n] if n < len(data) else data)
        return n

    def _take_flags(self):
        flags = self._flags
        self._flags = 0
        return flags

    def read(self, most):
        """Take up to `most` of the bytes that wait."""
        taken = self.data[:most]
        if taken:
            self.data = self.data[len(taken) :]
            self.mux.held -= len(taken)
            self.ate(len(taken))
        return taken

    def ate(self, n):
        """Bytes were dealt with: the peer may send as many again, which it is told now and then."""
        self._eaten += n
        if self._eaten >= WINDOW >> 1 and not (self.is_ended or self.is_reset):
            self.mux.emit(_UPDATE, self._take_flags(), self.number, self._eaten)
            self.window += self._eaten
            self._eaten = 0

    def close(self):
        """Send no more."""
        if not self.is_closed and not self.is_reset:
            self.is_closed = True
            self.mux.emit(_DATA, self._take_flags() | _FIN, self.number, 0)
            self.mux.settle(self)

    def reset(self):
        """Give it up, both ways."""
        if not self.is_reset:
            if not (self.is_closed and self.is_ended):
                self.mux.emit(_UPDATE, self._take_flags() | _RST, self.number, 0)
            self.abandon()

    def abandon(self):
        """It is over; what waits is thrown away."""
        self.is_reset = True
        self.mux.held -= len(self.data)
        self.data = bytearray()
        self.mux.settle(self)
        if self.sink:
            self.sink(self, None)
        self.changed()


class Yamux:
    """One side of a connection. The owner hands in what came (`receive`), sends what stands in `out` (a list of buffers, of
    `queued` bytes), subtracts from `queued` what is sent, and calls `tick` every few seconds. It reads no more from the peer
    while `is_full`. Once `reason` is not None it sends what is left and hangs up."""

    frame = 16384  # bytes of data in a frame that is sent
    streams_most = 256  # that the peer may have open
    held_most = 4194304  # bytes that nobody read, and it takes no more
    queue_most = 262144  # bytes to be sent, and nothing is written

    def __init__(self, is_initiator, now):
        self.streams = {}
        self.out = []
        self.queued = self.held = self.inbound = 0
        self.sent = 0  # bytes that the socket took; a peer that takes none for long is gone
        self.now = now
        self.reason = None
        self.theirs = None  # the reason that the peer gave
        self.refused = 0
        self._parity = 1 if is_initiator else 0
        self._next = 1 if is_initiator else 2
        self._head = bytearray(_HEAD)
        self._fill = 0
        self._left = 0  # bytes of the frame at hand that have not come
        self._stream = None  # whose they are
        self._ends = 0
        self._heard = now
        self._asked = None  # when the ping was sent that awaits its answer
        self._mark = (0, now)

    def can_write(self):
        """Whether data may be sent now."""
        return self.reason is None and self.queued < self.queue_most

    def is_full(self):
        """Whether to read no more for now."""
        return self.held > self.held_most or self.queued > 2 * self.queue_most

    def emit(self, kind, flags, number, length, data=b""):
        """Put a frame into `out`."""
        if self.reason is not None and kind != _GO_AWAY:
            return
        end = _FRONT + _HEAD + len(data)
        buf = bytearray(end + _BACK)
        pack_into(">BBHII", buf, _FRONT, 0, kind, flags, number, length)
        if data:
            buf[_FRONT + _HEAD : end] = data
        buf = self.pack(buf, end)
        self.queued += len(buf)
        self.out.append(buf)

    def pack(self, buf, end):
        """What goes out of a frame that stands in buf[2:end]; 16 bytes behind it are free."""
        return buf[_FRONT:end]

    def open(self):
        """A new Stream to the peer; None where the connection takes none any more. It costs nothing until it is written
        to."""
        if self.reason is not None or self.theirs is not None:
            return None
        stream = Stream(self, self._next, _SYN)
        self.streams[self._next] = stream
        self._next += 2
        return stream

    def opened(self, stream):
        """The peer opened one: gives it a sink, or resets it."""
        stream.reset()

    def settle(self, stream):
        """Forget a stream that is over."""
        if (stream.is_closed and stream.is_ended or stream.is_reset) and self.streams.pop(stream.number, None):
            if stream.number & 1 != self._parity:
                self.inbound -= 1

    def close(self, code=NORMAL):
        """End the connection, and say why."""
        if self.reason is None:
            self.reason = code
            if code <= INTERNAL:
                self.emit(_GO_AWAY, 0, 0, code)
            elif code >= SLOW:
                self.emit(_GO_AWAY, 0, 0, INTERNAL)
            for stream in list(self.streams.values()):
                stream.abandon()
            self.ended()

    def ended(self):
        """The connection has ended, for `reason`."""

    def receive(self, buf, at, end):
        """Take buf[at:end], as it came."""
        while at < end and self.reason is None:
            if self._left:
                n = min(self._left, end - at)
                self._left -= n
                if self._stream:
                    self._arrived(self._stream, buf, at, n)
                at += n
                if not self._left:
                    self._end_frame()
                continue
            n = min(_HEAD - self._fill, end - at)
            self._head[self._fill : self._fill + n] = buf[at : at + n]
            self._fill += n
            at += n
            if self._fill == _HEAD:
                self._fill = 0
                self._heard = self.now
                self._begin_frame()

    def _arrived(self, stream, buf, at, n):
        if stream.is_reset:
            return
        if stream.sink:
            stream.ate(n)
            stream.sink(stream, bytes(memoryview(buf)[at : at + n]))
        else:
            stream.data += memoryview(buf)[at : at + n]
            self.held += n
            stream.changed()

    def _begin_frame(self):
        version, kind, flags, number, length = unpack_from(">BBHII", self._head)
        if version or kind > _GO_AWAY or (kind < _PING) != (number > 0):
            return self.close(PROTOCOL)
        if kind < _PING:
            return self._of_stream(kind, flags, number, length)
        if kind == _GO_AWAY:
            self.theirs = length
            if length:
                self.close(LOST)
        elif flags & _SYN:
            self.emit(_PING, _ACK, 0, length)
        elif flags & _ACK:
            self._asked = None

    def _of_stream(self, kind, flags, number, length):
        stream = self.streams.get(number)
        if flags & _SYN:
            if stream or number & 1 == self._parity:
                return self.close(PROTOCOL)
            stream = self._accept(number)
            if stream is None:
                return self.close(PROTOCOL)
        if flags & _RST:
            if stream:
                stream.abandon()
            stream = None
        if kind == _UPDATE:
            if stream:
                stream.credit += min(length, _CREDIT_MOST)
                if stream.credit > _CREDIT_MOST << 4:
                    return self.close(PROTOCOL)
                if length:
                    stream.changed()
        elif length:
            if length > (stream.window if stream else _CREDIT_MOST) or stream and stream.is_ended:
                return self.close(PROTOCOL)
            if stream:
                stream.window -= length
            self._left = length
        self._stream = stream
        self._ends = flags & _FIN
        if not self._left:
            self._end_frame()

    def _end_frame(self):
        stream = self._stream
        self._stream = None
        if self._ends and stream and not (stream.is_ended or stream.is_reset):
            stream.is_ended = True
            self.settle(stream)
            if stream.sink:
                stream.sink(stream, None)
            stream.changed()

    def _accept(self, number):
        """A stream of the peer's, which may be reset at once; None: it has been refused too many."""
        stream = Stream(self, number, _ACK)
        if self.inbound >= self.streams_most or self.theirs is not None:
            self.refused += 1
            stream.reset()
            return stream if self.refused < _REFUSALS else None
        self.inbound += 1
        self.streams[number] = stream
        self.opened(stream)
        return stream

    def tick(self, now):
        """Time passes."""
        self.now = now
        self.refused = 0
        sent, since = self._mark
        if not self.queued or sent != self.sent:
            self._mark = (self.sent, now)
        elif ticks_diff(now, since) > _KEEPALIVE_MS:
            return self.close(SLOW)
        if self._asked is not None and self._heard != self._asked and ticks_diff(self._heard, self._asked) > 0:
            self._asked = None  # whatever comes shows that the peer is there
        if self._asked is not None:
            if ticks_diff(now, self._asked) > _ANSWER_MS:
                self.close(SLOW)
        elif ticks_diff(now, self._heard) > _KEEPALIVE_MS:
            self._asked = now
            self.emit(_PING, _SYN, 0, 1)
