"""The channels and streams of one session: frames inside records, fair shares, credit, keepalive (docs/protocol.md 5,
rows T5-T15). Pure.

All channels stand in rows of one list, `_STEP` places each: first a row that is nobody's, then the fixed channels of this
node, then its streams. The offset of a row is the name of its channel in here. The pool holds what was received and cannot
be handed on yet: unread bytes of streams, and unfinished messages of the channels whose messages may be longer than a
record. A message that fits in a record travels in one frame, so other channels need no memory.

    SCORE   bytes sent of late: less a fifth each 2 s
    CREDIT  bytes that may be sent; of a stream that the peer has reset, its reason
    ROOM    what fits in the queue: bytes, then a one, from bit 21 messages; -1 in a row that nobody uses
    DONE    bytes of the first queued message that are sent, -1 where it is the name of a stream; of a stream that the peer
            has just opened, its name; of one that is to be reset, the reason
    FILL    bytes in the pool
    LEFT    credit that the peer has left, less half a window; half a window - LEFT - FILL can be given back
    FLAGS   bits, see below; id << 16; priority << 24
    QUEUE   list of the messages to be sent, or None until there was one
    LIMIT   bytes of the longest message
"""

from .channel import Channel
from .compat import const, ticks_add, ticks_diff
from .wire import copy, frame, put_u16, u16

_STEP = const(9)
_SCORE = const(0)
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

# Of a row
_USED = const(1)  # the peer listed this channel; this stream is open, or not yet forgotten
_OURS = const(2)  # opened here
_CLOSING = const(8)  # our half ends behind what is queued
_CLOSED = const(16)  # our half has ended
_ENDED = const(32)  # the peer's half has ended
_RESETTING = const(64)  # a RESET is to be sent
_DEAD = const(128)  # reset, by either side
_WANTS = const(256)  # a message found no room
_MUTE = const(0x4000)  # ours, and reset here: nothing of it is heard but the peer's RESET
_DEAF = const(0x298)  # takes nothing to send: closing, closed, dead, or not yet told of
_EVENTS = const(0x3E00)  # 256 << kind
_STREAM = const(1)
_READABLE = const(2)
_WRITABLE = const(3)
_ENDED_EVENT = const(4)
_RESET_EVENT = const(5)
_GOAWAY_EVENT = const(6)

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
_CREDIT_KIND = const(3)
_GOAWAY_KIND = const(4)

_REFUSED = const(0x10000)  # beyond any offset
_FIRST_STREAM = const(128)
_RECORD_MOST = const(4098)  # bytes: the length of a frame has 12 bits
_WINDOW = const(256)  # of a stream, before any credit is given
_NAME = const(60)  # bytes of a stream's name: the smallest record holds it
_LEAST_HALF = const(16384)  # bytes of half a window, which whole messages need no memory for: so credit is given seldom
_LEAST = const(16)  # a part of a message has as many bytes, or is all that is left or allowed
_URGENT = const(5)  # priority from which on nothing waits for more
_PRIORITY = const(5)  # of the streams that the peer opens
_PARTS = const(4)  # of a stream's queue
_DECAY_MS = const(2000)

_BUSY = const(1)  # see reasons.py
_SILENT = const(10)
_MALFORMED = const(11)
_OVER_CREDIT = const(12)
_UNLISTED = const(13)
_BAD_STREAM = const(14)
_TOO_LONG = const(15)

_plan = None  # of the channels that the last session had: nearly always they are the next one's too


class _Plan:
    """What the sessions of one node share: descriptor and half a window of each row, number of the row of each fixed id."""

    def __init__(self, channels, profile):
        row_of = bytearray(256)
        self.given = channels
        self.profile = profile
        self.lanes = [Channel(0, 0, 0, 0, 0)]
        self.halves = [0]
        for channel in channels:
            # What is not given back yet stays below half a window: the other half always holds one more message, in
            # frames of the smallest records.
            half = max(channel.message + (channel.message >> 4) + 8, _LEAST_HALF)
            n = channel.id
            if (
                not (0 < n < _FIRST_STREAM and 0 < channel.priority <= 16 and half < 0x8000)
                or row_of[n]
                or min(channel.message, channel.queue, channel.queue_bytes) < 1
                or channel.queue > 255
                or channel.queue_bytes >= _GUARD
            ):
                from .errors import LocalError

                raise LocalError("channel %d cannot be served" % n)
            row_of[n] = len(self.lanes)
            self.lanes.append(channel)
            self.halves.append(half)
        self.row_of = bytes(row_of)
        self.first = len(self.lanes) * _STEP  # row of the first stream
        stream = Channel(0, 0, _PARTS, profile.stream_queue, profile.stream_queue)
        for _ in range(profile.streams):
            self.lanes.append(stream)
            self.halves.append(profile.stream_window >> 1)


class Mux:
    """See the module. `channels`: tuple of Channel, this node's; nothing moves before `start`. Its owner sets
    `on_message`, a function of (channel id, memoryview that is valid during the call). Raises LocalError for a channel
    that cannot be served: its priority is not 1-16, its id not 1-127 or taken, its message limit above 30,000."""

    def __init__(self, profile, channels, is_initiator, now):
        global _plan
        if not _plan or _plan.given is not channels or _plan.profile is not profile:
            _plan = _Plan(channels, profile)
        self._plan = _plan
        self._rows = [0, 0, -1, 0, 0, 0, 0, None, 0] * len(_plan.lanes)
        self._ready = []  # rows that have something to send, and credit for it
        self._refused = None  # a bit for each id of the peer's streams that is to hear `busy`
        self._pool = self._out = self._buf = None
        self._view = b""
        self._at = 0  # where in _buf the view begins
        self._heard = self._rows[_FILLED] = self._rows[_DECAYED] = now
        self._marks = 0 if is_initiator else _ODD
        self.on_message = None

    def start(self, remote_channels, remote_record, now):
        """Open the channels that the peer listed (bytes of ids) with their windows; `remote_record`: bytes of plaintext
        that both take in a record, at least 64."""
        plan = self._plan
        rows = self._rows
        self._heard = rows[_FILLED] = rows[_DECAYED] = now
        rows[_RECORD] = remote_record = min(remote_record, _RECORD_MOST)
        size = self._plan.profile.streams * self._plan.profile.stream_window
        for channel in plan.given:
            if channel.id in remote_channels:
                i = plan.row_of[channel.id] * _STEP
                rows[i + _FLAGS] = _USED | channel.id << 16 | channel.priority << 24
                self._empty(i)
                rows[i + _LEFT] = -plan.halves[i // _STEP]
                self._marks |= _CREDITS
                if channel.message > remote_record - 3:
                    size += channel.message
        self._pool = bytearray(size)

    def _empty(self, i):
        """Nothing is queued."""
        lane = self._plan.lanes[i // _STEP]
        self._rows[i + _LIMIT] = lane.message
        self._rows[i + _ROOM] = lane.queue * _PLACE | _GUARD | lane.queue_bytes
        self._rows[i + _QUEUE] = None

    def _row(self, channel):
        """The row of a channel in use; 0, which is nobody's, for none."""
        rows = self._rows
        if channel < _FIRST_STREAM:
            i = self._plan.row_of[channel] * _STEP
            return i if rows[i + _FLAGS] else 0
        i = self._plan.first
        while i < len(rows):
            if rows[i + _FLAGS] >> 16 & 0xFF == channel:
                return i
            i += _STEP
        return 0

    def _open_row(self, channel):
        """The row of a stream that takes something to send, or 0."""
        i = self._row(channel)
        return 0 if self._rows[i + _FLAGS] & _DEAF else i

    # Sending

    def try_send(self, channel, data):
        """Queue a message, or bytes of a stream; `data` (bytes) is kept, not copied. False: there is no room now, or the
        stream takes no more. Raises LocalError for a channel that the peer did not list, and for too long a message."""
        # Few names and flat expressions: else MicroPython takes the memory of each call from the heap.
        rows = self._rows
        i = self._plan.row_of[channel] * _STEP or self._open_row(channel)
        n = len(data)
        left = rows[i + _ROOM] - _PLACE - n
        if left < 0 or not left & _GUARD or n > rows[i + _LIMIT]:
            return self._refuse(channel, n)
        rows[i + _ROOM] = left
        (rows[i + _QUEUE] or self._wake(i)).append(data)
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

    def can_send(self, channel):
        """Whether `try_send` would take a message of any size that is allowed."""
        return self._has_room(self._open_row(channel))

    def _has_room(self, i):
        lane = self._plan.lanes[i // _STEP]
        left = self._rows[i + _ROOM] - _PLACE - min(lane.message, lane.queue_bytes)
        return left >= 0 and left & _GUARD > 0

    def flush(self):
        """Let what is queued go at once."""
        self._marks |= _HURRY

    def ping(self):
        """Ask for a sign of life."""
        self._marks |= _PING

    def go_away(self, reason):
        """The next record is the last one, and ends with the reason."""
        if not self._marks & (_OVER | _AWAY):
            self._marks |= _AWAY | reason << 16

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

    # What happens for each record or message has few names and flat expressions: of a function with more, MicroPython takes
    # the memory of each call from the heap, and looks for it longer than the function takes.

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
            self._rows[_LIMIT_AT] -= 5
        elif marks & _TALK and not (marks & _SAID and self._ready):
            self._marks |= _SAID
            at = self._fill_control(at)
        return at

    def _next(self):
        """The row whose turn it is: for which bytes / priority are the least."""
        rows = self._rows
        best = self._ready[0]
        for i in self._ready:
            if rows[i] * (rows[best + _FLAGS] >> 24) < rows[best] * (rows[i + _FLAGS] >> 24):
                best = i
        return best

    def _fill_row(self, at, i):
        """Frames of a row: one if others wait, else as many as there are. Returns the new `at`; ~at: the record is full."""
        rows = self._rows
        queue = rows[i + _QUEUE]
        while queue and not rows[i + _DONE]:
            n = len(queue[0])
            if n + 3 > rows[i + _CREDIT] or at + n + 3 > rows[_LIMIT_AT]:
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

    def _rest(self, i):
        """A row has nothing to send, or no credit."""
        if i in self._ready:
            self._ready.remove(i)

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
            at = self._put(at, 0, _END, _GOAWAY_KIND, due >> 16)
            self._marks = _OVER | _AWAY
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

    def _owes(self, i):
        """Whether half a window can be given back."""
        rows = self._rows
        if rows[i + _FLAGS] & (_ENDED | _DEAD) or rows[i + _DONE] == -1:
            return False
        return rows[i + _LEFT] + rows[i + _FILL] <= 0

    # Receiving

    def receive(self, buf, start, end, now):
        """Take the frames of one record, buf[start:end]; what stands before `end` may be overwritten. Returns 0, or the
        reason for which the session has to end."""
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

    def _place(self, i):
        """Where in the pool the bytes of a row are."""
        profile = self._plan.profile
        if i >= self._plan.first:
            return (i - self._plan.first) // _STEP * profile.stream_window
        at = profile.streams * profile.stream_window
        for row in range(_STEP, i, _STEP):
            if self._rows[row + _FLAGS] and self._plan.lanes[row // _STEP].message > self._rows[_RECORD] - 3:
                at += self._plan.lanes[row // _STEP].message
        return at

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

    def _change(self, channel, flags, buf, at, n):
        """OPEN, CLOSE or RESET of a stream."""
        if channel < _FIRST_STREAM or flags != _OPEN and (flags, n) not in ((_CLOSE, 0), (_RESET, 1)):
            return _MALFORMED
        rows = self._rows
        i = self._row(channel)
        if flags == _OPEN:
            mark = 1 << (channel >> 1 & 7)
            refused = self._refused
            if i or bool(channel & 1) == bool(self._marks & _ODD) or refused and refused[channel >> 4 & 7] & mark:
                return _BAD_STREAM
            if not 0 < n <= _NAME:
                return _TOO_LONG if n else _MALFORMED
            i = self._new_row(channel, _PRIORITY)
            if not i:
                self._refused = refused = refused or bytearray(8)
                refused[channel >> 4 & 7] |= mark
                self._marks |= _RESETS
            else:
                rows[i + _DONE] = bytes(memoryview(buf)[at : at + n])
                self._event(i, _STREAM)
        elif i and flags == _CLOSE:
            if not rows[i + _FLAGS] & (_DEAD | _ENDED):
                rows[i + _FLAGS] |= _ENDED
                self._event(i, _ENDED_EVENT)
        elif i:
            self._was_reset(i, buf[at])
        return 0

    # Streams

    def _new_row(self, channel, priority):
        """A row for a stream, or 0."""
        rows = self._rows
        i = self._plan.first
        while i < len(rows):
            if not rows[i + _FLAGS]:
                rows[i + _FLAGS] = _USED | channel << 16 | priority << 24
                self._empty(i)
                rows[i + _CREDIT] = _WINDOW
                rows[i + _LEFT] = _WINDOW - self._plan.halves[i // _STEP]
                self._marks |= _CREDITS if rows[i + _LEFT] <= 0 else 0
                return i
            i += _STEP
        return 0

    def _forget(self, i):
        """Free the row of a stream."""
        self._drop(i)
        rows = self._rows
        rows[i] = rows[i + _DONE] = rows[i + _FLAGS] = 0
        rows[i + _ROOM] = -1

    def _drop(self, i):
        """Give up what a stream has queued and received."""
        self._empty(i)
        self._rows[i + _FILL] = 0
        self._rows[i + _FLAGS] &= ~_WANTS
        self._rest(i)

    def _was_reset(self, i, reason):
        """The peer sent RESET."""
        rows = self._rows
        flags = rows[i + _FLAGS]
        if flags & _MUTE:
            self._forget(i)
        if flags & _DEAD:
            return
        rows[i + _FLAGS] |= _DEAD
        if flags & (_CLOSED | _ENDED) != _CLOSED | _ENDED:
            self._drop(i)
            rows[i + _CREDIT] = reason
            rows[i + _FLAGS] &= ~(256 << _READABLE | 256 << _WRITABLE)
            self._event(i, _RESET_EVENT)
        self._settle(i)

    def _settle(self, i):
        """Let go of a stream that has come to its end: both halves closed or one side reset it, all read, all told."""
        rows = self._rows
        flags = rows[i + _FLAGS]
        if i < self._plan.first or not flags or rows[i + _FILL] or flags & (_EVENTS | _RESETTING | _MUTE):
            return
        if flags & _OURS:
            if flags & _DEAD:
                self._forget(i)
        elif flags & _DEAD or flags & (_CLOSED | _ENDED) == _CLOSED | _ENDED:
            self._reset(i, 0)

    def _reset(self, i, reason):
        self._drop(i)
        self._rows[i + _DONE] = reason
        flags = self._rows[i + _FLAGS] & ~_EVENTS | _RESETTING | _DEAD
        self._rows[i + _FLAGS] = flags | _MUTE if flags & _OURS else flags
        self._marks |= _RESETS

    def open(self, name, priority):
        """Open a stream: its id, or 0 when there are too many. `name`: bytes, 1 to 60 of them."""
        if not (0 < len(name) <= _NAME and 0 < priority <= 16):
            from .errors import LocalError

            raise LocalError("a stream needs a name of 1 to 60 bytes and a priority of 1 to 16")
        for n in range(64):
            channel = _FIRST_STREAM + 2 * n + (self._marks & _ODD > 0)
            if not self._row(channel):
                i = self._new_row(channel, priority)
                if not i:
                    return 0
                self._rows[i + _QUEUE] = [name]
                self._rows[i + _DONE] = -1
                self._rows[i + _FLAGS] |= _OURS
                self._ready.append(i)
                self._marks |= _HURRY
                return channel
        return 0

    def readable(self, channel):
        """Bytes of a stream that can be read."""
        return self._rows[self._row(channel) + _FILL]

    def read(self, channel, out, at, n):
        """Move up to `n` bytes of a stream to out[at:]. Returns how many."""
        i = self._row(channel)
        if not i:
            return 0
        rows = self._rows
        rest = rows[i + _FILL]
        n = min(n, rest)
        rest -= n
        place = self._place(i)
        copy(out, at, self._pool, place, n)
        copy(self._pool, place, self._pool, place + n, rest)
        rows[i + _FILL] = rest
        if self._owes(i):
            self._marks |= _CREDITS
        self._settle(i)
        return n

    def close(self, channel):
        """End our half of a stream, behind what is queued."""
        i = self._open_row(channel)
        if i:
            self._rows[i + _FLAGS] = self._rows[i + _FLAGS] & ~_WANTS | _CLOSING
            if i not in self._ready:
                self._ready.append(i)
            self._marks |= _HURRY

    def reset(self, channel, reason):
        """Give a stream up in both directions: nothing more of it is told, and what is unread is gone."""
        i = self._row(channel)
        if not i:
            return
        flags = self._rows[i + _FLAGS]
        if self._rows[i + _DONE] == -1 or flags & (_OURS | _DEAD | _MUTE) == _OURS | _DEAD:
            self._forget(i)
        elif not flags & (_RESETTING | _MUTE):
            self._reset(i, reason)

    # Time and events

    def tick(self, now):
        """To be called about once a second. Returns 0, or the reason for which the session has to end."""
        rows = self._rows
        if ticks_diff(now, rows[_DECAYED]) >= _DECAY_MS:
            rows[_DECAYED] = now
            for i in range(_STEP, len(rows), _STEP):
                rows[i] -= rows[i] // 5
        self._buf = None  # an idle session has no buffer
        self._view = b""
        patience = self._plan.profile.keepalive_s * 1000
        silence = ticks_diff(now, self._heard) - patience
        if silence < 0:
            self._marks &= ~_PINGED
        elif not self._marks & _PINGED:
            self._marks |= _PINGED | _PING
            self._heard = ticks_add(now, -patience)  # a node that has slept gives the answer its time
        elif silence >= self._plan.profile.silent_s * 1000:
            return _SILENT
        return 0

    def _event(self, i, kind):
        self._rows[i + _FLAGS] |= 256 << kind
        self._marks |= _TOLD

    def next_event(self):
        """(kind, channel id, more) or None: 1 the peer opened a stream, its name; 2 there is something to read; 3 there is
        room again; 4 the peer ended its half; 5 it reset the stream, reason; 6 it ends the session, reason."""
        if not self._marks & _TOLD:
            return None
        rows = self._rows
        i = 0
        while i < len(rows):
            flags = rows[i + _FLAGS]
            kind = _STREAM
            while flags & _EVENTS and kind <= _RESET_EVENT:
                if flags & 256 << kind:
                    rows[i + _FLAGS] ^= 256 << kind
                    more = None
                    if kind == _STREAM:
                        more = rows[i + _DONE]
                        rows[i + _DONE] = 0
                    elif kind == _RESET_EVENT:
                        more = rows[i + _CREDIT]
                    self._settle(i)
                    return kind, flags >> 16 & 0xFF, more
                kind += 1
            i += _STEP
        self._marks &= ~_TOLD
        if self._marks & (_OVER | _AWAY) == _OVER:
            return _GOAWAY_EVENT, 0, self._marks >> 16
        return None
