"""One side of a session's set-up, from the connected socket to keys: Noise XXpsk0 with HELLO in its messages 2 and 3
(docs/protocol.md 4). Pure."""

from .compat import const, ticks_add, ticks_diff
from .crypto import X25519
from .hello import decode, refusal
from .noise import Noise
from .wire import copy, put_u16, same, u16

_VERSION = const(1)
_SIZES = b"\x30\x60\x40"  # of messages 1 to 3 without the HELLO in the last two
_HELLO = const(64)
_BUFFER = const(164)
_CHALLENGE = const(16)
_OPENS_MS = const(2000)  # from the socket, or from the challenge, to message 1
_ANSWERS_MS = const(5000)  # to the next message
_UNFINISHED_MS = const(60000)
_UNFINISHED = const(2)  # so many opened handshakes without an end, and newcomers are challenged
_KEPT = const(8)  # of those, at most
_SEEN = const(64)  # bytes, the first 4 of each ephemeral key

_BUSY = const(1)
_INCOMPATIBLE = const(2)
_SELF = const(4)
_WRONG_ID = const(7)
_EPOCH = const(9)
_MALFORMED = const(11)
_TOO_LONG = const(15)
_FORGED = const(21)
_REPLAYED = const(23)

_OPENED = const(1)
_DONE = const(2)
_FAILED = const(3)


class Reception:
    """What the handshakes of a node know of each other. `is_full`, its owner says: a bit for each purpose that there
    is no place for."""

    def __init__(self):
        self.is_full = 0
        self.unfinished = []  # when the last few opened that came to no end
        self.ahead = None  # an ephemeral key that no handshake has yet, with the job of its public half
        self._seen = bytearray(_SEEN)
        self._at = 0

    def prepare(self, rng):
        """One slice of work for the handshake that is to come, while there is nothing else to do. True: there is more."""
        if self.ahead is None:
            private = rng(32)
            self.ahead = private, X25519(private)
            return True
        job = self.ahead[1]
        return job.result is None and job.step()

    def judge(self, buf, at, now, is_challenged, purpose):
        """What to do about a message 1 that opened and has its ephemeral key at buf[at:at+32]: 0 go on, -1 challenge it, or
        a reason to close."""
        seen = self._seen
        for i in range(0, _SEEN, 4):
            if same(seen, i, buf, at, 4):
                return _REPLAYED
        copy(seen, self._at, buf, at, 4)
        self._at = (self._at + 4) % _SEEN
        if self.is_full >> purpose & 1:
            return _BUSY
        unfinished = self.unfinished
        while unfinished and not (0 <= ticks_diff(now, unfinished[0]) < _UNFINISHED_MS and len(unfinished) < _KEPT):
            unfinished.pop(0)
        if len(unfinished) >= _UNFINISHED and not is_challenged:
            return -1
        unfinished.append(now)
        return 0


class Handshake:
    """One side. `keys` is the NetworkKey to use as the initiator, the Keyring as the responder; `hello` is the own encoded
    HELLO; `reception` None where there is nothing inbound; `dialed_id` None where any id will do.

    The owner reads at most len(buf) - fill bytes into `buf` at `fill`, says so to `receive`, and calls `work` as long as it
    returns True (`has_work` says so before); after each slice it sends what `to_send` has, and looks at `stage`: 0 waiting
    (the responder: a mere socket), 1 the peer's first message opened, 2 done, 3 failed, for `reason`. At `deadline` (ticks)
    it closes the socket. The responder has the `epoch` once message 1 opened, challenged or not. When done, `peer_id` (32),
    `hello` (the peer's), `send_key`, `receive_key` (32 each) and `epoch` are set, and buf[:fill] is what came after the last
    message. A `reason` that is not 0 then must be told the peer in a GOAWAY, and the session closed."""

    def __init__(self, identity, keys, rng, hello, is_initiator, reception, dialed_id, now):
        self.buf = bytearray(_BUFFER)
        self.fill = self.stage = self.reason = 0
        self.deadline = ticks_add(now, _ANSWERS_MS if is_initiator else _OPENS_MS)
        self.peer_id = self.hello = self.send_key = self.receive_key = self.epoch = None
        self.has_work = is_initiator
        self.purpose = 0  # the initiator: what this session is for, see connmgr.py; the responder hears it
        self._now = now
        self._out = b""
        self._job = self._run(identity, keys, rng, hello, is_initiator, reception, dialed_id)

    def receive(self, n, now):
        """`n` bytes more are at buf[fill:]. Returns 0, or the reason why this set-up has failed."""
        self.fill += n
        self._now = now
        self.has_work = True
        return self.reason if self.stage == _FAILED else 0

    def work(self):
        """One slice of work, less than 20 ms on a board; True while more can be done without the peer."""
        self.has_work = False
        for more in self._job:
            self.has_work = more
            break
        return self.has_work

    def to_send(self, out):
        """Put what is to be sent into `out` (at least 163 bytes); returns the number of bytes, 0 for nothing."""
        n = len(self._out)
        copy(out, 0, self._out, 0, n)
        self._out = b""
        return n

    def fail(self, reason):
        """Give it up: the owner closes the socket without a byte."""
        self.stage = _FAILED
        self.reason = reason
        self._job = ()

    def _consume(self, end, wait_ms):
        """buf[:end] has been worked on; the next message has `wait_ms` to come."""
        self.fill -= end
        copy(self.buf, 0, self.buf, end, self.fill)
        self.deadline = ticks_add(self._now, wait_ms)

    def _meet(self, noise, own_id, dialed_id):
        """The peer said who it is."""
        self.peer_id = noise.peer_id
        self.hello = decode(self.buf, noise.at, noise.end)
        if self.hello is None:
            self.reason = _MALFORMED
        elif self.peer_id == own_id:
            self.reason = _SELF
        elif dialed_id and self.peer_id != dialed_id:
            self.reason = _WRONG_ID
        else:
            self.reason = refusal(self.hello.versions, _VERSION)

    def _arrive(self, at, most):
        """Wait for the whole message that begins with its length at buf[at]. Its end, or -1 for more than `most` bytes."""
        end = at + 2
        while self.fill < end:
            yield False
        end += u16(self.buf, at)
        if end > at + 2 + most:
            return -1
        while self.fill < end:
            yield False
        return end

    def _run(self, identity, keys, rng, hello, is_initiator, reception, dialed_id):
        """The whole set-up: yields True where it can go on, False where bytes of the peer are missing."""
        buf = self.buf
        byte0 = _VERSION << 4 | keys.epoch if is_initiator else 0
        at = 1  # of the message: byte 0 stands before the first
        turn = end = 0
        challenge = b""
        while turn < 3:
            is_read = is_initiator == (turn == 1)
            if is_read:
                text, out = None, buf
                end = yield from self._arrive(at, _SIZES[turn] + (_HELLO if turn else 1))
                if end < 0:
                    return self.fail(_TOO_LONG)
                if turn == 1 and end == 2 + _CHALLENGE and not challenge:
                    challenge = bytes(buf[2:end])
                    self._consume(end, _ANSWERS_MS)
                    turn = 0
                    continue
                if at:
                    byte0 = buf[0]
                    if byte0 >> 4 != _VERSION:
                        return self.fail(_INCOMPATIBLE)
                    keys = keys.find(byte0 & 15)
                    if keys is None:
                        return self.fail(_EPOCH)
            else:
                text = hello if turn else bytes((self.purpose,)) if self.purpose else b""
                out = bytearray(at + 2 + _SIZES[turn] + len(text))
                out[0] = byte0
            if turn == 0:
                noise = Noise(identity, rng(32), b"picoswarm/1" + bytes((byte0,)) + challenge, keys.psk, is_initiator)
                noise.expected = dialed_id
            if not is_read and turn < 2 and reception and reception.ahead:  # the message has an ephemeral key
                noise.ephemeral, noise.job = reception.ahead
                reception.ahead = None
            yield from noise.message(out, at + 2, end, text)
            if noise.end < 0:
                return self.fail(_FORGED)
            if not is_read:
                put_u16(out, at, noise.end - at - 2)
                self._out = out
            elif turn:
                self._meet(noise, identity.id, dialed_id)
                self._consume(end, _ANSWERS_MS)
            else:
                opened = self._now
                self.epoch = byte0 & 15
                self.purpose = (buf[noise.at] & 3) % 3 if noise.end > noise.at else 0
                verdict = reception.judge(buf, at + 2, opened, challenge, self.purpose)
                if verdict > 0:
                    return self.fail(verdict)
                self._consume(end, _OPENS_MS if verdict else _ANSWERS_MS)
                if verdict:
                    challenge = rng(_CHALLENGE)
                    self._out = b"\0\x10" + challenge
                    at = 0
                    continue
            at = 0
            turn += 1
            if is_read:
                self.stage = _OPENED
                yield True
        self.send_key = noise.keys[:32]
        self.receive_key = noise.keys[32:]
        if not is_initiator:
            self.receive_key, self.send_key = self.send_key, self.receive_key
            if opened in reception.unfinished:
                reception.unfinished.remove(opened)
        self.epoch = byte0 & 15
        self._job = ()
        self.stage = _DONE
