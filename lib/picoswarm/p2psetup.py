"""The set-up of a libp2p connection: from a connected socket to keys, a proven peer id, and Yamux (libp2p specs, connections
and noise). Pure. Loaded for a set-up; nothing that runs needs it."""

from .compat import const
from .multistream import Select
from .noise import Noise
from .p2pcipher import Cipher
from .peerkey import ED25519, decode_key, peer_id
from .protobuf import decode_fields, encode_fields, last_of

_NOISE = b"/noise"
_YAMUX = b"/yamux/1.0.0"
_SIGNED = b"noise-libp2p-static-key:"
_TAG = const(16)

_DONE = const(2)  # stages, as in handshake.py
_FAILED = const(3)


class _Noise(Noise):
    """Plain XX, after which both sides know the static key of the other."""

    def static_of_peer(self):
        return self._state[5]


def signed_text(static_public):
    """What an identity key signs of a Noise static key."""
    return _SIGNED + static_public


class P2pSetup:
    """One side. `identity` has `static_private`, `static_public` (32 each), `public_key` (the message of the identity
    key) and
    `signature` (64: its own of `signed_text`). `dialed` is the peer id that must be at the other end, or None.
    `verify(kind, key, signature, text)` checks keys other than Ed25519; None: those are refused. `size`: bytes of `buf`.

    The owner reads into `buf` at `fill`, says so to `receive`, and calls `work` as long as it returns True; after each it
    sends `out` and sets it to nothing, and looks at `stage`: 2 done, 3 failed for `reason` (a text). When done,
    `peer` is the
    peer id, `ciphers` (to send, to receive), and `rest` what came for Yamux; what is left in buf[:fill] came behind it."""

    def __init__(self, identity, rng, is_initiator, dialed=None, verify=None, size=1024):
        self.buf = bytearray(size)
        self.fill = self.stage = 0
        self.reason = ""
        self.out = self.rest = b""
        self.is_initiator = is_initiator
        self.peer = self.ciphers = None
        self._identity = identity
        self._dialed = dialed
        self._verify = verify
        self._muxers = ()
        self._job = self._run(rng)

    def room(self):
        """How many bytes fit into the buffer behind `fill`."""
        return len(self.buf) - self.fill

    def receive(self, n):
        """`n` bytes more are at buf[fill:]."""
        self.fill += n

    def work(self):
        """One slice; True while more can be done without the peer."""
        for more in self._job:
            return more
        return False

    def _fail(self, reason):
        self.stage = _FAILED
        self.reason = reason
        self._job = ()

    def _take(self, end):
        """Let go of buf[:end]."""
        self.fill -= end
        self.buf[: self.fill] = self.buf[end : end + self.fill]

    def _message(self):
        """Wait for a whole message; returns its end, with its length before it, or -1."""
        while self.fill < 2:
            yield False
        end = 2 + (self.buf[0] << 8 | self.buf[1])
        if end > len(self.buf):
            return -1
        while self.fill < end:
            yield False
        return end

    def _choose(self, name):
        """Agree on a protocol by bare lines. True where it did."""
        select = Select((name,), None if self.is_initiator else lambda wanted: wanted == name)
        while True:
            self.out += select.out
            select.out = b""
            if not select.receive(b""):
                break
            while not self.fill:
                yield False
            select.receive(self.buf[: self.fill])
            self.fill = 0
        self._put_back(select.rest)
        return select.name is not None

    def _put_back(self, rest):
        self.buf[: len(rest)] = rest
        self.fill = len(rest)

    def _run(self, rng):
        if not (yield from self._choose(_NOISE)):
            return self._fail("no noise")
        noise = _Noise(self._identity, rng(32), b"", None, self.is_initiator)
        for turn in range(3):
            if self.is_initiator == (turn == 1):
                end = yield from self._message()
                if end < 0:
                    return self._fail("a message of the set-up is too long")
                yield from noise.message(self.buf, 2, end)
                if noise.end < 0:
                    return self._fail("noise refuses the message")
                meeting = self._meet(bytes(self.buf[noise.at : noise.end]), noise.static_of_peer())
                self._take(end)
                if turn:
                    size = len(self.buf)
                    if not self.fill:
                        self.buf = b""  # memory is scarce now, and nothing comes meanwhile
                    yield from meeting
                    if self.reason:
                        return self._fail(self.reason)
                    if not self.fill:
                        self.buf = bytearray(size)
            else:
                payload = self._payload() if turn else b""
                out = bytearray(2 + 96 + len(payload))
                yield from noise.message(out, 2, 0, payload)
                out[0] = noise.end - 2 >> 8
                out[1] = noise.end - 2 & 0xFF
                self.out += out[: noise.end]
            yield True
        keys = noise.keys[:32], noise.keys[32:]
        if not self.is_initiator:
            keys = keys[1], keys[0]
        self.ciphers = Cipher(keys[0]), Cipher(keys[1])
        noise = None
        if _YAMUX not in self._muxers:
            if not (yield from self._choose_muxer()):
                return self._fail("no yamux")
        self._job = ()
        self.stage = _DONE

    def _payload(self):
        identity = self._identity
        return encode_fields(((1, identity.public_key), (2, identity.signature), (4, encode_fields(((2, _YAMUX),)))))

    def _meet(self, payload, static):
        """The peer said who it is; `reason` is set where that is not so."""
        fields = decode_fields(payload)
        message = last_of(fields, 1) if fields else None
        signature = last_of(fields, 2) if fields else None
        key = decode_key(message) if message else None
        if not key or not signature:
            self.reason = "malformed payload"
            return
        extensions = decode_fields(last_of(fields, 4) or b"")
        self._muxers = [value for number, value in extensions or () if number == 2]
        self.peer = peer_id(message)
        if self._dialed is not None and self.peer != self._dialed:
            self.reason = "wrong peer"
        elif message == self._identity.public_key:
            self.reason = "myself"
        elif key[0] != ED25519 and self._verify:
            if not self._verify(key[0], key[1], signature, signed_text(static)):
                self.reason = "forged"
        elif key[0] != ED25519 or len(key[1]) != 32:
            self.reason = "unknown kind of key"
        elif len(signature) != 64:
            self.reason = "forged"
        else:
            from .ed25519 import Verify

            job = Verify(key[1], signature, signed_text(static))
            fields = message = signature = key = extensions = payload = static = None  # as above
            while job.step():
                yield True
            if not job.result:
                self.reason = "forged"

    def _choose_muxer(self):
        """Agree on Yamux by lines in records, with a peer that did not say so in its payload."""
        select = Select((_YAMUX,), None if self.is_initiator else lambda wanted: wanted == _YAMUX)
        while True:
            if select.out:
                self.out += self._sealed(select.out)
                select.out = b""
            if not select.receive(b""):
                break
            end = yield from self._message()
            stop = self.ciphers[1].open(self.buf, 0, end) if end >= 2 + _TAG else -1
            if stop < 0:
                return False
            select.receive(self.buf[2:stop])
            self._take(end)
        self.rest = select.rest
        return select.name is not None

    def _sealed(self, data):
        buf = bytearray(2 + len(data) + _TAG)
        buf[2 : 2 + len(data)] = data
        self.ciphers[0].seal(buf, 2 + len(data))
        return buf
