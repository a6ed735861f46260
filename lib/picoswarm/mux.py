"""The channels and streams of one session: frames inside records, fair shares, credit, keepalive (docs/protocol.md 5,
rows T5-T15). Pure.

All channels stand in rows of one list, `_STEP` places each: first the fixed channels of this node, then its streams. The
offset of a row is the name of its channel in here. The pool holds what was received and cannot be handed on yet: unread
bytes of streams, and unfinished messages of the channels whose messages may be longer than a record. A message that fits
in a record travels in one frame, so other channels need no memory.

    SCORE   sent of late: bytes * 16 / priority, less a fifth each 2 s
    CREDIT  bytes that may be sent; of a stream that the peer has reset, its reason
    ROOM    bytes that fit in the queue
    DONE    bytes of the first queued message that are sent; of a stream that is to be reset, the reason
    FILL    bytes in the pool
    LEFT    credit that the peer has left; window - LEFT - FILL can be given back
    FLAGS   bits, see below; id << 16; priority << 24
    QUEUE   list of the messages to be sent; of a stream that the peer has just opened, its name
"""

from .channel import Channel
from .compat import const, ticks_diff
from .wire import copy, put_u16, u16

_STEP = const(8)
_SCORE = const(0)
_CREDIT = const(1)
_ROOM = const(2)
_DONE = const(3)
_FILL = const(4)
_LEFT = const(5)
_FLAGS = const(6)
_QUEUE = const(7)

# Of a row
_USED = const(1)  # the peer listed this channel; this stream is open, or not yet forgotten
_OURS = const(2)  # opened here
_OPENING = const(4)  # the first thing in the queue is its name
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
_CREDIT_KIND = const(3)
_GOAWAY_KIND = const(4)

_FIRST_STREAM = const(128)
_NAME = const(60)  # bytes of a stream's name: the smallest record holds it
_URGENT = const(5)  # priority from which on nothing waits for more
_PRIORITY = const(4)  # of the streams that the peer opens
_PARTS = const(4)  # of a stream's queue
_DECAY_MS = const(2000)
_TOP = const(0x1FFFFFFF)

_BUSY = const(1)  # see reasons.py
_SILENT = const(10)
_MALFORMED = const(11)
_OVER_CREDIT = const(12)
_UNLISTED = const(13)
_BAD_STREAM = const(14)
_TOO_LONG = const(15)

_plan = None  # of the channels that the last session had: nearly always they are the next one's too


class _Plan:
    """What the sessions of one node share: descriptor and half a window of each row, row number + 1 of each fixed id."""

    def __init__(self, channels, profile):
        rows = bytearray(_FIRST_STREAM)
        self.given = channels
        self.first = len(channels) * _STEP  # row of the first stream
        self.profile = profile
        self.lanes = list(channels)
        self.halves = []
        for channel in channels:
            # What is not given back yet stays below half a window: the other half always holds one more message, in
            # frames of the smallest records.
            half = channel.message + (channel.message >> 4) + 8
            n = channel.id
            if (
                not (0 < n < _FIRST_STREAM and 0 < channel.priority <= 16 and half < 0x8000)
                or rows[n]
                or min(channel.message, channel.queue, channel.queue_bytes) < 1
            ):
                from .errors import LocalError

                raise LocalError("channel %d cannot be served" % n)
            self.halves.append(half)
            rows[n] = len(self.halves)
        self.rows = bytes(rows)
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
        self._parity = 0 if is_initiator else 1  # of the ids that this side gives
        self._rows = [0] * (len(_plan.lanes) * _STEP)
        self._ready = []  # rows that have something to send, and credit for it
        self._refused = None  # a bit for each id of the peer's streams that is to hear `busy`
        self._pool = self._view = self._buf = None
        self._at = 0  # where in _buf the view begins
        self._record = self._marks = 0
        self._waiting = 0  # bytes that are queued, with their headers
        self._reason = 0  # of the GOAWAY, either side's
        self._heard = self._filled = self._decayed = now
        self.on_message = None

    def start(self, remote_channels, remote_record, now):
        """Open the channels that the peer listed (bytes of ids) with their windows; `remote_record`: bytes of plaintext
        that both take in a record, at least 64."""
        plan = self._plan
        state = self._rows
        self._heard = self._filled = self._decayed = now
        self._record = remote_record
        size = self._plan.profile.streams * self._plan.profile.stream_window
        for channel in plan.given:
            if channel.id in remote_channels:
                i = (plan.rows[channel.id] - 1) * _STEP
                state[i + _FLAGS] = _USED | channel.id << 16 | channel.priority << 24
                state[i + _ROOM] = channel.queue_bytes
                state[i + _QUEUE] = None
                self._marks |= _CREDITS
                if channel.message > remote_record - 3:
                    size += channel.message
        self._pool = bytearray(size)

    def _row(self, channel):
        """The row of a channel in use, or -1."""
        if channel < _FIRST_STREAM:
            i = (self._plan.rows[channel] - 1) * _STEP
            return i if i >= 0 and self._rows[i + _FLAGS] else -1
        state = self._rows
        i = self._plan.first
        while i < len(state):
            if state[i + _FLAGS] >> 16 & 0xFF == channel:
                return i
            i += _STEP
        return -1

    # Sending

    def try_send(self, channel, data):
        """Queue a message, or bytes of a stream; `data` (bytes) is kept, not copied. False: there is no room now, or the
        stream takes no more. Raises LocalError for a channel that the peer did not list, and for too long a message."""
        i = self._row(channel)
        state = self._rows
        n = len(data)
        lane = self._plan.lanes[i >> 3] if i >= 0 else None
        if n > lane.message or n > lane.queue_bytes if lane else channel < _FIRST_STREAM:
            from .errors import LocalError

            raise LocalError("%d bytes cannot be sent on channel %d" % (n, channel))
        if i < 0 or state[i + _FLAGS] & _DEAF:
            return False
        queue = state[i + _QUEUE]
        if queue is None:
            queue = state[i + _QUEUE] = []
        if state[i + _ROOM] < n or len(queue) >= lane.queue:
            state[i + _FLAGS] |= _WANTS
            return False
        queue.append(data)
        state[i + _ROOM] -= n
        self._waiting += n + 3
        if state[i + _FLAGS] >> 24 >= _URGENT or channel >= _FIRST_STREAM:
            self._marks |= _HURRY
        if state[i + _CREDIT] and i not in self._ready:
            self._ready.append(i)
        return True

    def can_send(self, channel):
        """Whether `try_send` would take a message of any size that is allowed."""
        i = self._row(channel)
        return i >= 0 and not self._rows[i + _FLAGS] & _DEAF and self._has_room(i)

    def _has_room(self, i):
        lane = self._plan.lanes[i >> 3]
        queue = self._rows[i + _QUEUE]
        return (not queue or len(queue) < lane.queue) and self._rows[i + _ROOM] >= min(lane.message, lane.queue_bytes)

    def flush(self):
        """Let what is queued go at once."""
        self._marks |= _HURRY

    def ping(self):
        """Ask for a sign of life."""
        self._marks |= _PING

    def go_away(self, reason):
        """The next record is the last one, and ends with the reason."""
        if not self._marks & _OVER:
            self._reason = reason
            self._marks |= _AWAY

    def due(self, now):
        """Milliseconds until `fill` has something, -1 for nothing."""
        marks = self._marks
        if marks & _OVER:
            return -1
        if marks & _TALK:
            return 0
        if not self._ready:
            return -1
        if marks & _HURRY or self._waiting >= self._record:
            return 0
        return min(self._plan.profile.flush_ms, max(0, self._plan.profile.flush_ms - ticks_diff(now, self._filled)))

    def fill(self, out, at, end, now):
        """Put the frames of one record into out[at:end] if one is due. Returns its end, `at` for none."""
        if self.due(now):
            return at
        self._filled = now
        end = min(end, at + self._record)
        if self._marks & _AWAY:
            end -= 5
        state = self._rows
        ready = self._ready
        start = at
        marks = self._marks
        self._marks = marks & ~_SAID
        if marks & _TALK and not (marks & _SAID and ready):
            at = self._fill_control(out, at, end)
        while ready:
            i = ready[0] if len(ready) == 1 else self._next()
            queue = state[i + _QUEUE]
            room = end - at - 3
            if not queue:
                if room < 0:
                    break
                at = self._fill_close(out, at, i)
                continue
            data = queue[0]
            done = state[i + _DONE]
            n = len(data) - done
            flags = _END
            if state[i + _FLAGS] & _OPENING:
                flags = _OPEN
                if n > room:
                    break
            else:
                credit = state[i + _CREDIT] - 3
                if n > credit or n > room:
                    if i < self._plan.first and len(data) <= self._record - 3:  # goes in one frame
                        if n <= credit:
                            break
                        credit = 0
                    if credit <= 0:
                        ready.remove(i)
                        continue
                    if room <= 0:
                        break
                    n = min(room, credit)
                    flags = 0
                state[i + _CREDIT] = credit - n
            out[at] = state[i + _FLAGS] >> 16 & 0xFF
            out[at + 1] = flags | n >> 8
            out[at + 2] = n & 0xFF
            copy(out, at + 3, data, done, n)
            at += n + 3
            state[i] += ((n + 3) << 4) // (state[i + _FLAGS] >> 24)
            if flags:
                self._sent(i, queue)
            else:
                state[i + _DONE] = done + n
        if not ready:
            self._marks &= ~_HURRY
        if at == start:
            at = self._fill_control(out, at, end)
        if self._marks & _AWAY:
            at = self._put(out, at, 0, _END, _GOAWAY_KIND, self._reason)
            self._marks |= _OVER
        return at

    def _next(self):
        """The row whose turn it is."""
        state = self._rows
        best = self._ready[0]
        for i in self._ready:
            if state[i] < state[best]:
                best = i
        return best

    def _sent(self, i, queue):
        """The first thing in a queue is sent."""
        state = self._rows
        n = len(queue.pop(0))
        flags = state[i + _FLAGS]
        state[i + _DONE] = 0
        self._waiting -= n + 3
        state[i + _ROOM] += n
        state[i + _FLAGS] = flags & ~_OPENING
        if flags & _WANTS and self._has_room(i):
            state[i + _FLAGS] ^= _WANTS
            self._event(i, _WRITABLE)
        if not queue and not flags & _CLOSING:
            self._ready.remove(i)
            if flags & _OPENING:
                state[i + _QUEUE] = None  # nothing to be sent yet
        if state[i] > _TOP:
            self._decay()

    def _put(self, out, at, channel, flags, kind, value=-1, amount=-1):
        """A short frame: `kind`, then one byte `value` and two of `amount` where there are any."""
        out[at] = channel
        out[at + 1] = flags
        out[at + 2] = n = 1 + (value >= 0) + 2 * (amount >= 0)
        out[at + 3] = kind
        if n > 1:
            out[at + 4] = value
        if n > 2:
            put_u16(out, at + 5, amount)
        return at + 3 + n

    def _fill_close(self, out, at, i):
        out[at] = self._rows[i + _FLAGS] >> 16 & 0xFF
        out[at + 1] = _CLOSE
        out[at + 2] = 0
        self._ready.remove(i)
        self._rows[i + _FLAGS] ^= _CLOSING | _CLOSED
        self._settle(i)
        return at + 3

    def _fill_control(self, out, at, end):
        """What channel 0 has to say, and RESETs, as far as there is room."""
        state = self._rows
        due = self._marks
        self._marks = due & ~(_TALK ^ _AWAY) | _SAID
        for kind in (_PING, _PONG):
            if due & kind:
                at = self._put(out, at, 0, _END, kind)
        i = 0
        if due & (_CREDITS | _RESETS):
            while i < len(state) and at + 7 <= end:
                flags = state[i + _FLAGS]
                if flags & _RESETTING:
                    at = self._put(out, at, flags >> 16 & 0xFF, _RESET, state[i + _DONE])
                    if flags & _OURS:
                        state[i + _FLAGS] ^= _RESETTING
                    else:
                        self._forget(i)
                elif flags and self._owes(i):
                    n = self._plan.halves[i >> 3] * 2 - state[i + _LEFT] - state[i + _FILL]
                    state[i + _LEFT] += n
                    at = self._put(out, at, 0, _END, _CREDIT_KIND, flags >> 16 & 0xFF, n)
                i += _STEP
            if i < len(state):
                self._marks |= _CREDITS | _RESETS
        if due & _RESETS and self._refused:
            for i in range(64):
                if self._refused[i >> 3] & 1 << (i & 7):
                    if at + 4 > end:
                        self._marks |= _RESETS
                        break
                    self._refused[i >> 3] ^= 1 << (i & 7)
                    at = self._put(out, at, _FIRST_STREAM + i * 2 + 1 - self._parity, _RESET, _BUSY)
        return at

    def _owes(self, i):
        """Whether half a window can be given back."""
        state = self._rows
        return state[i + _LEFT] + state[i + _FILL] <= self._plan.halves[i >> 3] and not state[i + _FLAGS] & (
            _ENDED | _DEAD | _OPENING
        )

    # Receiving

    def receive(self, buf, start, end, now):
        """Take the frames of one record, buf[start:end]; what stands before `end` may be overwritten. Returns 0, or the
        reason for which the session has to end."""
        self._heard = now
        self._marks &= ~_PINGED
        state = self._rows
        at = start
        while at < end and not self._marks & _OVER:
            if end - at < 3:
                return _MALFORMED
            channel = buf[at]
            flags = buf[at + 1]
            n = (flags & 15) << 8 | buf[at + 2]
            at += 3
            if n > end - at:
                return _MALFORMED
            flags &= 0xF0
            if not channel or flags > _END:
                reason = self._signal(buf, at, n, flags) if not channel else self._change(channel, flags, buf, at, n)
                if reason:
                    return reason
                at += n
                continue
            i = self._row(channel)
            if i < 0 or state[i + _FLAGS] & _DEAD:
                if channel < _FIRST_STREAM:
                    return _UNLISTED
                at += n
                continue
            if not n and not flags:
                return _MALFORMED
            left = state[i + _LEFT] - n - 3
            if left < 0:
                return _OVER_CREDIT
            state[i + _LEFT] = left
            if i >= self._plan.first:
                reason = self._take(i, buf, at, n)
            elif n > self._plan.lanes[i >> 3].message - state[i + _FILL]:
                reason = _TOO_LONG
            elif state[i + _FILL] or not flags:
                reason = self._join(i, buf, at, n, flags)
            else:
                reason = 0
                if left <= self._plan.halves[i >> 3]:
                    self._marks |= _CREDITS
                self._hand_on(channel, buf, at, n)
            if reason:
                return reason
            at += n
        return 0

    def _hand_on(self, channel, buf, at, n):
        """A whole message stands in the record. A view costs two objects, so the last one is used again where the length
        is the same: the message moves to where it looks."""
        if buf is not self._buf or at < self._at or n != len(self._view):
            self._buf = buf
            self._at = at
            self._view = memoryview(buf)[at : at + n]
        elif at != self._at:
            copy(buf, self._at, buf, at, n)
        self.on_message(channel, self._view)

    def _place(self, i):
        """Where in the pool the bytes of a row are."""
        profile = self._plan.profile
        if i >= self._plan.first:
            return (i - self._plan.first) // _STEP * profile.stream_window
        at = profile.streams * profile.stream_window
        for row in range(0, i, _STEP):
            if self._rows[row + _FLAGS] and self._plan.lanes[row >> 3].message > self._record - 3:
                at += self._plan.lanes[row >> 3].message
        return at

    def _join(self, i, buf, at, n, flags):
        """A part of a message of a fixed channel."""
        state = self._rows
        if self._plan.lanes[i >> 3].message <= self._record - 3:
            return _MALFORMED  # it would have gone in one frame
        place = self._place(i)
        copy(self._pool, place + state[i + _FILL], buf, at, n)
        state[i + _FILL] += n
        n = state[i + _FILL]
        if flags:
            state[i + _FILL] = 0
            if self._owes(i):
                self._marks |= _CREDITS
            self.on_message(state[i + _FLAGS] >> 16 & 0xFF, memoryview(self._pool)[place : place + n])
        elif self._owes(i):
            self._marks |= _CREDITS
        return 0

    def _take(self, i, buf, at, n):
        """Bytes of a stream."""
        state = self._rows
        if state[i + _FLAGS] & _ENDED:
            return _BAD_STREAM
        copy(self._pool, self._place(i) + state[i + _FILL], buf, at, n)
        state[i + _FILL] += n
        self._event(i, _READABLE)
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
            self._reason = buf[at + 1]
            self._marks |= _OVER
            self._marks |= _TOLD
        elif kind == _CREDIT_KIND:
            i = self._row(buf[at + 1])
            if i < 0 or self._rows[i + _FLAGS] & _DEAD:
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
        state = self._rows
        i = self._row(channel)
        if flags == _OPEN:
            mark = 1 << (channel >> 1 & 7)
            refused = self._refused
            if i >= 0 or channel & 1 == self._parity or refused and refused[channel >> 4 & 7] & mark:
                return _BAD_STREAM
            if not 0 < n <= _NAME:
                return _TOO_LONG if n else _MALFORMED
            i = self._new_row(channel, _PRIORITY)
            if i < 0:
                self._refused = refused = refused or bytearray(8)
                refused[channel >> 4 & 7] |= mark
                self._marks |= _RESETS
            else:
                state[i + _QUEUE] = bytes(memoryview(buf)[at : at + n])
                self._event(i, _STREAM)
        elif i >= 0 and flags == _CLOSE:
            if not state[i + _FLAGS] & (_DEAD | _ENDED):
                state[i + _FLAGS] |= _ENDED
                self._event(i, _ENDED_EVENT)
        elif i >= 0:
            self._was_reset(i, buf[at])
        return 0

    # Streams

    def _new_row(self, channel, priority):
        """A row for a stream, or -1."""
        state = self._rows
        i = self._plan.first
        while i < len(state):
            if not state[i + _FLAGS]:
                state[i + _FLAGS] = _USED | channel << 16 | priority << 24
                state[i + _ROOM] = self._plan.profile.stream_queue
                state[i + _QUEUE] = None
                state[i + _LEFT] = state[i + _CREDIT] = self._plan.profile.stream_window
                return i
            i += _STEP
        return -1

    def _forget(self, i):
        """Free the row of a stream."""
        self._drop(i)
        for field in range(_STEP):
            self._rows[i + field] = 0

    def _drop(self, i):
        """Give up what a stream has queued and received."""
        state = self._rows
        queue = state[i + _QUEUE]
        if type(queue) is list:
            for data in queue:
                self._waiting -= len(data) + 3
        state[i + _QUEUE] = None
        state[i + _FILL] = 0
        if i in self._ready:
            self._ready.remove(i)

    def _was_reset(self, i, reason):
        """The peer sent RESET."""
        state = self._rows
        flags = state[i + _FLAGS]
        if flags & _MUTE:
            self._forget(i)
        if flags & _DEAD:
            return
        state[i + _FLAGS] |= _DEAD
        if flags & (_CLOSED | _ENDED) != _CLOSED | _ENDED:
            name = state[i + _QUEUE] if flags & 256 << _STREAM else None
            self._drop(i)
            state[i + _QUEUE] = name
            state[i + _CREDIT] = reason
            state[i + _FLAGS] &= ~(256 << _READABLE | 256 << _WRITABLE)
            self._event(i, _RESET_EVENT)
        self._settle(i)

    def _settle(self, i):
        """Let go of a stream that has come to its end: both halves closed or one side reset it, all read, all told."""
        state = self._rows
        flags = state[i + _FLAGS]
        if i < self._plan.first or not flags or state[i + _FILL] or flags & (_EVENTS | _RESETTING | _MUTE):
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
            channel = _FIRST_STREAM + 2 * n + self._parity
            if self._row(channel) < 0:
                i = self._new_row(channel, priority)
                if i < 0:
                    return 0
                self._rows[i + _QUEUE] = [name]
                self._rows[i + _ROOM] -= len(name)
                self._rows[i + _FLAGS] |= _OURS | _OPENING
                self._waiting += len(name) + 3
                self._ready.append(i)
                self._marks |= _HURRY
                return channel
        return 0

    def readable(self, channel):
        """Bytes of a stream that can be read."""
        i = self._row(channel)
        return 0 if i < 0 else self._rows[i + _FILL]

    def read(self, channel, out, at, n):
        """Move up to `n` bytes of a stream to out[at:]. Returns how many."""
        i = self._row(channel)
        if i < 0:
            return 0
        state = self._rows
        rest = state[i + _FILL]
        n = min(n, rest)
        rest -= n
        place = self._place(i)
        copy(out, at, self._pool, place, n)
        copy(self._pool, place, self._pool, place + n, rest)
        state[i + _FILL] = rest
        if self._owes(i):
            self._marks |= _CREDITS
        self._settle(i)
        return n

    def close(self, channel):
        """End our half of a stream, behind what is queued."""
        i = self._row(channel)
        if i >= 0 and not self._rows[i + _FLAGS] & _DEAF:
            self._rows[i + _FLAGS] |= _CLOSING
            if i not in self._ready:
                self._ready.append(i)
            self._marks |= _HURRY

    def reset(self, channel, reason):
        """Give a stream up in both directions: nothing more of it is told, and what is unread is gone."""
        i = self._row(channel)
        if i < 0:
            return
        flags = self._rows[i + _FLAGS]
        if flags & _OPENING or flags & (_OURS | _DEAD | _MUTE) == _OURS | _DEAD:
            self._forget(i)
        elif not flags & (_RESETTING | _MUTE):
            self._reset(i, reason)

    # Time and events

    def tick(self, now):
        """To be called about once a second. Returns 0, or the reason for which the session has to end."""
        if ticks_diff(now, self._decayed) >= _DECAY_MS:
            self._decayed = now
            self._decay()
        silence = ticks_diff(now, self._heard)
        if self._marks & _PINGED:
            return _SILENT if silence >= (self._plan.profile.keepalive_s + self._plan.profile.silent_s) * 1000 else 0
        if silence >= self._plan.profile.keepalive_s * 1000:
            self._marks |= _PINGED | _PING
        return 0

    def _decay(self):
        state = self._rows
        for i in range(0, len(state), _STEP):
            state[i] -= state[i] // 5

    def _event(self, i, kind):
        self._rows[i + _FLAGS] |= 256 << kind
        self._marks |= _TOLD

    def next_event(self):
        """(kind, channel id, more) or None: 1 the peer opened a stream, its name; 2 there is something to read; 3 there is
        room again; 4 the peer ended its half; 5 it reset the stream, reason; 6 it ends the session, reason."""
        if not self._marks & _TOLD:
            return None
        state = self._rows
        i = 0
        while i < len(state):
            flags = state[i + _FLAGS]
            kind = _STREAM
            while flags & _EVENTS and kind <= _RESET_EVENT:
                if flags & 256 << kind:
                    state[i + _FLAGS] ^= 256 << kind
                    more = None
                    if kind == _STREAM:
                        more = state[i + _QUEUE]
                        state[i + _QUEUE] = None
                    elif kind == _RESET_EVENT:
                        more = state[i + _CREDIT]
                    self._settle(i)
                    return kind, flags >> 16 & 0xFF, more
                kind += 1
            i += _STEP
        self._marks &= ~_TOLD
        if self._marks & (_OVER | _AWAY) == _OVER:
            return _GOAWAY_EVENT, 0, self._reason
        return None
