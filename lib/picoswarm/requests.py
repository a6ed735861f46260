"""Own requests: who was asked what, what may answer it, and when it is over (docs/protocol.md 3, rows D9, D12-D14). Pure.

A request is the whole dealing with one peer: key agreement where its key is unknown, PING until its endpoint is proven,
and FIND_NODE where a lookup wants it. There is one request per id at a time, and at most two PINGs are on the way.

    KEYLESS -> READY -> SENT -> OVER      KEYLESS: waits for the pair key
   (key known) ^---------v                READY: `write` sends it next; SENT: waits for the answer

A peer answers two questions in a second (responder.py), so the third waits here: unanswered, it would count as a miss.

A PING whose receiver may not know this node's key carries the whole id: the first ones, and the first after any miss.
"""

from .compat import const, ticks_add, ticks_diff
from .datagram import encode_find_node, encode_ping, size_for
from .wire import copy, same, u16

# Why a request is made.
_FOR_LOOKUP = const(1)
_TO_REVALIDATE = const(2)
_TO_JOIN = const(3)  # a seed, a beacon's sender, a bootstrap node
_TO_MOVE = const(4)  # is the node still at its old address?

_OVER = const(0)
_KEYLESS = const(1)
_READY = const(2)
_SENT = const(3)
_PING = const(1)
_FIND_NODE = const(3)

_REQUEST_ID = const(56)  # in `Request.peer`
_BEFORE = const(60)
_AT = const(14)  # of the request id in a datagram
_UDP = const(56)  # in a table record, which begins as `Request.peer`
_STATE = const(63)
_FLAGS = const(64)
_MISSES = const(0x0C)
_CACHED = const(3)
_HAS_TOKEN = const(0x10)
_FORGETS = const(0x20)
_LOWER_EPOCH = const(0x40)
_CANDIDATE_FLAGS = const(36)  # see lookup.py
_TWICE = const(0x80)
_CLOCK_JUMPS = const(21)
_KEYLESS_MS = const(15000)  # longest wait for a key
_JUMP_MS = const(10000)
_SHARE = const(2)  # questions to one peer
_SHARE_MS = const(1100)  # in a second, as it counts: one may be underway longer than the one before
_ASKED = const(8)
_AGAIN_MS = const(100)  # before a request that waits for its turn is looked at again
_YOUNG_S = const(60)  # uptime in which a first contact gets three PINGs instead of two, in the same time


class Request:
    """One dealing with one peer."""

    def __init__(self, why, ip, port, about, candidate):
        # id 32 | pair key 16 | its token for us 8 | request id 4 | that of the try before 4, whose answer may still come on
        # a first contact
        self.peer = bytearray(64)
        self.state = _READY
        self.why = why
        self.kind = _PING
        self.ip = ip
        self.port = port
        self.about = about  # the lookup, or the anchor that this is for, or (ip, port) where a moving node proved itself
        self.candidate = candidate  # its offset in the lookup; -1: this is for none
        self.key = None  # the NetworkKey that it was sent under last
        self.has_pair = self.is_full = True  # has_pair: the id is known, and in READY its pair key; is_full: of the own id
        self.is_first = True  # first contact: the peer has a key agreement to do
        self.has_token = self.is_repeated = self.is_lower = False
        self.is_answered = False  # a tagged PONG came
        self.is_telling = False  # revalidation wanted to ask the same node meanwhile: no answer is a miss
        self.misses = 0
        self.parts = 0  # bit set of the parts of NEIGHBORS that came
        self.beyond = 0  # what FIND_NODE passed over
        self.last = 0  # the first 24 bits of the distance of the farthest node named
        self.records = 0  # how many were named
        self.due = 0  # when waiting ends


class Requests:
    """The running requests, a few at most. `node` is the Discovery that they are made for."""

    def __init__(self, node, profile):
        self._node = node
        self._pings_max = profile.pings_in_flight
        self._reply_ms = profile.reply_ms
        self._first_ms = profile.first_contact_ms
        self.per_answer = profile.neighbors_per_answer
        self._most = profile.pending
        self.pool = []  # the oldest first
        self._asked = [0] * (2 * _ASKED)  # first bytes of the id and when, for each of the last questions but first ones

    def find(self, buf, at):
        """The running request for the id buf[at:at+32], or None."""
        for request in self.pool:
            if request.has_pair and same(request.peer, 0, buf, at, 32):
                return request

    def has_room(self):
        """Whether one more may begin."""
        return len(self.pool) < self._most

    def begin(self, why, buf, at, ip, port, about=None, candidate=-1):
        """Begin to deal with the id buf[at:at+32] (`buf` None: with whoever is at the address). What the table knows of it
        goes before what the caller heard. Returns the Request, or None: no room, or one for this id is running."""
        if not self.has_room() or (buf is not None and self.find(buf, at) is not None):
            return None
        request = Request(why, ip, port, about, candidate)
        self.pool.append(request)
        if buf is None:
            request.has_pair = False
        else:
            self.identify(request, buf, at)
        return request

    def identify(self, request, buf, at):
        """The request is for the id buf[at:at+32]: take what the table knows of it, or ask for its pair key."""
        node = self._node
        table = node.table
        pool = table.pool
        copy(request.peer, 0, buf, at, 32)
        request.has_pair = True
        record = table.find(buf, at, 32)
        if record < 0:
            request.state = _KEYLESS
            request.due = ticks_add(node.now, _KEYLESS_MS)
            node.agreements.ask(request)
            return
        request.state = _READY
        copy(request.peer, 32, pool, record + 32, 16)
        if pool[record + _STATE] & 3 != _CACHED:
            flags = pool[record + _FLAGS]
            request.ip = table.ip(record)
            request.port = u16(pool, record + _UDP)
            copy(request.peer, 48, pool, record + 48, 8)
            request.has_token = flags & _HAS_TOKEN != 0
            request.is_first = False
            request.is_full = bool(flags & _FORGETS or pool[record + _STATE] & _MISSES)
            request.is_lower = flags & _LOWER_EPOCH != 0
            if request.has_token and request.candidate >= 0 and request.about.wants(request.candidate):
                request.kind = _FIND_NODE

    def agreed(self, request, pair):
        """The key agreement of a KEYLESS request ended; `pair` None: the id is no key."""
        if pair is None:
            self.end(request, False)
            return
        copy(request.peer, 32, pair, 0, 16)
        request.state = _READY

    # Sending

    def next(self):
        """The request that `write` may send now, or None."""
        pings = 0
        ready = None
        for request in self.pool:
            if request.kind == _PING and request.state == _SENT:
                pings += 1
            elif request.state == _READY and (ready is None or request.kind == _FIND_NODE) and self._may_ask(request):
                ready = request
        if ready is not None and ready.kind == _PING and pings >= self._pings_max:
            return None
        return ready

    def _may_ask(self, request):
        """Whether the peer answers one question more now."""
        if request.is_first:
            return True
        asked = self._asked
        head = u16(request.peer, 0)
        now = self._node.now
        count = 0
        for i in range(0, 2 * _ASKED, 2):
            if asked[i] == head and 0 <= ticks_diff(now, asked[i + 1]) < _SHARE_MS:
                count += 1
        return count < _SHARE

    def write(self, out, request):
        """Write a request to `out`. Returns the size."""
        node = self._node
        if not request.is_first:
            asked = self._asked
            for i in range(2 * _ASKED - 2):
                asked[i] = asked[i + 2]
            asked[-2] = u16(request.peer, 0)
            asked[-1] = node.now
        lookup = request.about
        request.key = (request.is_lower and node.membership.lower) or node.membership.highest
        copy(request.peer, _BEFORE, request.peer, _REQUEST_ID, 4)
        copy(request.peer, _REQUEST_ID, node.rng(4), 0, 4)
        wait = self._reply_ms
        if request.kind == _FIND_NODE:
            request.beyond = lookup.beyond(request.candidate)
            if request.beyond < 0:
                request.kind = _PING  # the lookup has asked as often as it may
        if request.kind == _PING:
            if request.is_first:
                wait = self._first_ms // (3 if node.uptime < _YOUNG_S else 2)
            n = encode_ping(node.codec, out, request, request.has_token)
        else:
            if request.is_full:
                wait += self._first_ms  # a key agreement may stand before the answer
            request.last = request.records = request.parts = 0
            size = size_for(self.per_answer, len(request.ip) == 16)
            n = encode_find_node(node.codec, out, request, lookup.target, request.beyond, size)
        request.state = _SENT
        request.due = ticks_add(node.now, wait)
        return n

    # Answers

    def match(self, d):
        """The request that the answer in hand belongs to by its request id and source, or None."""
        for request in self.pool:
            if request.state == _SENT and request.port == d.port and request.ip == d.ip:
                peer = request.peer
                if same(peer, _REQUEST_ID, d.buf, _AT, 4):
                    return request
                # Before the first miss there was no try before, and whoever knew what stands there would be proven.
                if request.misses and request.is_first and request.kind == _PING and same(peer, _BEFORE, d.buf, _AT, 4):
                    return request

    def repeat(self, request):
        """Send once more, now that a token came. False: that was done before."""
        if request.is_repeated:
            return False
        request.is_repeated = True
        request.state = _READY
        return True

    def end(self, request, is_answered):
        """The request is over, which the node hears. Without memory for that it is over when its time is."""
        self._node.ended(request, is_answered)
        self._forget(request)

    def _forget(self, request):
        self._node.agreements.forget(request)
        self.pool.remove(request)
        request.state = _OVER

    def drop(self, lookup):
        """A lookup is over: what was still asked for it is given up."""
        pool = self.pool
        for i in range(len(pool) - 1, -1, -1):  # no copy of it: the heap may be full
            if pool[i].about is lookup:
                self._forget(pool[i])

    # Time

    def next_time(self, best):
        """The earlier of `best` (ticks) and the next deadline."""
        for request in self.pool:
            due = request.due
            if request.state == _READY:
                if self._may_ask(request):  # one of those on the way ends before it goes
                    continue
                due = ticks_add(self._node.now, _AGAIN_MS)
            if ticks_diff(due, best) < 0:
                best = due
        return best

    def tick(self, now):
        """End or repeat what waited long enough. What is due long ago, or much later than anything waits, tells that the
        clock jumped or the node slept: it ends, and nobody is blamed."""
        for request in tuple(self.pool):
            if request.state != _SENT and request.state != _KEYLESS:
                continue
            late = ticks_diff(now, request.due)
            if late > _JUMP_MS or late < -_JUMP_MS - _KEYLESS_MS:
                self._node.count(_CLOCK_JUMPS)
                request.misses = -1
                self.end(request, False)
            elif late >= 0:
                self._late(request)

    def _late(self, request):
        if request.state == _KEYLESS:
            return self.end(request, False)
        if request.parts:
            return self.end(request, True)  # a part is an answer
        request.misses += 1
        tries = 2
        if request.why == _TO_REVALIDATE:
            tries = 1
        elif request.is_first and (self._node.uptime < _YOUNG_S or self._node.membership.lower is not None):
            tries = 3
        elif request.candidate >= 0 and request.about.pool[request.candidate + _CANDIDATE_FLAGS] & _TWICE:
            tries = 3  # its second chance: all that is missing from the result
        if request.misses >= tries:
            return self.end(request, False)
        if request.misses == 2:
            request.is_lower = True
        if not request.is_answered:
            request.kind = _PING  # it may have lost our key: whole id, then ask again
        request.is_full = True
        request.state = _READY
