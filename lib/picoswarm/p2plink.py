"""One libp2p connection behind its set-up: Noise records, Yamux in them, and on each stream multistream-select, then ping,
identify or a protocol of the user's (libp2p specs). Pure; p2psetup.py makes the keys."""

from struct import pack_into

from .aead import Aead
from .compat import const, ticks_diff
from .identify import ID, PING, PUSH, decode_identify
from .multistream import Select
from .protobuf import read_varint, varint
from .yamux import MEMORY, PROTOCOL, Yamux

_TAG = const(16)
_IDENTIFY_MOST = const(8192)
_NEGOTIATE_MS = const(10000)


class Cipher(Aead):
    """One direction of a Noise connection, from its 32-byte key. A record is length 2 | ciphertext | tag 16."""

    def __init__(self, key):
        Aead.__init__(self, key)
        self._nonce = bytearray(12)
        self._count = 0

    def seal(self, buf, end):
        """Seal buf[2:end] in place; 16 bytes behind it are free."""
        pack_into(">H", buf, 0, end + _TAG - 2)
        Aead.seal(self, self._nonce, b"", buf, 2, end)
        self._step()

    def open(self, buf, start, end):
        """Open the record buf[start:end] in place: the end of its plaintext, which begins at start + 2, or -1."""
        end = Aead.open(self, self._nonce, b"", buf, start + 2, end)
        if end >= 0:
            self._step()
        return end

    def _step(self):
        self._count += 1
        pack_into("<I", self._nonce, 4, self._count)


class P2pLink(Yamux):
    """One connection, of the set-up that is done. `host` knows what is the same for all of them: `host.serves(name)` says
    whether a protocol (bytes) is served, `host.identity(link)` gives the message of identify, `host.begin(link, stream)` takes
    a stream that the peer opened, and `host.news(link)` hears that `identified` has changed, or that the link has ended.

    The owner reads into `buf` from `fill` on, at most `room` bytes, and says so to `received`."""

    owner = None  # whoever has it
    record = 65535  # bytes of the longest record that is taken
    buffer = 1024  # bytes of the buffer: it grows for a longer record, and that goes again

    def __init__(self, host, setup, now):
        Yamux.__init__(self, setup.is_initiator, now)
        self.host = host
        self.peer = setup.peer
        self.identified = None
        self.buf = setup.buf
        self.fill = setup.fill
        self._seal, self._open = setup.ciphers
        rest = setup.rest
        if rest:
            self.receive(rest, 0, len(rest))

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
        return name in (PING, ID, PUSH) or self.host.serves(name)

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
            self.host.begin(self, stream)

    def _echo(self, stream, data):
        if data is None:
            stream.close()
        elif stream.write(data) < len(data):
            stream.reset()

    def _tell(self, stream):
        message = self.host.identity(self)
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
            found = decode_identify(memoryview(stream.data)[at : at + size], self.peer)
            self.held -= len(stream.data)
            stream.data = bytearray()
            if found:
                self.identified = found
                self.host.news(self)
            stream.close()

    def ended(self):
        self.host.news(self)

    def tick(self, now):
        for stream in list(self.streams.values()):
            if stream.select and ticks_diff(now, stream.since) > _NEGOTIATE_MS:
                stream.reset()
        Yamux.tick(self, now)


def _ignore(stream, data=None):
    pass
