"""One libp2p connection behind its set-up: Noise records, Yamux in them, and on each stream multistream-select, then ping,
identify or a protocol of the user's (libp2p specs). Pure; p2psetup.py makes the keys."""

from .compat import const, ticks_diff
from .multistream import Select
from .protobuf import read_varint, varint
from .yamux import MEMORY, PROTOCOL, Yamux

ID = b"/ipfs/id/1.0.0"
PUSH = b"/ipfs/id/push/1.0.0"
PING = b"/ipfs/ping/1.0.0"

_TAG = const(16)
_IDENTIFY_MOST = const(8192)
_NEGOTIATE_MS = const(10000)


class P2pLink(Yamux):
    """One connection, of the set-up that is done. Its owner says what it `serves(name)`, tells of itself what `identity()`
    gives, takes the streams that the peer opens by `begin(stream)`, and hears by `news()` that `identified` has changed, or
    that the link has ended.

    The owner reads into `buf` from `fill` on, at most `room` bytes, and says so to `received`."""

    record = 65535  # bytes of the longest record that is taken

    def __init__(self, setup, owner, now, buffer=1024):
        Yamux.__init__(self, setup.is_initiator, now)
        self.peer = setup.peer
        self._owner = owner
        self.identified = None
        self.buffer = buffer  # bytes of `buf`, which grows for a longer record and shrinks again
        self.buf = bytearray(max(buffer, len(setup.buf)))
        self.fill = setup.fill
        self.buf[: self.fill] = setup.buf[: self.fill]
        self._seal, self._open = setup.ciphers
        self._rest = setup.rest

    def start(self):
        """Take what came with the set-up."""
        self.receive(self._rest, 0, len(self._rest))
        self._rest = b""
        self.received(0, self.now)

    def pack(self, buf, end):
        self._seal.seal(buf, end)
        return buf

    def room(self):
        """How many bytes fit into the buffer behind `fill`."""
        return len(self.buf) - self.fill

    def received(self, n, now):
        """`n` bytes more are at buf[fill:]."""
        self.now = now
        self.fill += n
        buf = self.buf
        at = 0
        while self.reason is None and self.fill - at >= 2:
            end = at + 2 + (buf[at] << 8 | buf[at + 1])
            if end > self.fill:
                if end - at > len(buf):
                    return self._grow(at, end - at)
                break
            stop = self._open.open(buf, at, end) if end >= at + 2 + _TAG else -1
            if stop < 0:
                return self.close(PROTOCOL)
            self.receive(buf, at + 2, stop)
            at = end
        if at:
            left = self.fill - at
            if not left and len(buf) > self.buffer:
                self.buf = bytearray(self.buffer)
            else:
                buf[:left] = memoryview(buf)[at : self.fill]
            self.fill = left

    def _grow(self, at, size):
        """Make room for a record of `size` bytes that begins at buf[at]."""
        if size > self.record + 2:
            return self.close(MEMORY)
        try:
            larger = bytearray(size)
        except MemoryError:
            return self.close(MEMORY)
        self.fill -= at
        larger[: self.fill] = memoryview(self.buf)[at : at + self.fill]
        self.buf = larger

    # Streams

    def dial(self, names, then=None):
        """Open a stream for one of `names` (bytes), the best first. None where there can be none. Its `protocol` is set once
        the peer agreed, and `then(stream)` called; it is reset where the peer does not."""
        stream = self.open()
        if stream:
            stream.then = then or _ignore
            stream.select = Select(names)
            stream.sink = self._negotiate
            self._answer(stream)
        return stream

    def opened(self, stream):
        stream.then = self._begin
        stream.select = Select((), self._serves)
        stream.sink = self._negotiate
        self._answer(stream)

    def _serves(self, name):
        return name in (PING, ID, PUSH) or self._owner.serves(name)

    def _answer(self, stream):
        out = stream.select.out
        stream.select.out = b""
        while out:
            n = stream.write(out)
            if not n:
                return stream.reset()  # who asks for so much without reading an answer
            out = out[n:]

    def _negotiate(self, stream, data):
        select = stream.select
        if data is None:
            if not stream.is_reset:
                stream.reset()
            return
        is_open = select.receive(data)
        if select.out:
            self._answer(stream)
        if is_open or stream.is_reset:
            return
        if select.is_failed:
            return stream.reset()
        stream.select = stream.sink = None
        stream.protocol = select.name
        stream.then(stream)
        if select.rest and stream.sink:
            stream.sink(stream, select.rest)
        elif select.rest:
            stream.data += select.rest
            self.held += len(select.rest)
        stream.changed()

    def _begin(self, stream):
        """The peer's stream has its protocol."""
        if stream.protocol == PING:
            stream.sink = self._echo
        elif stream.protocol == ID:
            stream.sink = _ignore
            self._tell(stream)
        elif stream.protocol == PUSH:
            stream.sink = self._learn
        else:
            self._owner.begin(stream)

    def _echo(self, stream, data):
        if data is None:
            stream.close()
        elif stream.write(data) < len(data):
            stream.reset()

    def _tell(self, stream):
        message = self._owner.identity()
        message = varint(len(message)) + message
        while message:
            n = stream.write(message)
            if not n:
                return stream.reset()
            message = message[n:]
        stream.close()

    def identify(self):
        """Ask the peer who it is: the Stream, at whose end `identified` is set, or it was reset."""
        return self.dial((ID,), self._hear)

    def push(self):
        """Tell the peer that something has changed."""
        return self.dial((PUSH,), self._tell)

    def _hear(self, stream):
        stream.sink = self._learn

    def _learn(self, stream, data):
        """A part of an identify message, or of several."""
        if data:
            stream.data += data
            self.held += len(data)
        size, at = read_varint(stream.data, 0, min(4, len(stream.data)))
        if at < 0 or size > _IDENTIFY_MOST or data is None and at + size > len(stream.data):
            return None if stream.is_reset else stream.reset()
        if data is None and at:
            from .identify import decode_identify

            found = decode_identify(memoryview(stream.data)[at : at + size], self.peer)
            self.held -= len(stream.data)
            stream.data = bytearray()
            if found:
                self.identified = found
                self._owner.news()
            stream.close()
            stream.changed()

    def ended(self):
        self._owner.news()

    def tick(self, now):
        for stream in list(self.streams.values()):
            if (stream.select or stream.protocol in (ID, PUSH)) and ticks_diff(now, stream.since) > _NEGOTIATE_MS:
                stream.reset()
        Yamux.tick(self, now)


def _ignore(stream, data=None):
    pass
