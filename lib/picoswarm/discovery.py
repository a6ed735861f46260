"""The discovery engine: a node of the mesh as seen over UDP (docs/protocol.md sections 2 and 3). Pure, without I/O.

Three inputs drive it: the user's `find` and `add_*`, datagrams through `receive`, and time through `tick`. Whoever drives
it calls, after each of them, `work`, a step of a lookup or a slice of public-key work; then `to_send` until it returns 0
and `next_event` until None; while `work` returned True all that again, other things between; and then sleeps until
`next_time`. Time is 30-bit millisecond ticks; ages are seconds of uptime, counted here from tick differences. Nothing here
knows a wall clock.

It never raises on what a peer sent: a datagram that is not right is dropped and counted (counters.py).
"""

from .address import Site, is_open_port, may_name, scope, unwrap
from .agreement import Agreements, Deferred
from .compat import KERNELS, const, ticks_add, ticks_diff
from .datagram import Codec, encode_beacon
from .identity import is_valid_id
from .lookup import Lookup
from .requests import Requests
from .responder import Responder
from .revalidation import Revalidation
from .table import Table
from .tokens import Tokens
from .upkeep import Upkeep
from .wire import copy, put_u16, same, u16

if KERNELS == "viper":
    from .datagram_viper import pong

# Events: (kind, ...)
ADDED = 1  # (ADDED, id): a node has an entry in the table
REMOVED = 2  # (REMOVED, id)
LOOKUP_DONE = 3  # (LOOKUP_DONE, lookup)
ALONE = 4  # (ALONE,): no live node is known; whoever has seeds adds them again
OUTSIDE = 5  # (OUTSIDE, ip or None, port): the predicted outside address changed

# Indices of counters.py.
_RECEIVED = const(0)
_BAD_SOURCE = const(7)
_WRONG_TAG = const(9)
_UNASKED = const(12)
_BAD_RECORD = const(13)
_SEEN_ELSEWHERE = const(15)
_SENT = const(16)
_BYTES_SENT = const(17)
_BYTES_RECEIVED = const(18)
_AGREEMENTS = const(19)
_MISSES = const(20)
_EVENTS_LOST = const(22)
_COUNTERS = const(23)

_PING = const(1)
_PONG = const(2)
_FIND_NODE = const(3)
_BEACON = const(5)
_SEALED = const(6)  # of responder.kind: the PONG stands in its `peer`, see datagram_viper.py
_READY = const(2)  # see requests.py

_SENDER = const(18)  # in a datagram
_REQUEST_ID = const(56)  # in an exchange's `peer`
_PAIR = const(32)  # in a table record
_TOKEN = const(48)
_UDP = const(56)
_TCP = const(58)
_FLAGS = const(64)

_HAS_TOKEN = const(0x10)  # flags of a table record
_BELIEVED = const(0x0A)  # of those that NEIGHBORS tell of an entry: gateway, relays
_FORGETS = const(0x20)
_LOWER_EPOCH = const(0x40)
_CANDIDATE_FLAGS = const(36)  # see lookup.py
_PROVEN = const(0x40)
_ONCE = const(0x10)
_FOR_LOOKUP = const(1)  # why a request is made, see requests.py
_TO_REVALIDATE = const(2)
_TO_JOIN = const(3)
_TO_MOVE = const(4)
_INVALID = const(0)  # see address.scope
_LOOPBACK = const(1)
_GLOBAL = const(3)
_FRESH = const(4)  # times 4 s: an entry proven since then is not doubted for one lost answer
_EVENTS = const(32)
_LOW_PORTS = const(1024)  # see address.is_open_port: a datagram comes from no such port


class Discovery:
    """See the module. `ip`, `port`: the own address as peers on the same network see it; `prefix`: its network's bits;
    `pool`: the memory of the table, if it is there already."""

    def __init__(self, profile, identity, membership, rng, now, ip, port, tcp_port=0, capabilities=0, prefix=0, pool=None):
        self.rng = rng  # rng(n): n random bytes
        self.now = now
        self.uptime = 0  # seconds
        self._uptime_ms = 0
        self.own_id = identity.id
        self.membership = membership
        self.counts = [0] * _COUNTERS
        self.table = Table(self.own_id, profile, rng, pool)
        self._lookups = []  # those that run
        self._most = profile.lookups
        # Copies: the profile goes when a node without sessions runs.
        sizes = profile.lookup_result, profile.alpha, profile.lookup_queries, profile.lookup_candidates, profile.ipv6
        self._numbers = sizes
        self.codec = Codec(membership, self.own_id, profile.repeats, tcp_port, capabilities)
        self.tokens = Tokens(rng, profile.token_s)
        self.agreements = Agreements(identity, profile, now)
        self.requests = Requests(self, profile)
        self.responder = Responder(self, profile, now)
        self.revalidation = Revalidation(profile, rng, now)
        self.upkeep = Upkeep(self, profile, now)
        self.anchors = self.upkeep.anchors  # bootstrap and permanent nodes
        self._events = []
        self._id = bytearray(32)
        self.has_steps = False  # lookups may have something to do
        self.to_ip = None  # where the datagram that `to_send` wrote goes
        self.to_port = 0
        self.beacon_ip = b"\xff\xff\xff\xff"
        self.beacon_port = port
        self.set_address(ip, port, prefix)

    # What the user asks

    def add_bootstrap(self, ip, port, id32=None):
        """Ask at this address for the mesh, for as long as the node lives. Without an id the peer must be a bootstrap node;
        with one it may be any permanent peer."""
        self.upkeep.add_anchor(unwrap(ip), port, id32, self.now)

    def add_seed(self, id32, ip, port):
        """A node known from an earlier life (nodedb.py). False: refused, or no room. It is believed no more than a
        neighbor that a stranger names."""
        ip = unwrap(ip)
        return (
            is_valid_id(id32)
            and id32 != self.own_id
            and self._may_contact(_LOOPBACK, ip, port)
            and self.upkeep.add_hint(id32, ip, port, self.now)
        )

    def find(self, target32, now, full=False):
        """Look for the node `target32`, or with `full` for the nodes closest to it. Returns the Lookup, whose LOOKUP_DONE
        event follows and which holds until the next `find` after that; None: as many as the profile allows are running.
        Raises MemoryError."""
        self._advance(now)
        lookup = self.look_up(target32, full)
        if lookup is None and len(self._lookups) < self._most:
            raise MemoryError
        return lookup

    def set_address(self, ip, port, prefix=0):
        """The interface got another address."""
        self.site = Site(ip, prefix)
        self.port = port
        self._outside = None

    def contact(self, id32):
        """(ip, UDP port, TCP port) of a live node of the table, or None. The TCP port is the one that it named itself."""
        table = self.table
        record = table.find(id32, 0, 32)
        if record >= 0 and table.is_live(record):
            return table.ip(record), u16(table.pool, record + _UDP), u16(table.pool, record + _TCP)

    def nodes(self):
        """The ids of the live table entries."""
        table = self.table
        ids = []
        for record in range(0, len(table.pool), table.step):
            if table.is_live(record):
                ids.append(bytes(table.pool[record : record + 32]))
        return ids

    def stats(self):
        """Counters and gauges by name."""
        from .counters import names

        values = {}
        for name in names("discovery").split():
            values[name] = self.counts[len(values)]
        values["uptime"] = self.uptime
        values["entries"] = self.table.entries
        values["live"] = self.table.live()
        values["joined"] = int(self.upkeep.is_joined)
        return values

    # Datagrams in

    def receive(self, buf, n, ip, port, now):
        """Take in the datagram buf[0:n], decrypting it in place, from ip (4 or 16 bytes): port. True: a member sent it."""
        # Few names: a call frame above 11 words is taken from the heap, which costs more than what happens in it.
        if now != self.now:
            self._advance(now)
        self.counts[_RECEIVED] += 1
        self.counts[_BYTES_RECEIVED] += n
        d = self.codec
        if len(ip) > 4:
            ip = unwrap(ip)
        d.ip = ip
        d.port = port
        d.scope = ip = scope(ip)
        if ip == _INVALID or port <= _LOW_PORTS:
            return self.count(_BAD_SOURCE)
        n = d.open(buf, n)
        if n:
            return self.count(n)
        if KERNELS == "viper":
            n = pong(self.responder, self, d)
            if n:
                return n < 0 or self.count(n)
        n = d.type
        if n & 1 == 0:
            self._on_answer()
        elif n != _BEACON:
            self.responder.on_request()
        elif self.responder.take_other():
            self.upkeep.on_beacon(d)
        return True

    def _on_answer(self):
        """A PONG or NEIGHBORS: only what was asked for, by request id, address, peer id, type and pair tag."""
        d = self.codec
        request = self.requests.match(d)
        is_pong = d.type == _PONG
        if (
            request is None
            or (not is_pong and request.kind != _FIND_NODE)
            or (request.has_pair and not same(d.buf, _SENDER, request.peer, 0, d.body - _SENDER))
        ):
            self.count(_UNASKED)
        elif not d.is_tagged:
            self._on_untagged(request)
        elif not d.is_paired(request.peer, _PAIR):
            self.count(_WRONG_TAG)
        elif is_pong:
            self._on_pong(request)
        else:
            self._on_neighbors(request)

    def _take_token(self, request):
        copy(request.peer, _TOKEN, self.codec.buf, self.codec.token, 8)
        request.has_token = True

    def _on_untagged(self, request):
        """A PONG that proves nothing. It has a token, with which the next PING goes before others. A bootstrap node names
        its id, too, which that PING puts to the test."""
        d = self.codec
        if request.has_pair:
            if request.kind == _PING and self.requests.repeat(request):
                self._take_token(request)
            return
        copy(self._id, 0, d.buf, _SENDER, 32)
        if not d.is_full or not is_valid_id(self._id):
            self.count(_BAD_RECORD)
        elif self.requests.find(self._id, 0) is None:
            self._take_token(request)
            self.requests.identify(request, self._id, 0)

    def _on_pong(self, request):
        """A PONG under the right pair tag: the peer lives, and what it says of our address decides whether it is proven."""
        d = self.codec
        pool = self.table.pool
        self._take_token(request)
        if request.kind == _FIND_NODE:  # our token was too old for it
            record = self.table.find(request.peer, 0, 32)
            if record >= 0:
                copy(pool, record + _TOKEN, request.peer, _TOKEN, 8)
            if not self.requests.repeat(request):
                self.requests.end(request, False)
            return
        at = d.token - 2
        if not self._is_own_address(unwrap(bytes(d.buf[d.body : at])), u16(d.buf, at)):
            self.count(_SEEN_ELSEWHERE)
            request.misses = -1
            return self.requests.end(request, False)
        record = self.table.keep(request.peer, 0, request.peer, _PAIR, self.uptime)
        if self.prove(record, False):
            copy(pool, record + _TOKEN, request.peer, _TOKEN, 8)
            put_u16(pool, record + _TCP, u16(d.buf, at + 10))
            flags = pool[record + _FLAGS] & ~_LOWER_EPOCH | _HAS_TOKEN
            if d.key is not self.membership.highest:
                flags |= _LOWER_EPOCH
            if request.is_full and not request.is_first:
                flags |= _FORGETS  # it has no key of ours: the next word carries the whole id
            pool[record + _FLAGS] = flags
        request.is_full = False
        if request.candidate < 0 or not request.about.wants(request.candidate):
            return self.requests.end(request, True)
        # Proven: now the question itself.
        request.about.pool[request.candidate + _CANDIDATE_FLAGS] |= _PROVEN  # it lives, whatever becomes of the rest
        request.kind = _FIND_NODE
        request.state = _READY
        request.is_answered = True
        request.is_first = False

    def _is_own_address(self, seen_ip, seen_port):
        """Whether the address that the peer saw, by its PONG in hand, can be ours. A relay between us would show its own."""
        d = self.codec
        if d.scope == _LOOPBACK:
            return seen_port == self.port
        if self.site.is_onlink(d.ip):
            return seen_ip == self.site.ip and seen_port == self.port
        if d.scope != _GLOBAL:
            return True
        outside = self._outside
        if outside is None:
            from .outside import Outside  # not before somebody beyond the own network answers

            self._outside = outside = Outside()
        if outside.state(d.ip, seen_ip, seen_port, self.uptime):
            self.event((OUTSIDE, outside.ip, outside.port))
        return outside.agrees(seen_ip)

    def _on_neighbors(self, request):
        """A part of an answer to our FIND_NODE. A named neighbor is hearsay: it may become a candidate, never an entry."""
        d = self.codec
        buf = d.buf
        at = d.body
        part = buf[at] >> 4
        total = buf[at] & 15
        if not 1 <= total <= 2 or part >= total or request.parts & (1 << part):
            return self.count(_BAD_RECORD)
        lookup = request.about
        target = lookup.target
        request.parts |= 1 << part
        at += 1
        for _ in range(11):
            end = at + 53 if buf[at] & 1 else at + 41
            if end > d.end:
                break
            id32 = self._id
            copy(id32, 0, buf, at + 1, 32)
            ip = unwrap(bytes(buf[at + 33 : end - 4]))
            port = u16(buf, end - 4)
            if not is_valid_id(id32) or not self._may_contact(d.scope, ip, port):
                self.count(_BAD_RECORD)
            elif id32 != self.own_id:
                known = self.table.find(id32, 0, 32)
                if known >= 0:  # who pings us rarely, as a gateway may, is known by others for what it is
                    self.table.pool[known + _FLAGS] |= buf[at] & _BELIEVED
                lookup.offer(id32, 0, ip, port, u16(buf, end - 2), buf[at], request.candidate)
            key = (id32[0] ^ target[0]) << 16 | (id32[1] ^ target[1]) << 8 | id32[2] ^ target[2]
            request.last = max(request.last, key)
            request.records += 1
            at = end
        if request.parts == (1 << total) - 1:
            # Fewer than there was room for: there is nobody farther.
            last = request.last if request.records >= self.requests.per_answer else 0x1000000
            lookup.covered(request.candidate, request.beyond, last)
            self.requests.end(request, True)

    def _may_contact(self, namer_scope, ip, port):
        """Whether an address that a peer named may get a datagram from us."""
        return (
            is_open_port(port)
            and may_name(namer_scope, scope(ip))
            and not self.site.is_broadcast(ip)
            and not (port == self.port and ip == self.site.ip)
            and (len(ip) == 4 or self.table.step > 80)
        )

    # Proof, and what follows from it

    def prove(self, record, is_inbound):
        """The peer of this record has proven the source of the datagram in hand to be its endpoint, by answering our PING or
        by a pair tag and our token. False: it is an entry at another address, or came before the table was ready."""
        table = self.table
        if table.is_entry(record):
            if not table.is_at(record, self.codec):
                return self._move(record)
            table.credit(record, self.uptime, 0 if is_inbound else 1)
            if record in self.revalidation.suspects:
                self.revalidation.acquit(record)
        elif is_inbound and not self.upkeep.is_ready:
            return False
        elif table.admit(record, self.codec, self.uptime):
            table.credit(record, self.uptime)
            self._tell(ADDED, record)
        return True

    def _move(self, record):
        """An entry proved another address. The old one is asked first: two silences, and the entry moves."""
        self.requests.begin(_TO_MOVE, self.table.pool, record, None, 0, (self.codec.ip, self.codec.port))
        return False

    def _remove(self, record):
        """Give up an entry; a replacement that moves up is asked soon."""
        table = self.table
        self._tell(REMOVED, record)
        self.upkeep.lost(table, record)
        self.revalidation.acquit(record)
        risen = table.remove(record)
        if risen >= 0:
            self._tell(ADDED, risen)
            self.revalidation.suspect(risen, 0, self.now)

    def ended(self, request, is_answered):
        """A request is over (called by requests.py)."""
        table = self.table
        record = table.find(request.peer, 0, 32) if request.has_pair else -1
        is_blamed = not is_answered and request.misses >= 0
        if is_blamed:
            self.count(_MISSES)
        why = request.why
        if why == _FOR_LOOKUP:
            request.about.ended(request.candidate, is_answered)
            if is_blamed and request.is_first:
                self.upkeep.ended(request, False)
            if record >= 0 and request.kind == _FIND_NODE and is_answered:
                table.pool[record + _FLAGS] &= ~_FORGETS
                if table.is_entry(record):
                    table.find_answered(record)
                    table.credit(record, self.uptime)
                    self.revalidation.acquit(record)
        elif why == _TO_JOIN:
            self.upkeep.ended(request, is_answered)
        if record >= 0 and is_blamed and table.is_entry(record):
            self._missed(request, record)
        self.has_steps = True

    def _missed(self, request, record):
        """The peer of an ended request, which is an entry, did not answer."""
        table = self.table
        why = request.why
        if why == _TO_MOVE:
            table.set_address(record, *request.about)
            table.pool[record + _FLAGS] &= ~_HAS_TOKEN
            table.credit(record, self.uptime, 0)
        elif why == _TO_REVALIDATE or (request.is_telling and request.kind == _PING):
            misses = table.miss(record)
            if misses:
                self.revalidation.suspect(record, misses, self.now)
            else:
                self._remove(record)
        elif why == _FOR_LOOKUP and not request.is_first:
            # Not where a PING was all that went to it.
            if request.about.pool[request.candidate + _CANDIDATE_FLAGS] & _ONCE and table.find_failed(record):
                self._remove(record)
            elif table.age(record, self.uptime) >= _FRESH:
                self.revalidation.suspect(record, 0, self.now)

    # Lookups

    def look_up(self, target32, is_full, purpose=0):
        """Start a lookup; None: as many run as may, there is no memory for it, or upkeep wants a second one: after the first
        minute that is the user's."""
        lookups = self._lookups
        for each in lookups:
            if purpose and each.purpose and (each.purpose == purpose or self.uptime >= 60):
                return None
        if len(lookups) >= self._most:
            return None
        try:
            # By the same text as one that runs: a board has that only as long as it is wanted.
            lookup = (type(lookups[0]) if lookups else Lookup)(self._numbers)
        except MemoryError:
            return None
        lookup.start(target32, is_full, purpose)  # first: what is no id shall take no place
        lookups.append(lookup)
        self.has_steps = True
        return lookup

    def give_up(self, lookup):
        """End a lookup that a full heap holds up, where it has not ended; no event follows. Takes no memory but that of an
        overlay; without, what was asked for the lookup has its time."""
        if lookup in self._lookups:
            self._lookups.remove(lookup)
            lookup.is_running = False
            self.requests.drop(lookup)

    def _begin(self, lookup):
        """Let a new lookup know the closest of the table, a wide one more of them."""
        table = self.table
        pool = table.pool
        found = table.found
        for i in range(table.closest(lookup.target, found, len(found) if lookup.is_wide else self._numbers[0])):
            at = found[i]
            lookup.offer(pool, at, table.ip(at), u16(pool, at + _UDP), u16(pool, at + _TCP), pool[at + _FLAGS])
        lookup.is_new = False  # not before: a full heap may have ended it half done

    def _step(self):
        """One step of the lookups: ask one node more, or end one of them. All that may be to do would take a board 20 ms."""
        self.has_steps = True  # until none is left: a full heap may end this one half done
        if self.upkeep.step():
            return
        for lookup in self._lookups:
            if lookup.is_new:
                return self._begin(lookup)
            at = lookup.next()
            if at == -2:
                if lookup.widen():
                    return
                if not lookup.purpose:
                    self.event((LOOKUP_DONE, lookup))  # first: where the heap is full, the next time ends it
                lookup.is_running = False
                self.requests.drop(lookup)
                self._lookups.remove(lookup)
                if lookup.purpose:
                    self.upkeep.lookup_ended(lookup)
                return
            if at >= 0:
                pool = lookup.pool
                ip = bytes(pool[at + 40 : at + (56 if pool[at + _CANDIDATE_FLAGS] & 1 else 44)])
                if self.requests.begin(_FOR_LOOKUP, pool, at, ip, u16(pool, at + 32), lookup, at) is not None:
                    pool[at + 37] = 2  # asked
                    return
        self.has_steps = False

    # Datagrams out, events, counters

    def to_send(self, out):
        """Write the next datagram to `out` (512 bytes), its destination to `to_ip`, `to_port`. Returns its size, or 0."""
        to = self.responder
        if to.kind == _SEALED:
            to.kind = 0
            n = 50
            copy(out, 0, to.peer, 0, n)
        elif to.kind:
            n = to.write(out)
        elif self.upkeep.has_beacon:
            self.upkeep.has_beacon = False
            n = self._write_beacon(out, to)
        else:
            to = self.requests.next()
            if to is None:
                return 0
            n = self.requests.write(out, to)
        self.to_ip = to.ip
        self.to_port = to.port
        self.counts[_SENT] += 1
        self.counts[_BYTES_SENT] += n
        return n

    def _write_beacon(self, out, to):
        """A BEACON, by the responder `to`, which answers nobody now. Returns its size."""
        to.has_pair = False
        to.is_full = True
        to.key = self.membership.highest
        to.ip = self.beacon_ip
        to.port = self.beacon_port
        copy(to.peer, _REQUEST_ID, self.rng(4), 0, 4)
        return encode_beacon(self.codec, out, to)

    def next_event(self):
        """The oldest event that was not fetched, or None."""
        return self._events.pop(0) if self._events else None

    def event(self, event):
        """Queue an event; one too many is lost and counted."""
        if len(self._events) < _EVENTS:
            self._events.append(event)
        else:
            self.count(_EVENTS_LOST)

    def _tell(self, kind, record):
        self.event((kind, bytes(self.table.pool[record : record + 32])))

    def count(self, what):
        """Count one of counters.py."""
        self.counts[what] += 1

    # Time and work

    def next_time(self):
        """The tick at which `tick` must be called at the latest; never None: something always comes."""
        now = self.now
        if self.responder.kind or self.upkeep.has_beacon or self.requests.next() is not None:
            return now
        best = self.upkeep.next_time(self.requests.next_time(self.revalidation.due))
        agreements = self.agreements
        wait = -1 if agreements.is_idle else agreements.wait_ms(now)
        return best if wait < 0 or ticks_diff(best, now) < wait else ticks_add(now, wait)

    def tick(self, now):
        """Do what is due at `now`."""
        self._advance(now)
        self.requests.tick(now)
        table = self.table
        while True:
            record = self.revalidation.run(table, now, self.uptime)
            if record < 0:
                break
            if table.is_entry(record) and self.requests.begin(_TO_REVALIDATE, table.pool, record, None, 0) is None:
                # Busy, or this very node is being asked: that may tell, and if not, a little later.
                request = self.requests.find(table.pool, record)
                if request is not None:
                    request.is_telling = True
                self.revalidation.suspect(record, 0, now)
        self.upkeep.tick(now)

    def _advance(self, now):
        """Let time pass up to `now`. A clock that runs backwards stands still."""
        passed = ticks_diff(now, self.now)
        self.now = now
        if passed > 0:
            passed += self._uptime_ms
            self._uptime_ms = passed % 1000
            if passed >= 1000:
                self.uptime += passed // 1000
                if self.uptime >= self.tokens.until:
                    self.tokens.rotate(self.uptime)
                if self._lookups:
                    self.has_steps = True  # a full heap may have ended one half done

    def work(self):
        """A step of a lookup, or a slice of public-key work. True while more can be done at once; an answer that waits is to
        be sent first."""
        agreements = self.agreements
        if self.has_steps:
            self._step()
            return self.has_steps or not agreements.is_idle and agreements.is_ready(self.now)
        if agreements.is_idle:
            return False
        if self.responder.kind:
            return True  # its end might cause another
        subject = agreements.step(self.now)
        if subject is not None:
            self.count(_AGREEMENTS)
            if not isinstance(subject, Deferred):
                self.requests.agreed(subject, agreements.pair)
            else:
                # A kept datagram is in hand again, now with the key of its sender.
                d = self.codec
                d.lay_out(subject.buf, len(subject.buf))
                d.ip = subject.ip
                d.scope = scope(d.ip)
                d.port = subject.port
                d.key = subject.key
                self.responder.on_agreed(agreements.pair)
            self.has_steps = True
        return self.has_steps or agreements.is_ready(self.now)
