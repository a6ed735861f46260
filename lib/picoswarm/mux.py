"""The frames of one session: fair shares, credit, keepalive (docs/protocol.md 5, rows T5-T15). Pure.

What is known of each channel and stream stands in the rows of lanes.py, which says what the numbers mean.
"""

from .compat import const, ticks_add, ticks_diff
from .frames import frame
from .lanes import Lanes
from .wire import copy, put_u16, u16

_STEP = const(9)
_CREDIT = const(1)
_ROOM = const(2)
_DONE = const(3)
_FILL = const(4)
_LEFT = const(5)
_FLAGS = const(6)
_QUEUE = const(7)
_LIMIT = const(8)
_RECORD = const(1)  # in the first row: bytes of a record
_DECAYED = const(3)  # and when scores were made less
_END_AT = const(0)  # and where the record that is received ends
_LIMIT_AT = const(5)  # and where the record in hand has to end
_FILLED = const(8)  # and when the last record went
_PLACE = const(0x200000)  # in ROOM: a message more
_GUARD = const(0x100000)  # in ROOM: lent by the places where bytes are lacking

# Bits of FLAGS
_OURS = const(2)  # opened here
_CLOSING = const(8)  # our half ends behind what is queued
_CLOSED = const(16)  # our half has ended
_ENDED = const(32)  # the peer's half has ended
_RESETTING = const(64)  # a RESET is to be sent
_DEAD = const(128)  # reset, by either side
_WANTS = const(256)  # a message found no room
_READABLE = const(2)  # events, as 256 << kind
_WRITABLE = const(3)

# Flags of a frame, in the high half of its second byte
_END = const(0x10)
_OPEN = const(0x20)
_CLOSE = const(0x40)
_RESET = const(0x80)

# Bits of `_marks`: what channel 0 has to say (the first two are its kinds, too), and what else there is to know
_PING = const(1)
_PONG = const(2)
_CREDITS = const(4)
_RESETS = const(8)
_AWAY = const(16)
_TALK = const(31)
_HURRY = const(32)  # what waits goes at once
_SAID = const(64)  # the last record had control frames
_OVER = const(128)  # GOAWAY was said or heard
_PINGED = const(256)  # and no answer
_TOLD = const(512)  # events wait
_ODD = const(1024)  # the ids that this side gives are; from bit 16 the reason of the GOAWAY
_REASON = const(0xFF0000)
_QUICK = const(2048)  # one of both is a gateway
_CREDIT_KIND = const(3)
_GOAWAY_KIND = const(4)

_REFUSED = const(0x10000)  # beyond any offset
_FIRST_STREAM = const(128)
_LEAST = const(16)  # a part of a message has as many bytes, or is all that is left or allowed
_URGENT = const(5)  # priority from which on nothing waits for more
_DECAY_MS = const(2000)
_QUIET_MS = const(500)  # less than a second, so that the look after a lonely message finds it
_DECAYS = const(20)  # make a hundredth of a score
_QUICK_S = const(5)  # of silence of a gateway before a PING, and as much more before the end

_BUSY = const(1)  # see reasons.py
_SILENT = const(10)
_MALFORMED = const(11)
_OVER_CREDIT = const(12)
_UNLISTED = const(13)
_BAD_STREAM = const(14)
_TOO_LONG = const(15)


class Mux(Lanes):
    """`Mux(profile, channels, is_initiator, now)`; `channels`: tuple of Channel, this node's; nothing moves before `start`.
    Its owner sets `on_message`, a function of (channel id, memoryview that is valid during the call). Raises LocalError for
    a channel that cannot be served: its priority is not 1-16, its id not 1-127 or taken, its message limit above 30,000."""

    # What happens for each record or message has few names and flat expressions: of a function with more, MicroPython takes
    # the memory of each call from the heap, and looks for it longer than the function takes.

    # Sending

    def try_send(self, channel, data):
        """Queue a message, or bytes of a stream; `data` (bytes) is kept, not copied. False: there is no room now, or the
        stream takes no more. Raises LocalError for a channel that the peer did not list, and for too long a message."""
        rows = self._rows
        i = self._plan.row_of[channel] * _STEP or self._open_row(channel)
        n = len(data)
        left = rows[i + _ROOM] - _PLACE - n
        if left < 0 or not left & _GUARD or n > rows[i + _LIMIT]:
            return self._refuse(channel, n)
        (rows[i + _QUEUE] or self._wake(i)).append(data)
        rows[i + _ROOM] = left  # once there was memory
        return True

    def _wake(self, i):
        """Something will be in an empty queue, which this returns."""
        rows = self._rows
        if rows[i + _QUEUE] is None:
            rows[i + _QUEUE] = []
        if rows[i + _FLAGS] >= _URGENT << 24:
            self._marks |= _HURRY
        elif not self._ready:
            self._marks &= ~_HURRY  # what was urgent is gone
        self._ready.append(i)
        return rows[i + _QUEUE]

    def _refuse(self, channel, n):
        """What cannot be queued."""
        i = self._open_row(channel)
        lane = self._plan.lanes[i // _STEP]
        if n > lane.message or n > lane.queue_bytes if i else channel < _FIRST_STREAM:
            from .errors import LocalError

            raise LocalError("%d bytes cannot be sent on channel %d" % (n, channel))
        self._rows[i + _FLAGS] |= _WANTS if i else 0
        return False

    def flush(self):
        """Let what is queued go at once."""
        self._marks |= _HURRY

    def ping(self):
        """Ask for a sign of life."""
        self._marks |= _PING

    def hurry(self):
        """One of both is a gateway: that the peer is gone is to be known soon."""
        self._marks |= _QUICK

    def go_away(self, reason):
        """The next record is the last one, and ends with the reason. A goodbye, reason 0, comes behind all that is queued
        and has credit (row T14)."""
        if not self._marks & (_OVER | _AWAY):
            self._marks |= _AWAY | reason << 16

    def hush(self):
        """The goodbye waits no longer for what is queued. False: it did not."""
        if not self._ready or self._marks & (_AWAY | _OVER | _REASON) != _AWAY:
            return False
        self._ready = []
        return True

    def due(self, now):
        """Milliseconds until `fill` has something, -1 for nothing."""
        marks = self._marks
        if marks & _OVER or not (self._ready or marks & _TALK):
            return -1
        if marks & _TALK:
            return 0
        if marks & _HURRY or self._is_full():
            return 0
        marks = self._plan.profile.flush_ms
        now = ticks_diff(now, self._rows[_FILLED])
        return marks - now if 0 <= now < marks else 0

    def _is_full(self):
        """Whether enough is queued for a whole record."""
        n = self._rows[_RECORD]
        for i in self._ready:
            n += (self._rows[i + _ROOM] & _GUARD - 1) - self._plan.lanes[i // _STEP].queue_bytes
        return n <= 0

    def fill(self, out, at, end, now):
        """Put the frames of one record into out[at:end] if one is due. Returns its end, `at` for none."""
        if not self._ready and not self._marks & _TALK or self._marks & (_HURRY | _OVER) != _HURRY and self.due(now):
            return at
        rows = self._rows
        rows[_FILLED] = now
        self._out = out
        if end > at + rows[_RECORD]:
            end = at + rows[_RECORD]
        rows[_LIMIT_AT] = end
        if self._marks & (_TALK | _SAID):
            at = self._begin(at)
        rows = self._ready
        while rows:
            at = self._fill_row(at, rows[0] if len(rows) == 1 else self._next())
            if at < 0:
                at = ~at
                break
        if self._marks & _TALK:
            at = self._fill_control(at)
        return at

    def _begin(self, at):
        """A record begins. What channel 0 has to say comes first, but not twice in a row where something waits."""
        marks = self._marks
        self._marks = marks & ~_SAID
        if marks & _AWAY:
            self._rows[_LIMIT_AT] -= 5 * (marks >> 16 > 0)
        elif marks & _TALK and not (marks & _SAID and self._ready):
            self._marks |= _SAID
            at = self._fill_control(at)
        return at

    def _next(self):
        """The row whose turn it is: for which bytes / priority are the least. Of the fresh ones the priority decides."""
        rows = self._rows
        if ticks_diff(rows[_FILLED], rows[_DECAYED]) >= _DECAY_MS:
            self._decay(rows[_FILLED])  # nobody has looked at this session for a while
        best = self._ready[0]
        for i in self._ready:
            if (rows[i] + 1) * (rows[best + _FLAGS] >> 24) < (rows[best] + 1) * (rows[i + _FLAGS] >> 24):
                best = i
        return best

    def _fill_row(self, at, i):
        """Frames of a row: one if others wait, else as many as there are. Returns the new `at`; ~at: the record is full."""
        rows = self._rows
        queue = rows[i + _QUEUE]
        while queue and not rows[i + _DONE]:
            n = len(queue[0])
            if n + 3 > rows[i + _CREDIT]:
                break
            if at + n + 3 > rows[_LIMIT_AT]:
                if n + 2 < rows[_RECORD] and i < self._plan.first:
                    return ~at  # it goes in one frame, and not in this record
                break
            n |= rows[i + _FLAGS] & 0xFF0000 | _END << 8
            n = frame(self._out, at, queue[0], n) - at
            at += n
            rows[i] = rows[i] + n
            rows[i + _CREDIT] = rows[i + _CREDIT] - n
            rows[i + _ROOM] = rows[i + _ROOM] + n + (_PLACE - 3)
            queue.pop(0)
            if rows[i + _FLAGS] & (_WANTS | _CLOSING):
                self._sent(i)
                return at
            if not queue:
                self._ready.remove(i)
                return at
            if len(self._ready) > 1:
                return at
        return self._fill_rest(at, i)

    def _fill_rest(self, at, i):
        """What is no whole message: the name of a stream, its end, a part of a message. Or nothing, for want of room, or for
        want of credit; then the row is ready no more. Returns as above."""
        rows = self._rows
        queue = rows[i + _QUEUE]
        credit = rows[i + _CREDIT] - 3
        done = rows[i + _DONE]
        data = queue[0] if queue else b""
        n = len(data) - done
        room = rows[_LIMIT_AT] - at - 3
        flags = _END
        if not queue or done < 0:
            n = len(data)
            if n > room:
                return ~at
            flags = _OPEN if queue else _CLOSE
            done = 0
        elif credit <= 0 or n > credit and i < self._plan.first and len(data) <= rows[_RECORD] - 3:
            self._rest(i)
            return at
        elif n > room or n > credit:
            if room < _LEAST or i < self._plan.first and len(data) <= rows[_RECORD] - 3:
                return ~at  # it goes in one frame, and not in this record
            n = min(room, credit)
            flags = 0
        out = self._out
        out[at] = rows[i + _FLAGS] >> 16 & 0xFF
        out[at + 1] = flags | n >> 8
        out[at + 2] = n & 0xFF
        copy(out, at + 3, data, done, n)
        rows[i + _DONE] = 0 if flags else done + n
        if flags == _CLOSE:
            self._rest(i)
            rows[i + _FLAGS] ^= _CLOSING | _CLOSED
            self._settle(i)
        elif flags:
            queue.pop(0)
            if flags == _END:
                rows[i + _ROOM] += _PLACE + len(data)
            else:
                self._marks |= _CREDITS if self._owes(i) else 0
                if not queue:
                    rows[i + _QUEUE] = None
        if flags != _OPEN and flags != _CLOSE:
            rows[i + _CREDIT] = credit - n
            rows[i] += n + 3
        self._sent(i)
        return at + n + 3

    def _sent(self, i):
        """Frames of a row were written."""
        rows = self._rows
        flags = rows[i + _FLAGS]
        if flags & _WANTS and self._has_room(i):
            rows[i + _FLAGS] ^= _WANTS
            self._event(i, _WRITABLE)
        if not rows[i + _QUEUE] and not flags & _CLOSING:
            self._rest(i)

    def _fill_control(self, at):
        """What channel 0 has to say, and RESETs, as far as there is room."""
        rows = self._rows
        end = rows[_LIMIT_AT]
        due = self._marks
        self._marks = due & ~_TALK
        for kind in (_PING, _PONG):
            if due & kind and at + 4 <= end:
                at = self._put(at, 0, _END, kind)
                due ^= kind
        self._marks |= due & (_PING | _PONG)
        i = 0
        if due & (_CREDITS | _RESETS):
            while i < len(rows) and at + 7 <= end:
                flags = rows[i + _FLAGS]
                if flags & _RESETTING:
                    at = self._put(at, flags >> 16 & 0xFF, _RESET, rows[i + _DONE])
                    if flags & _OURS:
                        rows[i + _FLAGS] ^= _RESETTING
                    else:
                        self._forget(i)
                elif flags and self._owes(i):
                    n = self._plan.halves[i // _STEP] - rows[i + _LEFT] - rows[i + _FILL]
                    rows[i + _LEFT] += n
                    at = self._put(at, 0, _END, _CREDIT_KIND, flags >> 16 & 0xFF, n)
                i += _STEP
            if i < len(rows):
                self._marks |= _CREDITS | _RESETS
        if due & _RESETS and self._refused:
            for i in range(64):
                if self._refused[i >> 3] & 1 << (i & 7):
                    if at + 4 > end:
                        self._marks |= _RESETS
                        break
                    self._refused[i >> 3] ^= 1 << (i & 7)
                    at = self._put(at, _FIRST_STREAM + i * 2 + (self._marks & _ODD == 0), _RESET, _BUSY)
        if due & _AWAY:
            if due >> 16 or not self._ready and at + 5 <= end:
                at = self._put(at, 0, _END, _GOAWAY_KIND, due >> 16)
                self._marks = _OVER | _AWAY
            else:
                self._marks |= _AWAY  # in a later record
        return at

    def _put(self, at, channel, flags, kind, value=-1, amount=-1):
        """A short frame: `kind`, then one byte `value` and two of `amount` where there are any."""
        out = self._out
        out[at] = channel
        out[at + 1] = flags
        out[at + 2] = n = 1 + (value >= 0) + 2 * (amount >= 0)
        out[at + 3] = kind
        if n > 1:
            out[at + 4] = value
        if n > 2:
            put_u16(out, at + 5, amount)
        return at + 3 + n

    # Receiving

    def receive(self, buf, start, end, now):
        """Take the frames of one record, buf[start:end]; what stands before `end` may be overwritten. Returns 0, or the
        reason for which the session has to end."""
        if self._marks & _OVER:
            return 0  # what follows GOAWAY
        self._heard = now
        self._rows[_END_AT] = end
        end -= 2
        while start < end:
            start = self._take_frame(buf, start)
        if start == end + 2:
            return 0
        return start - _REFUSED if start >= _REFUSED else _MALFORMED

    def _take_frame(self, buf, at):
        """Take the frame at buf[at:]. Returns where the next one begins, or _REFUSED + the reason."""
        rows = self._rows
        i = self._plan.row_of[buf[at]] * _STEP
        n = buf[at + 1] << 8 | buf[at + 2]
        if n >> 12 != 1 or not i or rows[i + _FILL]:
            return self._take_other(buf, at)
        # As nearly always: a whole message
        n &= 0xFFF
        at += 3
        rows[i + _LEFT] = rows[i + _LEFT] - n - 3
        if at + n > rows[_END_AT] or n > rows[i + _LIMIT] or rows[i + _LEFT] <= 0:
            if self._breach(i, at + n, n):
                return self._breach(i, at + n, n)
        if at != self._at or n != len(self._view) or buf is not self._buf:
            self._look(buf, at, n)
        self.on_message(rows[i + _FLAGS] >> 16 & 0xFF, self._view)
        return at + n

    def _look(self, buf, at, n):
        """Have a view of the message buf[at:at+n]. A new one is two objects, so the last one is used again where the length
        is the same: the message moves to where it looks."""
        if n == len(self._view) and at > self._at and buf is self._buf:
            copy(buf, self._at, buf, at, n)
        else:
            self._buf = buf
            self._at = at
            self._view = memoryview(buf)[at : at + n]

    def _breach(self, i, end, n):
        """_REFUSED + the reason for which a frame of `n` bytes of a channel, which ends there, is refused; 0 for none."""
        rows = self._rows
        if end > rows[_END_AT]:
            return _REFUSED + _MALFORMED
        if rows[i + _LEFT] < -self._plan.halves[i // _STEP] or not rows[i + _FLAGS]:
            return _REFUSED + (_OVER_CREDIT if rows[i + _FLAGS] else _UNLISTED)
        if i < self._plan.first and rows[i + _FILL] + n > self._plan.lanes[i // _STEP].message:
            return _REFUSED + _TOO_LONG
        if self._owes(i):
            self._marks |= _CREDITS
        return 0

    def _take_other(self, buf, at):
        """Take any frame but a whole message. Returns as above."""
        end = self._rows[_END_AT]
        channel = buf[at]
        flags = buf[at + 1]
        n = (flags & 15) << 8 | buf[at + 2]
        flags &= 0xF0
        at += 3
        if at + n > end:
            return _REFUSED + _MALFORMED
        if not channel:
            reason = self._signal(buf, at, n, flags)
        elif flags > _END:
            reason = self._change(channel, flags, buf, at, n)
        else:
            reason = self._part(channel, flags, buf, at, n)
        if reason:
            return reason | _REFUSED
        return end if self._marks & _OVER else at + n

    def _part(self, channel, flags, buf, at, n):
        """A part of a message, or bytes of a stream. Returns 0 or a reason, with or without _REFUSED."""
        rows = self._rows
        i = self._row(channel)
        if not i or rows[i + _FLAGS] & _DEAD:
            return 0 if channel >= _FIRST_STREAM else _UNLISTED
        if not n and not flags:
            return _MALFORMED
        rows[i + _LEFT] -= n + 3
        reason = self._breach(i, 0, n)
        if reason:
            return reason
        if channel >= _FIRST_STREAM:
            if rows[i + _FLAGS] & _ENDED:
                return _BAD_STREAM
            self._event(i, _READABLE)
        elif self._plan.lanes[i // _STEP].message <= rows[_RECORD] - 3:
            return _MALFORMED  # it would have gone in one frame
        place = self._place(i)
        copy(self._pool, place + rows[i + _FILL], buf, at, n)
        rows[i + _FILL] += n
        if channel < _FIRST_STREAM and flags:
            n = place + rows[i + _FILL]
            rows[i + _FILL] = 0
            self.on_message(channel, memoryview(self._pool)[place:n])
        if self._owes(i):
            self._marks |= _CREDITS
        return 0

    def _signal(self, buf, at, n, flags):
        """A frame of channel 0."""
        kind = buf[at] if n else 0
        if flags != _END or not 0 < kind <= _GOAWAY_KIND or n != (1, 1, 4, 2)[kind - 1]:
            return _MALFORMED
        if kind == _PING:
            self._marks |= _PONG
        elif kind == _GOAWAY_KIND:
            self._marks = _OVER | _TOLD | buf[at + 1] << 16
        elif kind == _CREDIT_KIND:
            i = self._row(buf[at + 1])
            if not i or self._rows[i + _FLAGS] & _DEAD:
                return 0 if buf[at + 1] >= _FIRST_STREAM else _UNLISTED
            n = self._rows[i + _CREDIT] + u16(buf, at + 2)
            if n > 0xFFFF:
                return _OVER_CREDIT
            self._rows[i + _CREDIT] = n
            if self._rows[i + _QUEUE] and i not in self._ready:
                self._ready.append(i)
                self._marks |= _HURRY
        return 0

    # Time

    def tick(self, now):
        """To be called about once a second, but for `calm_ms`. Returns 0, or the reason for which the session has to end."""
        if ticks_diff(now, self._rows[_DECAYED]) >= _DECAY_MS:
            self._decay(now)
        self._buf = None  # an idle session has no buffer
        self._view = b""
        patience = self._patience(self._plan.profile.keepalive_s)
        silence = ticks_diff(now, self._heard) - patience
        if silence < 0:
            self._marks &= ~_PINGED
        elif not self._marks & _PINGED:
            self._marks |= _PINGED | _PING
            self._heard = ticks_add(now, -patience)  # a node that has slept gives the answer its time
        elif silence >= self._patience(self._plan.profile.silent_s):
            return _SILENT
        return 0

    def is_quiet(self, now):
        """Whether nothing came for a while."""
        return ticks_diff(now, self._heard) >= _QUIET_MS

    def calm_ms(self, now):
        """Milliseconds until `tick` has something to do, 0 where it may have in a second."""
        rows = self._rows
        if self._ready or self._buf or self._marks & (_TALK | _PINGED):
            return 0
        for i in range(_STEP, len(rows), _STEP):
            if rows[i + _QUEUE] is not None:
                return 0
        return self._patience(self._plan.profile.keepalive_s) - ticks_diff(now, self._heard)

    def _decay(self, now):
        """Scores lose a fifth each two seconds."""
        rows = self._rows
        n = ticks_diff(now, rows[_DECAYED]) // _DECAY_MS
        rows[_DECAYED] = now
        for i in range(_STEP, len(rows), _STEP):
            for _ in range(min(n, _DECAYS)):
                rows[i] -= (rows[i] + 4) // 5
            if not rows[i + _QUEUE]:
                rows[i + _QUEUE] = None  # an idle session has no queues either

    def _patience(self, seconds):
        """Milliseconds that the peer may take."""
        return (min(seconds, _QUICK_S) if self._marks & _QUICK else seconds) * 1000
