"""Own requests: who was asked what, what may answer it, and when it is over (docs/protocol.md 3, rows D9, D12-D14). Pure.

A request is the whole dealing with one peer: key agreement where its key is unknown, PING until its endpoint is proven,
and FIND_NODE where a lookup wants it. There is one request per id at a time, and at most two PINGs are on the way.

    FREE -> KEYLESS -> READY -> SENT -> FREE      KEYLESS: waits for the pair key
              (key known) ^------v                READY: `write` sends it next; SENT: waits for the answer

A PING whose receiver may not know this node's key carries the whole id: the first ones, and the first after any miss.
"""

from .compat import const, ticks_add, ticks_diff
from .datagram import encode_find_node, encode_ping, size_for
from .wire import copy, same

# Why a request is made.
_FOR_LOOKUP = const(1)
_TO_REVALIDATE = const(2)
_TO_JOIN = const(3)  # a seed, a beacon's sender, a bootstrap node
_TO_MOVE = const(4)  # is the node still at its old address?

_FREE = const(0)
_SENT = const(3)
_READY = const(2)
_KEYLESS = const(1)
_PING = const(1)
_FIND_NODE = const(3)

_STATE = const(63)
_FLAGS = const(64)
_MISSES = const(0x0C)
_HAS_TOKEN = const(0x10)
_FORGETS = const(0x20)
_LOWER_EPOCH = const(0x40)
_CLOCK_JUMPS = const(21)
_KEYLESS_MS = const(15000)  # longest wait for a key
_JUMP_MS = const(10000)


class Request:
    """One dealing with one peer; a fixed number exist. Fields hold until the request is FREE again."""

    def __init__(self):
        self.id = bytearray(32)
        self.pair = bytearray(16)
        self.token = bytearray(8)  # the peer's, for us
        self.request_id = bytearray(4)
        self.request_id_before = bytearray(4)  # of the try before: on a first contact its answer may still come
        self.state = _FREE
        self.start(0, None, 0, None, -1)

    def start(self, why, ip, port, lookup, candidate):
        self.why = why
        self.kind = _PING
        self.ip = ip
        self.port = port
        self.lookup = lookup  # and the offset of its candidate
        self.candidate = candidate
        self.has_id = True
        self.has_pair = False
        self.has_token = False
        self.is_full = True  # send the whole id
        self.is_first = True  # first contact: the peer has a key agreement to do
        self.is_answered = False  # a tagged PONG came
        self.is_repeated = False  # sent again once, for a new token
        self.is_lower = False  # send under the lower epoch
        self.misses = 0
        self.parts = 0  # bit set of the parts of NEIGHBORS that came
        self.beyond = 0  # what FIND_NODE passed over
        self.last = 0  # the first 24 bits of the distance of the farthest node named
        self.records = 0  # how many were named
        self.due = 0  # when waiting ends
        self.anchor = None  # the bootstrap node that this is for
        self.new_ip = None  # TO_MOVE: where the node proved itself
        self.new_port = 0


class Requests:
    """The pool of requests. `node` is the Discovery that they are made for."""

    def __init__(self, node, profile):
        self._node = node
        self._pool = [Request() for _ in range(profile.pending)]
        self._pings_max = profile.pings_in_flight
        self._reply_ms = profile.reply_ms
        self._first_ms = profile.first_contact_ms
        self._ask_size = size_for(profile.neighbors_per_answer, profile.ipv6)
        self._ipv6 = profile.ipv6

    def find(self, buf, at):
        """The running request for the id buf[at:at+32], or None."""
        for request in self._pool:
            if request.state and request.has_id and same(request.id, 0, buf, at, 32):
                return request
        return None

    def free(self):
        """How many more requests fit."""
        count = 0
        for request in self._pool:
            if not request.state:
                count += 1
        return count

    def begin(self, why, buf, at, ip, port, lookup=None, candidate=-1, is_ping=False):
        """Begin to deal with the id buf[at:at+32] (`buf` None: with whoever is at the address). What the table knows of it
        goes before what the caller heard. Returns the Request, or None: no room, or one for this id is running."""
        request = None
        for each in self._pool:
            if not each.state:
                request = each
        if request is None or (buf is not None and self.find(buf, at) is not None):
            return None
        request.start(why, ip, port, lookup, candidate)
        node = self._node
        if buf is None:
            request.has_id = False
            request.state = _READY
            return request
        copy(request.id, 0, buf, at, 32)
        record = node.table.find(buf, at, 32)
        if record >= 0:
            self._know(request, record)
            if lookup is not None and request.has_token and not is_ping:
                request.kind = _FIND_NODE
        else:
            cached = node.cache.find(buf, at, 32)
            if cached >= 0:
                copy(request.pair, 0, node.cache.pool, cached + 32, 16)
                request.has_pair = True
        if request.has_pair:
            request.state = _READY
        else:
            request.state = _KEYLESS
            request.due = ticks_add(node.now, _KEYLESS_MS)
            node.agreements.ask(request)
        return request

    def _know(self, request, record):
        """Take the peer's data from its table record."""
        table = self._node.table
        pool = table.pool
        flags = pool[record + _FLAGS]
        request.ip = table.ip(record)
        request.port = pool[record + 56] << 8 | pool[record + 57]
        copy(request.pair, 0, pool, record + 32, 16)
        copy(request.token, 0, pool, record + 48, 8)
        request.has_pair = True
        request.has_token = flags & _HAS_TOKEN != 0
        request.is_first = False
        request.is_full = bool(flags & _FORGETS or pool[record + _STATE] & _MISSES)
        request.is_lower = flags & _LOWER_EPOCH != 0

    def agreed(self, request, pair):
        """The key agreement of a KEYLESS request ended; `pair` None: the id is no key."""
        if request.state != _KEYLESS:
            return
        if pair is None:
            self.end(request, False)
            return
        copy(request.pair, 0, pair, 0, 16)
        request.has_pair = True
        request.state = _READY

    # Sending

    def has_ready(self):
        """Whether `write` would send something."""
        return self._next() is not None

    def _next(self):
        pings = 0
        ready = None
        for request in self._pool:
            if request.kind == _PING and request.state == _SENT:
                pings += 1
            elif request.state == _READY and (ready is None or request.kind == _FIND_NODE):
                ready = request
        if ready is not None and ready.kind == _PING and pings >= self._pings_max:
            return None
        return ready

    def write(self, out):
        """Write the next request to `out`. Returns (request, size), or None."""
        request = self._next()
        if request is None:
            return None
        node = self._node
        key = node.membership.highest
        if request.is_lower and node.membership.lower is not None:
            key = node.membership.lower
        copy(request.request_id_before, 0, request.request_id, 0, 4)
        copy(request.request_id, 0, node.rng(4), 0, 4)
        pair = request.pair if request.has_pair else None
        token = request.token if request.has_token else None
        if request.kind == _PING:
            size = 50 if pair is not None else 74
            if len(request.ip) == 16:
                size += 12
            n = encode_ping(
                node.codec,
                out,
                request.request_id,
                key,
                pair,
                request.is_full,
                node.tcp_port,
                node.capabilities,
                token,
                size,
            )
            wait = self._first_ms >> 1 if request.is_first else self._reply_ms
        else:
            size = self._ask_size
            if self._ipv6 and len(request.ip) == 4:
                size = max(50, size - 12)
            request.beyond = request.lookup.beyond(request.candidate)
            request.last = request.records = 0
            n = encode_find_node(
                node.codec,
                out,
                request.request_id,
                key,
                pair,
                request.is_full,
                request.token,
                request.lookup.target,
                request.beyond,
                size,
            )
            request.parts = 0
            wait = self._reply_ms
            if request.is_full:
                wait += self._first_ms  # a key agreement may stand before the answer
        request.state = _SENT
        request.due = ticks_add(node.now, wait)
        return request, n

    # Answers

    def match(self, request_id, ip, port):
        """The request that an answer with this request id from this address belongs to, or None."""
        for request in self._pool:
            if request.state == _SENT and request.port == port and request.ip == ip:
                if request.request_id == request_id:
                    return request
                if request.is_first and request.kind == _PING and request.request_id_before == request_id:
                    return request
        return None

    def repeat(self, request):
        """Send once more, now that a token came. False: that was done before."""
        if request.is_repeated:
            return False
        request.is_repeated = True
        request.state = _READY
        return True

    def ask(self, request):
        """The peer is proven: go on to FIND_NODE."""
        request.kind = _FIND_NODE
        request.state = _READY
        request.is_answered = True
        request.is_first = False

    def end(self, request, is_answered):
        """The request is over; it is FREE, and may begin anew, when the node has heard of it."""
        self._node.agreements.forget(request)
        request.state = _FREE
        self._node.ended(request, is_answered)

    # Time

    def next_time(self, best):
        """The earlier of `best` (ticks or None) and the next deadline."""
        for request in self._pool:
            if request.state == _SENT or request.state == _KEYLESS:
                if best is None or ticks_diff(request.due, best) < 0:
                    best = request.due
        return best

    def tick(self, now):
        """End or repeat what waited long enough. What is due long ago, or much later than anything waits, tells that the
        clock jumped or the node slept: it ends, and nobody is blamed."""
        for request in self._pool:
            if request.state != _SENT and request.state != _KEYLESS:
                continue
            late = ticks_diff(now, request.due)
            if late > _JUMP_MS or late < -_JUMP_MS - _KEYLESS_MS:
                self._node.count(_CLOCK_JUMPS)
                request.misses = -1
                self.end(request, False)
            elif late >= 0 and request.state == _SENT:
                self._missed(request)
            elif late >= 0:
                self.end(request, False)

    def drop(self, lookup):
        """A lookup is over: what was still asked for it is given up."""
        for request in self._pool:
            if request.state and request.lookup is lookup:
                self._node.agreements.forget(request)
                request.state = _FREE
                request.lookup = None

    def _missed(self, request):
        if request.kind == _FIND_NODE and request.parts:
            self.end(request, True)  # a part is an answer
            return
        request.misses += 1
        tries = 2
        if request.why == _TO_REVALIDATE:
            tries = 1
        elif request.is_first and self._node.membership.lower is not None:
            tries = 3
        if request.misses >= tries:
            self.end(request, False)
            return
        if request.misses == 2:
            request.is_lower = True
        if request.kind == _FIND_NODE and not request.is_answered:
            request.kind = _PING  # it may have lost our key: whole id, then ask again
        request.is_full = True
        request.state = _READY

