"""Requests to a peer and their answers: the reactor on channel 3 (docs/protocol.md 7.3). Pure, without I/O.

Whoever drives it sets `now` before any call that takes no time; after each calls `next_event` until it returns None, and
`tick` at `next_time`. Events: (CALL, served, method, payload), to be answered by `reply`; (DONE, id, status, payload); and
(ENDED, served): nobody waits for that answer any more, and its handler had time enough to see it.
"""

from .channel import Channel, Reactor
from .compat import const, ticks_add, ticks_diff

# Events
_CALL = const(1)
_DONE = const(2)
_ENDED = const(3)

# The status of an answer. What stands above 127 comes from the own node only.
_OK = const(0)
_NO_METHOD = const(1)
_REFUSED = const(2)
# 3 failed: the handler raised; the payload is its text
_BUSY = const(4)
_TOO_LONG = const(5)  # the answer would be
_TIMEOUT = const(128)
_LOST = const(129)  # the session ended


_N_CALLED = const(0)
_N_TIMED_OUT = const(1)
_N_LOST = const(2)
_N_LATE = const(3)  # answers after the deadline
_N_UNASKED = const(4)
_N_ANSWERED = const(5)
_N_TURNED_AWAY = const(6)  # by the engine itself, with a status
_N_UNSENT = const(7)  # that status met a full queue
_N_ENDED = const(8)

_CHANNEL = const(3)
_MALFORMED = const(11)
_GIVEN_UP = const(1)  # the first byte: who asked waits no longer
_ANSWER = const(0x80)  # in the first byte, with the status
_LONGEST = const(64)  # method
_OF_ONE_PEER = const(4)  # requests that are served at a time
_RECENT = const(256)  # ids for which an answer counts as late
_RETRY_MS = const(100)
_GRACE_MS = const(5000)  # a handler has them to come to its end: it may be checking a signature

# What is served, a list; its owner may keep its own at the end
_PEER = const(0)
_ID = const(1)  # -1: nobody waits for the answer
_TEXT = const(2)  # the answer, where it waits for room; or None
_UNTIL = const(3)  # the handler's place is kept, where nobody waits


class Rpc(Reactor):
    """See the module. `methods`: name by its bytes, of what this node serves. `allow(peer, method)`, unless None, says who
    may call it. `counts` has the numbers of counters.py."""

    def __init__(self, profile, now):
        self.channels = (Channel(_CHANNEL, 6, 8, max(1024, profile.request_max), profile.request_max),)
        self.now = now
        self.methods = {}
        self.allow = None
        self.counts = [0] * 9
        self._longest = profile.request_max
        self._most = profile.requests
        self._id = self._retry = 0
        self.calls = []  # [id, peer, deadline] of own ones
        self.served = []
        self._events = []

    def register(self, method):
        """Serve a method (text of 1-64 bytes). Raises LocalError for another length."""
        name = method.encode()
        if not 0 < len(name) <= _LONGEST:
            from .errors import LocalError

            raise LocalError("the name of a method has 1 to 64 bytes")
        self.methods[name] = method

    def call(self, peer, method, payload, now, ms=10000):
        """Ask a peer; within `ms` (below 2**29) an event DONE tells its answer. Returns the id, or 0 where there is no room
        now: too many calls, as many of this peer as it would serve, or a full queue. Raises LocalError for what is too
        long, here or for this peer."""
        if isinstance(payload, str):
            payload = payload.encode()
        name = method.encode()
        number = self._id % 0xFFFF + 1
        while self.find(number):
            number = number % 0xFFFF + 1
        text = bytes((0, number >> 8, number & 0xFF, len(name) & 0xFF)) + name + payload
        if not 0 < len(name) <= _LONGEST or len(text) > min(self._longest, peer.hello.request_max):
            from .errors import LocalError

            raise LocalError("no method (1 to 64 bytes), or beyond request_max, here or there")
        asked = 0
        for call in self.calls:
            asked += call[1] is peer
        if asked >= _OF_ONE_PEER or len(self.calls) + len(self._events) >= self._most or not peer.try_send(_CHANNEL, text):
            return 0
        self._id = number
        self.calls.append([number, peer, ticks_add(now, ms)])
        self.counts[_N_CALLED] += 1
        return number

    def give_up(self, call):
        """Wait no longer for the answer to an own call."""
        self.calls.remove(call)
        number = call[0]
        call[1].try_send(_CHANNEL, bytes((_GIVEN_UP, number >> 8, number & 0xFF)))

    def reply(self, served, status, payload=b""):
        """Answer a CALL. False: nobody waits for it, or it has the answer."""
        if served not in self.served or served[_TEXT]:
            return False
        number = served[_ID]
        if number < 0:
            self.served.remove(served)
            return False
        if len(payload) > min(self._longest, served[_PEER].hello.request_max) - 3:
            status = _TOO_LONG
            payload = b""
        served[_TEXT] = bytes((_ANSWER | status, number >> 8, number & 0xFF)) + payload
        self._send(served)
        return True

    def _send(self, served):
        if served[_PEER].try_send(_CHANNEL, served[_TEXT]):
            self.served.remove(served)
            self.counts[_N_ANSWERED] += 1
        else:
            self._retry = ticks_add(self.now, _RETRY_MS)

    def _leave(self, served):
        """Nobody waits for an answer any more."""
        if served[_TEXT]:
            self.served.remove(served)
        elif served[_ID] >= 0:
            served[_ID] = -1
            served[_UNTIL] = ticks_add(self.now, _GRACE_MS)

    def find(self, number):
        """The own call of an id, or None."""
        for call in self.calls:
            if call[0] == number:
                return call

    def _end(self, call, status, payload=b""):
        self._events.append((_DONE, call[0], status, payload))  # first: without memory for it the call goes on
        self.calls.remove(call)

    def next_event(self):
        """The oldest event that was not fetched, or None."""
        return self._events.pop(0) if self._events else None

    # Reactor

    def init_peer(self, peer):
        """Nothing is kept of a peer that asks nothing."""

    add_peer = init_peer

    def remove_peer(self, peer, reason):
        """The session ended: so did its calls, and nobody waits for what is served."""
        for call in list(self.calls):
            if call[1] is peer:
                self._end(call, _LOST)
                self.counts[_N_LOST] += 1
        for served in list(self.served):
            if served[_PEER] is peer:
                self._leave(served)

    def receive(self, peer, channel, view):
        """A message of a peer. Returns the reason to close it, or 0."""
        n = len(view)
        if n < 3:
            return _MALFORMED
        number = view[1] << 8 | view[2]
        if view[0] & _ANSWER:
            call = self.find(number)
            if call and call[1] is peer:
                self._end(call, view[0] & 0x7F, bytes(view[3:]))
            else:
                self.counts[_N_LATE if not call and (self._id - number) & 0xFFFF < _RECENT else _N_UNASKED] += 1
            return 0
        count = 0
        for served in list(self.served):
            if served[_PEER] is peer:
                count += 1
                if served[_ID] == number:
                    if view[0] == _GIVEN_UP:
                        self._leave(served)
                    elif not view[0]:
                        return _MALFORMED
        if view[0]:
            return 0  # of a later version
        end = n > 4 and 4 + view[3]
        if not 4 < end <= min(n, 4 + _LONGEST):
            return _MALFORMED
        method = self.methods.get(bytes(view[4:end]))
        status = _OK
        if method is None:
            status = _NO_METHOD
        elif self.allow and not self.allow(peer, method):
            status = _REFUSED
        elif count >= _OF_ONE_PEER or len(self.served) >= self._most:
            status = _BUSY
        else:
            served = [peer, number, None, 0, None]
            self._events.append((_CALL, served, method, bytes(view[end:])))
            self.served.append(served)
            return 0
        self.counts[_N_TURNED_AWAY] += 1
        if not peer.try_send(_CHANNEL, bytes((_ANSWER | status, view[1], view[2]))):
            self.counts[_N_UNSENT] += 1
        return 0

    # Time

    def next_time(self):
        """The tick at which `tick` must be called at the latest, or None."""
        best = None
        for call in self.calls:
            if best is None or ticks_diff(call[2], best) < 0:
                best = call[2]
        for served in self.served:
            if served[_TEXT] or served[_ID] < 0:
                due = self._retry if served[_TEXT] else served[_UNTIL]
                if best is None or ticks_diff(due, best) < 0:
                    best = due
        return best

    def tick(self, now):
        """Do what is due at `now`."""
        self.now = now
        for call in list(self.calls):
            if ticks_diff(now, call[2]) >= 0:
                self._events.append((_DONE, call[0], _TIMEOUT, b""))
                self.counts[_N_TIMED_OUT] += 1
                self.give_up(call)
        for served in list(self.served):
            if served[_TEXT]:
                self._send(served)
            elif served[_ID] < 0 and ticks_diff(now, served[_UNTIL]) >= 0:
                self._events.append((_ENDED, served))
                self.counts[_N_ENDED] += 1
                self.served.remove(served)
