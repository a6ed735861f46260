"""Sessions as a computer does them fast: whole records are sealed and opened by one call (cipher.py), from the bytes that
came and without a buffer in between, and the usual frame, a whole message, is handled where it stands."""

from __future__ import annotations

from struct import Struct
from typing import Any

from cryptography.exceptions import InvalidTag
from picoswarm import lanes, mux
from picoswarm.compat import ticks_diff
from picoswarm.mux import Mux
from picoswarm.reasons import NAMES
from picoswarm.session import OPEN, STARTED, Session

from .cipher import HEAD, TAG, Cipher

REASONS = {name: number for number, name in enumerate(NAMES.split())}
MALFORMED, FORGED = REASONS["malformed"], REASONS["forged"]
LEAST = 3 + TAG
SHORTEST = HEAD + LEAST  # bytes of a record
PARTIAL_MS = 10_000
GOODBYE = 5  # bytes of the frame that ends a session, for which a record has room
FRAME = Struct(">BH").pack  # what stands before a message: channel, flags and length
GATEWAY = 2  # of the capabilities
FIRST_OF_USERS = 32  # channels below are those of the library's reactors

# A row of lanes.py
STEP, CREDIT, ROOM, DONE = lanes._STEP, lanes._CREDIT, lanes._ROOM, lanes._DONE
FILL, LEFT, FLAGS, QUEUE, LIMIT = lanes._FILL, lanes._LEFT, lanes._FLAGS, lanes._QUEUE, lanes._LIMIT
RECORD, FILLED, END_AT, PLACE, GUARD = mux._RECORD, mux._FILLED, mux._END_AT, lanes._PLACE, lanes._GUARD
UNUSUAL = mux._WANTS | mux._CLOSING  # of a row: its queue is looked after by somebody
URGENT = mux._URGENT << 24  # of a row: what it has waits for nothing
MARKS = mux._TALK | mux._SAID | mux._OVER | mux._HURRY  # of these, what goes at once has but the last
HURRY, TOLD, READY, PINGED, OVER = mux._HURRY, mux._TOLD, mux._TALK, mux._PINGED, mux._OVER
DECAYED = mux._DECAYED
MESSAGE = 1 << 48  # beyond any count of bytes
WHOLE = 0x1000  # a frame that is a whole message


class HostMux(Mux):
    """A Mux that takes and makes records of whole messages in one pass. Its memory for streams comes with the first one: a
    gateway lets each peer have many, and few do."""

    def start(self, channels: bytes, record: int, now: int) -> None:
        super().start(channels, record, now)
        self._size, self._pool = len(self._pool), b""
        self.most = self._rows[RECORD] - 3  # bytes of a message that goes in one frame
        self.begun = b""  # frames with which the next record begins: their credit is spent, and nothing may come before them
        self.row_of = self._plan.row_of

    def _look(self, buf: bytes, at: int, n: int) -> None:
        self._buf, self._at, self._view = buf, at, memoryview(buf)[at : at + n]  # bytes: nothing can be moved in them

    def _place(self, i: int) -> int:
        if not self._pool:
            self._pool = bytearray(self._size)
        return super()._place(i)

    @property
    def has_events(self) -> bool:
        """Whether `next_event` has one."""
        return bool(self._marks & TOLD)

    def tick(self, now: int) -> int:
        """See Mux.tick. Of a session that is well there is no more to do than to find that out."""
        if not self._marks & PINGED and self._buf is None:
            rows = self._rows
            silence = ticks_diff(now, self._heard)
            if silence < self._patience(self._plan.profile.keepalive_s) and not any(rows[STEP::STEP]):
                rows[DECAYED] = now
                return 0
        return super().tick(now)

    def is_done(self) -> bool:
        """Whether there is nothing to send, now or later, and no event."""
        return not (self._ready or self.begun or self._marks & (READY | TOLD))

    def due(self, now: int) -> int:
        """See Mux.due."""
        return 0 if self.begun else super().due(now)

    def receive(self, buf: bytes, at: int, end: int, now: int) -> int:
        """See Mux.receive. A whole message is handed on as bytes, which cost less than a view of them."""
        if self._marks & OVER:
            return 0
        self._heard = now
        rows = self._rows
        rows[END_AT] = end
        row_of = self.row_of
        deliver = self.on_message
        while at + 2 < end:
            channel = buf[at]
            i = row_of[channel] * STEP
            n = (buf[at + 1] << 8 | buf[at + 2]) ^ WHOLE
            stop = at + 3 + n
            left = rows[i + LEFT] - n - 3
            if n >= WHOLE or n > rows[i + LIMIT] or stop > end or left <= 0 or not i or rows[i + FILL]:
                at = self._take_frame(buf, at)  # which finds out what it is
                continue
            rows[i + LEFT] = left
            deliver(channel, buf[at + 3 : stop])
            at = stop
        return 0 if at == end else at - mux._REFUSED if at >= mux._REFUSED else MALFORMED

    def record(self, out: bytearray, now: int) -> bytes:
        """The plaintext of the next record, b"" for none is due; `out` is scratch."""
        rows, ready, marks, begun = self._rows, self._ready, self._marks, self.begun
        is_more = ready or marks & READY
        if begun:
            self.begun = b""
            rows[FILLED] = now
            if not is_more:
                return begun
            self._marks = marks = marks | HURRY  # what waits goes with it
            if len(begun) > rows[RECORD] - GOODBYE:
                return begun
        elif not is_more:
            return b""
        if marks & MARKS == HURRY and len(ready) == 1:
            i = ready[0]
            queue, flags = rows[i + QUEUE], rows[i + FLAGS]
            if queue and not (rows[i + DONE] or flags & UNUSUAL):
                room = rows[RECORD]
                if rows[i + CREDIT] < room:
                    room = rows[i + CREDIT]
                channel = flags >> 16 & 0xFF
                count = 0
                plain = begun
                for data in queue:
                    n = len(data)
                    if len(plain) + n + 3 > room:
                        break
                    plain += FRAME(channel, WHOLE | n) + data
                    count += 1
                if count:
                    size = len(plain) - len(begun)
                    rows[FILLED] = now
                    rows[i] += size
                    rows[i + CREDIT] -= size
                    rows[i + ROOM] += size + count * (PLACE - 3)
                    if count < len(queue):
                        del queue[:count]
                    else:
                        queue.clear()
                        ready.clear()
                    return plain
        n = len(begun)
        out[:n] = begun
        return bytes(memoryview(out)[: self.fill(out, n, min(len(out), rows[RECORD]), now)])


class HostSession(Session):
    """A Session that takes bytes as they come, in `data`, instead of a buffer of its own."""

    def __init__(self, swarm: Any, ip: bytes, port: int, link: Any) -> None:
        super().__init__(swarm, ip, port, link)
        self.socket: Any = None  # its Link in transport.py
        self.is_read = False  # since the last look
        self.data = b""  # what came and was not taken yet
        self.heard: dict[int, int] = {}  # MESSAGE for each that came, and its bytes, by channel; traffic.py takes them

    def start(self, profile: Any, channels: Any, now: int) -> None:
        handshake = self.handshake
        self.data = bytes(handshake.buf[: handshake.fill]) + self.data
        self.fill = len(self.data)
        self.buf = b""
        self._sealer = Cipher(handshake.send_key, self.swarm.scratch)
        self._opener = Cipher(handshake.receive_key, self.swarm.scratch)
        self.mux = HostMux(profile, channels, self.is_outbound, now)
        self.mux.on_message = self._on_message
        self.mux.start(self.hello.channels, min(self.hello.record, profile.record), now)
        if (self.hello.capabilities | self.swarm._hello.capabilities) & GATEWAY:
            self.mux.hurry()

    def end(self, reason: int, now: int, ms: int) -> None:
        super().end(reason, now, ms)
        self.data = b""
        if not self.mux:
            self._sealer = Cipher(self.handshake.send_key, self.swarm.scratch)

    def rest(self) -> None:
        """Nothing came for a second."""
        if self._sealer:
            self._sealer.rest()
        if self._opener:
            self._opener.rest()

    def take(self, data: bytes) -> None:
        """Bytes came. One record, whole and alone, as nearly always, is opened where it stands."""
        swarm, end = self.swarm, len(data)
        if self.stage != OPEN or self.data or not SHORTEST <= end <= swarm.longest or data[0] << 8 | data[1] != end - HEAD:
            return swarm.take(self, data)
        try:
            plain = self._opener.open(data, 0, end)
        except InvalidTag:
            return swarm.took(self, FORGED)
        self.is_read = True
        mux = self.mux
        rows = mux._rows
        channel = plain[0]
        i = mux.row_of[channel] * STEP
        n = len(plain) - 3
        left = rows[i + LEFT] - n - 3
        is_whole = n < WHOLE and plain[1] << 8 | plain[2] == WHOLE | n
        if is_whole and n <= rows[i + LIMIT] and left > 0 and i and not rows[i + FILL]:
            mux._heard = swarm.now
            rows[i + LEFT] = left
            self._on_message(channel, plain[3:])
            reason = 0
        else:
            reason = mux.receive(plain, 0, n + 3, swarm.now)
        if reason or mux._marks & TOLD or swarm.parked or self.stage != OPEN:
            return swarm.took(self, reason)
        if not self.is_unsent and (mux._ready or mux._marks & READY):
            self.touch()

    def receive(self, n: int) -> int:
        """Take the records in `data`; see Session.receive. -1 where none was whole."""
        data = self.data
        end = len(data)
        at = 0
        most = self.swarm.longest - HEAD
        take, now = self.mux.receive, self.swarm.now
        while end - at >= HEAD:
            n = data[at] << 8 | data[at + 1]
            if not LEAST <= n <= most:
                return MALFORMED
            stop = at + HEAD + n
            if stop > end:
                break
            try:
                plain = self._opener.open(data, at, stop)
            except InvalidTag:
                return FORGED
            reason = take(plain, 0, n - TAG, now)
            if reason:
                return reason
            at = stop
        if self.stage > OPEN:
            return 0 if at else -1
        self.fill = end - at
        if at:
            self.is_read = True
            self.deadline = None
            self.data = data[at:]
        if self.fill and self.deadline is None:
            self.limit(now, PARTIAL_MS)
        return 0 if at else -1

    def _on_message(self, channel: int, view: bytes | memoryview) -> None:
        """As Swarm.deliver, in one call; the mux lets nothing through but what a reactor of this session listed. What comes
        is counted on the way."""
        if self.stage > OPEN:
            return
        heard = self.heard
        heard[channel] = heard.get(channel, 0) + MESSAGE + len(view)
        swarm = self.swarm
        reactor = swarm.reactor_of[channel]
        reason = reactor.receive(self, channel, view)
        if reason:
            swarm.offend(self, reason)
        if reactor.is_busy:
            swarm.is_busy = True
        if channel < FIRST_OF_USERS:
            swarm.has_news = True

    def messages(self) -> int:
        """How many messages `heard` counts."""
        return sum(self.heard.values()) // MESSAGE

    def try_send(self, channel: int, data: bytes | str) -> bool:
        """As in Session and Mux, in one call for the usual message."""
        if self.stage != OPEN:
            return super().try_send(channel, data)
        if isinstance(data, str):
            data = data.encode()
        mux = self.mux
        rows = mux._rows
        i = mux.row_of[channel] * STEP
        n = len(data)
        if not self.is_unsent:
            self.is_unsent = True
            self.swarm.unsent.append(self)
            left = rows[i + CREDIT] - n - 3
            if (
                left >= 0
                and n <= rows[i + LIMIT]
                and n <= mux.most
                and not (mux._ready or mux.begun or rows[i + QUEUE])
                and rows[i + FLAGS] >= URGENT
                and not rows[i + FLAGS] & UNUSUAL
            ):  # nothing is before it, so no queue is needed
                rows[i + CREDIT] = left
                rows[i] += n + 3
                mux.begun = FRAME(channel, WHOLE | n) + data
                return True
        left = rows[i + ROOM] - PLACE - n
        if left < 0 or not left & GUARD or n > rows[i + LIMIT]:
            return super().try_send(channel, data)  # which finds out what it is
        rows[i + ROOM] = left
        (rows[i + QUEUE] or mux._wake(i)).append(data)
        return True

    def to_send(self, out: bytearray, now: int) -> bytes:
        """The bytes that are to be sent now, b"" for none; `out` is scratch."""
        if self.stage == OPEN and not self.handshake:
            plain = self.mux.record(out, now)
            return self._sealer.seal(plain) if plain else b""
        if self.handshake:
            n = self.handshake.to_send(out)
            if self.stage >= STARTED:
                self.handshake = None  # that was its last message
            if n:
                return bytes(out[:n])
        if not self._sealer:
            return b""
        if self.mux:
            plain = self.mux.record(out, now)
            return self._sealer.seal(plain) if plain else b""
        sealer, self._sealer = self._sealer, None
        return sealer.seal(bytes((0, 0x10, 2, 4, self.reason)))  # refused before there was any channel: GOAWAY alone
