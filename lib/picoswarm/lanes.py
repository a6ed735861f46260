"""The channels and streams of one session, as rows of numbers, and the life of its streams (docs/protocol.md 5). Pure.

All channels stand in rows of one list, `_STEP` places each: first a row that is nobody's, then the fixed channels of this
node, then as many streams as were open at once. The offset of a row is the name of its channel, in here and in mux.py. The
pool holds what was received and cannot be handed on yet: unread bytes of streams, and unfinished messages of the channels
whose messages may be longer than a record. A message that fits in a record travels in one frame, so other channels need no
memory.

    SCORE   bytes sent of late: less a fifth, and one at the least, each 2 s (its place is the first one)
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
from .compat import const
from .wire import copy

_ROW = (0, 0, -1, 0, 0, 0, 0, None, 0)  # that nobody uses
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
_FILLED = const(8)  # and when the last record went
_PLACE = const(0x200000)  # in ROOM: a message more
_GUARD = const(0x100000)  # in ROOM: lent by the places where bytes are lacking

# Bits of FLAGS
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
_OPEN = const(0x20)
_CLOSE = const(0x40)
_RESET = const(0x80)

# Bits of `_marks`
_CREDITS = const(4)
_RESETS = const(8)
_AWAY = const(16)
_HURRY = const(32)  # what waits goes at once
_OVER = const(128)  # GOAWAY was said or heard
_TOLD = const(512)  # events wait
_ODD = const(1024)  # the ids that this side gives are; from bit 16 the reason of the GOAWAY

_FIRST_STREAM = const(128)
_RECORD_MOST = const(4098)  # bytes: the length of a frame has 12 bits
_WINDOW = const(256)  # of a stream, before any credit is given
_NAME = const(60)  # bytes of a stream's name: the smallest record holds it
_LEAST_HALF = const(16384)  # bytes of half a window, which whole messages need no memory for: so credit is given seldom
_PRIORITY = const(5)  # of the streams that the peer opens
_PARTS = const(4)  # of a stream's queue

# See reasons.py
_MALFORMED = const(11)
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


class Lanes:
    """See the module; Mux is what a session has."""

    def __init__(self, profile, channels, is_initiator, now):
        global _plan
        if not _plan or _plan.given is not channels or _plan.profile is not profile:
            _plan = _Plan(channels, profile)
        self._plan = _plan
        self._rows = list(_ROW) * (_plan.first // _STEP)  # a stream's comes with it
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

    # Rows

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

    def can_send(self, channel):
        """Whether `try_send` would take a message of any size that is allowed."""
        return self._has_room(self._open_row(channel))

    def _has_room(self, i):
        lane = self._plan.lanes[i // _STEP]
        left = self._rows[i + _ROOM] - _PLACE - min(lane.message, lane.queue_bytes)
        return left >= 0 and left & _GUARD > 0

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

    def _owes(self, i):
        """Whether half a window can be given back."""
        rows = self._rows
        if rows[i + _FLAGS] & (_ENDED | _DEAD) or rows[i + _DONE] == -1:
            return False
        return rows[i + _LEFT] + rows[i + _FILL] <= 0

    def _rest(self, i):
        """A row has nothing to send, or no credit."""
        if i in self._ready:
            self._ready.remove(i)

    # Streams

    def open(self, name, priority, taken=()):
        """Open a stream: its id, none of `taken`, or 0 when there are too many. `name`: bytes, 1 to 60 of them."""
        if not (0 < len(name) <= _NAME and 0 < priority <= 16):
            from .errors import LocalError

            raise LocalError("a stream needs a name of 1 to 60 bytes and a priority of 1 to 16")
        for n in range(64):
            channel = _FIRST_STREAM + 2 * n + (self._marks & _ODD > 0)
            if channel not in taken and not self._row(channel):
                name = [name]
                i = self._new_row(channel, priority)
                if not i:
                    return 0
                try:
                    self._ready.append(i)
                except MemoryError:
                    self._forget(i)
                    raise
                self._rows[i + _QUEUE] = name
                self._rows[i + _DONE] = -1
                self._rows[i + _FLAGS] |= _OURS
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
            if i not in self._ready:
                self._ready.append(i)  # first: it may lack memory
            self._rows[i + _FLAGS] = self._rows[i + _FLAGS] & ~_WANTS | _CLOSING
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

    def _new_row(self, channel, priority):
        """A row for a stream, or 0."""
        rows = self._rows
        i = self._plan.first
        while i < len(rows) and rows[i + _FLAGS]:
            i += _STEP
        if i // _STEP == len(self._plan.lanes):
            return 0
        if i == len(rows):
            rows.extend(_ROW)
        rows[i + _FLAGS] = _USED | channel << 16 | priority << 24
        self._empty(i)
        rows[i + _CREDIT] = _WINDOW
        rows[i + _LEFT] = _WINDOW - self._plan.halves[i // _STEP]
        self._marks |= _CREDITS if rows[i + _LEFT] <= 0 else 0
        return i

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

    def _drop(self, i):
        """Give up what a stream has queued and received."""
        self._empty(i)
        self._rows[i + _FILL] = 0
        self._rows[i + _FLAGS] &= ~_WANTS
        self._rest(i)

    def _forget(self, i):
        """Free the row of a stream."""
        self._drop(i)
        rows = self._rows
        rows[i] = rows[i + _DONE] = rows[i + _FLAGS] = 0
        rows[i + _ROOM] = -1

    # Events

    def _event(self, i, kind):
        self._rows[i + _FLAGS] |= 256 << kind
        self._marks |= _TOLD

    def next_event(self):
        """(kind, channel id, more) or None: 1 the peer opened a stream, its name; 2 there is something to read; 3 there is
        room again; 4 the peer ended its half; 5 it reset the stream, reason; 6 it ends the session, reason."""
        return self._next_told() if self._marks & _TOLD else None

    def _next_told(self):
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
