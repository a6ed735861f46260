"""The discovery engine: a node of the mesh as seen over UDP (docs/protocol.md sections 2 and 3). Pure, without I/O.

Three inputs drive it: the user's `find` and `add_*`, datagrams through `receive`, and time through `tick`. Whoever drives
it does, after each of them: `work` while it returns True (public-key slices, other things between them), `to_send` until
it returns 0, `next_event` until None, and then sleeps until `next_time`. Time is 30-bit millisecond ticks; ages are seconds
of uptime, counted here from tick differences. Nothing here knows a wall clock.

It never raises on what a peer sent: a datagram that is not right is dropped and counted (counters.py).
"""

from .address import Site, is_open_port, may_name, scope, unwrap
from .agreement import Agreements, Deferred
from .compat import const, ticks_add, ticks_diff
from .counters import NAMES
from .datagram import Codec, encode_beacon, request_id_of
from .identity import is_valid_id
from .lookup import Lookup
from .outside import Outside
from .paircache import PairCache
from .requests import Requests
from .responder import Responder
from .revalidation import Revalidation
from .table import Table
from .tokens import Tokens
from .upkeep import Upkeep
from .wire import copy, same, u16

# Events: (kind, ...)
ADDED = 1  # (ADDED, id): a node has an entry in the table
REMOVED = 2  # (REMOVED, id)
LOOKUP_DONE = 3  # (LOOKUP_DONE, lookup)
ALONE = 4  # (ALONE,): no live node is known; seeds may be added again
OUTSIDE = 5  # (OUTSIDE, ip or None, port): the predicted outside address changed

# Indices of counters.NAMES.
_RECEIVED = const(0)
_OWN_ID = const(6)
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

_PING = const(1)
_PONG = const(2)
_FIND_NODE = const(3)
_NEIGHBORS = const(4)
_BEACON = const(5)

_PAIR = const(32)  # in a table record
_TOKEN = const(48)
_TCP = const(58)
_FLAGS = const(64)

_HAS_TOKEN = const(0x10)  # flags of a table record
_FORGETS = const(0x20)
_LOWER_EPOCH = const(0x40)
_FOR_LOOKUP = const(1)  # why a request is made, see requests.py
_TO_REVALIDATE = const(2)
_TO_JOIN = const(3)
_TO_MOVE = const(4)
_INVALID = const(0)  # see address.scope
_LOOPBACK = const(1)
_GLOBAL = const(3)
_FRESH = const(4)  # times 4 s: an entry proven since then is not doubted for one lost answer
_EVENTS = const(32)


class Discovery:
    """See the module. `ip`, `port`: the own address as peers on the same network see it; `prefix`: its network's bits."""

    def __init__(
        self, profile, identity, membership, rng, now, ip, port, tcp_port=0, capabilities=0, prefix=0
    ):
        profile.check()
        self.rng = rng  # rng(n): n random bytes
        self.now = now
        self.uptime = 0  # seconds
        self._uptime_ms = 0
        self.own_id = identity.id
        self.membership = membership
        self.port = port
        self.tcp_port = tcp_port
        self.capabilities = capabilities
        self.site = Site(ip, prefix)
        self.counts = [0] * len(NAMES)
        self.table = Table(self.own_id, profile, rng)
        self.cache = PairCache(profile.pair_cache)
        self.codec = Codec(membership, self.own_id, profile.repeats)
        self.tokens = Tokens(rng, profile.token_s)
        self.agreements = Agreements(identity, profile, now)
        self.requests = Requests(self, profile)
        self.responder = Responder(self, profile, now)
        self.revalidation = Revalidation(profile, rng, now)
        self.outside = Outside()
        self.upkeep = Upkeep(self, profile, now)
        self._lookups = [Lookup(profile) for _ in range(profile.lookups)]
        self._next_lookup = 0
        self._events = []
        self._id = bytearray(32)
        self._ip = bytearray(4)
        self._per_answer = profile.neighbors_per_answer
        self._request_id = bytearray(4)
        self._found = [0] * profile.lookup_result
        self._is_driving = False
        self.to_ip = None  # where the datagram that `to_send` wrote goes
        self.to_port = 0
        self.beacon_ip = b"\xff\xff\xff\xff"
        self.beacon_port = port

    # What the user asks

    def add_bootstrap(self, ip, port, id32=None):
        """Ask at this address for the mesh, for as long as the node lives. Without an id the peer must be a bootstrap node;
        with one it may be any permanent peer."""
        self.upkeep.add_anchor(unwrap(ip), port, id32, self.now)

    def add_seed(self, id32, ip, port):
        """A node known from an earlier life (nodedb.py). False: refused, or no room. It is believed no more than a
        neighbor that a stranger names."""
        ip = unwrap(ip)
        if not is_valid_id(id32) or id32 == self.own_id or not self._may_contact(_LOOPBACK, ip, port):
            return False
        return self.upkeep.add_hint(id32, ip, port, self.now)

    def find(self, target32, now, full=False):
        """Look for the node `target32`, or with `full` for the nodes closest to it. Returns the Lookup, whose LOOKUP_DONE
        event follows and which then holds until the next `find`; None: as many as the profile allows are running."""
        self._advance(now)
        return self.look_up(target32, full)

    def set_address(self, ip, port, prefix=0):
        """The interface got another address."""
        self.site = Site(ip, prefix)
        self.port = port
        self.outside = Outside()

    def contact(self, id32):
        """(ip, UDP port, TCP port) of a live node of the table, or None. The TCP port is the one that it named itself."""
        record = self.table.find(id32, 0, 32)
        if record < 0 or not self.table.is_live(record):
            return None
        pool = self.table.pool
        return self.table.ip(record), u16(pool, record + 56), u16(pool, record + _TCP)

    def nodes(self):
        """The ids of the live table entries."""
        table = self.table
        live = []
        for record in range(0, len(table.pool), table.step):
            if table.is_live(record):
                live.append(bytes(table.pool[record : record + 32]))
        return live

    def stats(self):
        """Counters and gauges by name."""
        values = {}
        for i in range(len(NAMES)):
            values[NAMES[i]] = self.counts[i]
        values["uptime"] = self.uptime
        values["entries"] = self.table.entries
        values["live"] = self.table.live()
        values["joined"] = int(self.upkeep.is_joined)
        return values

    # Datagrams in

    def receive(self, buf, n, ip, port, now):
        """Take in the datagram buf[0:n], decrypting it in place, from ip (4 or 16 bytes): port."""
        self._advance(now)
        counts = self.counts
        counts[_RECEIVED] += 1
        counts[_BYTES_RECEIVED] += n
        codec = self.codec
        ip = unwrap(ip)
        if not is_open_port(port) or scope(ip) == _INVALID:
            counts[_BAD_SOURCE] += 1
            return
        dropped = codec.open(buf, n)
        if dropped:
            counts[dropped] += 1
        elif same(buf, codec.sender, self.own_id, 0, codec.sender_n):
            counts[_OWN_ID] += 1
        elif codec.type == _PING or codec.type == _FIND_NODE:
            self.responder.on_request(buf, n, ip, port)
        elif codec.type == _BEACON:
            if self.responder.take_other():
                self.upkeep.on_beacon(buf, ip, port)
        else:
            self._on_answer(buf, n, ip, port)

    def _on_answer(self, buf, n, ip, port):
        """A PONG or NEIGHBORS: only what was asked for, by request id, address, peer id, type and pair tag."""
        codec = self.codec
        request_id_of(buf, self._request_id)
        request = self.requests.match(self._request_id, ip, port)
        is_pong = codec.type == _PONG
        if (
            request is None
            or (not is_pong and request.kind != _FIND_NODE)
            or (request.has_id and not same(buf, codec.sender, request.id, 0, codec.sender_n))
        ):
            self.count(_UNASKED)
        elif not request.has_id and codec.is_full and codec.is_tagged:
            self._on_stranger(request, buf, n, ip, port)
        elif not codec.is_tagged:
            if request.kind == _PING and not request.is_answered and self.requests.repeat(request):
                # No room for our key agreement yet, but a token: with it the PING goes before others.
                copy(request.token, 0, buf, self._token_at(), 8)
                request.has_token = True
        elif not codec.is_paired(buf, request.pair):
            self.count(_WRONG_TAG)
        elif is_pong:
            self._on_pong(request, buf, ip)
        else:
            self._on_neighbors(request, buf, ip)

    def _on_stranger(self, request, buf, n, ip, port):
        """The first answer of a bootstrap node: it names its id, and the tag tells whether that is true."""
        copy(self._id, 0, buf, self.codec.sender, 32)
        if not is_valid_id(self._id):
            self.count(_BAD_RECORD)
            return
        if self.requests.find(self._id, 0) is None and self.agreements.defer_answer(
            request, buf, n, self.codec.key, ip, port, self.now
        ):
            request.due = ticks_add(self.now, 15000)
            copy(request.id, 0, self._id, 0, 32)

    def _token_at(self):
        """The offset of the token in an opened PONG."""
        return self.codec.body + (18 if self.codec.is_ipv6 else 6)

    def _on_pong(self, request, buf, ip):
        """A PONG under the right pair tag: the peer lives, and what it says of our address decides whether it is proven."""
        codec = self.codec
        token = self._token_at()
        copy(request.token, 0, buf, token, 8)
        request.has_token = True
        if request.kind == _FIND_NODE:  # our token was too old for it
            record = self.table.find(request.id, 0, 32)
            if record >= 0:
                copy(self.table.pool, record + _TOKEN, request.token, 0, 8)
            if not self.requests.repeat(request):
                self.requests.end(request, False)
            return
        if not self._is_own_address(ip, unwrap(bytes(buf[codec.body : token - 2])), u16(buf, token - 2)):
            self.count(_SEEN_ELSEWHERE)
            request.misses = -1
            self.requests.end(request, False)
            return
        self._proven(request, u16(buf, token + 8), codec.key is not self.membership.highest)
        if request.lookup is None or not request.lookup.wants(request.candidate):
            self.requests.end(request, True)
        else:
            request.lookup.pool[request.candidate + 36] |= 0x40  # it lives, whatever becomes of the rest
            self.requests.ask(request)

    def _is_own_address(self, ip, seen_ip, seen_port):
        """Whether the address that the peer `ip` saw can be ours. A relay between us would show its own."""
        if scope(ip) == _LOOPBACK:
            return seen_port == self.port
        if self.site.is_onlink(ip):
            return seen_ip == self.site.ip and seen_port == self.port
        if scope(ip) != _GLOBAL:
            return True
        if self.outside.state(ip, seen_ip, seen_port, self.uptime):
            self.event((OUTSIDE, self.outside.ip, self.outside.port))
        return self.outside.agrees(seen_ip, seen_port)

    def _proven(self, request, tcp_port, is_lower):
        """The peer of this request answered our PING."""
        table = self.table
        pool = table.pool
        at = self.prove(request.id, 0, request.pair, 0, request.ip, request.port, False)
        if at < 0 or not table.is_entry(at):
            self.cache.insert(request.id, 0, request.pair, self.uptime)
        if at >= 0:
            copy(pool, at + _TOKEN, request.token, 0, 8)
            pool[at + _TCP] = tcp_port >> 8
            pool[at + _TCP + 1] = tcp_port & 0xFF
            flags = pool[at + _FLAGS] & ~_LOWER_EPOCH | _HAS_TOKEN
            if is_lower:
                flags |= _LOWER_EPOCH
            if not request.has_id or (request.is_full and not request.is_first):
                flags |= _FORGETS  # it has no key of ours: the next word carries the whole id
            pool[at + _FLAGS] = flags
        request.tcp_port = tcp_port
        request.is_full = not request.has_id
        request.has_id = True

    def _on_neighbors(self, request, buf, ip):
        """One part of an answer to our FIND_NODE."""
        codec = self.codec
        at = codec.body
        part = buf[at] >> 4
        total = buf[at] & 15
        if not 1 <= total <= 2 or part >= total or request.parts & (1 << part):
            self.count(_BAD_RECORD)
            return
        lookup = request.lookup
        request.parts |= 1 << part
        at += 1
        records = 11
        while records and at + 41 <= codec.end:
            size = 53 if buf[at] & 1 else 41
            if at + size > codec.end:
                break
            self._on_record(lookup, request, buf, at, size, scope(ip))
            target = lookup.target
            key = (buf[at + 1] ^ target[0]) << 16 | (buf[at + 2] ^ target[1]) << 8 | buf[at + 3] ^ target[2]
            request.last = max(request.last, key)
            request.records += 1
            at += size
            records -= 1
        if request.parts == (1 << total) - 1:
            # Fewer than there was room for: there is nobody farther.
            last = request.last if request.records >= self._per_answer else 0x1000000
            lookup.covered(request.candidate, request.beyond, last)
            self.requests.end(request, True)

    def _on_record(self, lookup, request, buf, at, size, namer_scope):
        """One named neighbor: hearsay. It may become a candidate, never an entry."""
        copy(self._id, 0, buf, at + 1, 32)
        if size == 41:
            ip = self._ip
            copy(ip, 0, buf, at + 33, 4)
        else:
            ip = unwrap(bytes(buf[at + 33 : at + 49]))
        port = u16(buf, at + size - 4)
        if not is_valid_id(self._id) or not self._may_contact(namer_scope, ip, port):
            self.count(_BAD_RECORD)
        elif self._id != self.own_id:
            lookup.offer(self._id, 0, ip, port, u16(buf, at + size - 2), buf[at], request.candidate)

    def _may_contact(self, namer_scope, ip, port):
        """Whether an address that a peer named may get a datagram from us."""
        return (
            is_open_port(port)
            and may_name(namer_scope, scope(ip))
            and not self.site.is_broadcast(ip)
            and not (port == self.port and ip == self.site.ip)
            and (len(ip) == 4 or self.table.step > 72)
        )

    # Proof, and what follows from it

    def prove(self, buf, at, pair, pair_at, ip, port, is_inbound):
        """The id buf[at:at+32] has proven the endpoint ip:port, by answering our PING or by a pair-tagged datagram with our
        token. Returns its table record, or -1: no room, or it is known at another address."""
        table = self.table
        record = table.find(buf, at, 32)
        if record >= 0:
            if not table.is_at(record, ip, port):
                self._move(record, ip, port)
                return -1
            table.credit(record, self.uptime, 0 if is_inbound else 1)
            self.revalidation.forget(record)
            return record
        if is_inbound and not self.upkeep.is_ready:
            return -1
        record = table.admit(buf, at, ip, port, self.uptime)
        if record >= 0:
            copy(table.pool, record + _PAIR, pair, pair_at, 16)
            table.credit(record, self.uptime)
            if table.is_entry(record):
                self.event((ADDED, bytes(table.pool[record : record + 32])))
        return record

    def _move(self, record, ip, port):
        """A known node proved another address. The old one is asked first: two silences, and the entry moves."""
        table = self.table
        if not table.is_entry(record):
            return
        request = self.requests.begin(_TO_MOVE, table.pool, record, None, 0)
        if request is not None:
            request.new_ip = ip
            request.new_port = port

    def _moved(self, record, request):
        table = self.table
        table.set_address(record, request.new_ip, request.new_port)
        table.pool[record + _FLAGS] &= ~_HAS_TOKEN
        table.credit(record, self.uptime, 0)

    def _remove(self, record):
        """Give up an entry; a replacement that moves up is asked soon."""
        table = self.table
        self.event((REMOVED, bytes(table.pool[record : record + 32])))
        self.upkeep.lost(table, record)
        self.revalidation.forget(record)
        risen = table.remove(record)
        if risen >= 0:
            self.event((ADDED, bytes(table.pool[risen : risen + 32])))
            self.revalidation.suspect(risen, 0, self.now)

    def ended(self, request, is_answered):
        """A request is over (called by requests.py)."""
        table = self.table
        record = table.find(request.id, 0, 32) if request.has_id else -1
        is_blamed = not is_answered and request.misses >= 0
        if is_blamed:
            self.count(_MISSES)
        why = request.why
        if why == _FOR_LOOKUP:
            request.lookup.ended(request.candidate, is_answered)
            if is_blamed and request.is_first:
                self.upkeep.failed(request)
            if record >= 0 and request.kind == _FIND_NODE and is_answered:
                table.find_answered(record)
                table.pool[record + _FLAGS] &= ~_FORGETS
                table.credit(record, self.uptime)
                self.revalidation.forget(record)
        elif why == _TO_JOIN:
            if is_answered:
                self.upkeep.answered(request)
            else:
                self.upkeep.failed(request)
        if record >= 0 and is_blamed:
            self._missed(request, record)
        self._drive()

    def _missed(self, request, record):
        """The peer of an ended request, which has a table record, did not answer."""
        table = self.table
        why = request.why
        if why == _TO_MOVE:
            self._moved(record, request)
        elif why == _TO_REVALIDATE and table.is_entry(record):
            misses = table.miss(record)
            if misses:
                self.revalidation.suspect(record, misses, self.now)
            else:
                self._remove(record)
        elif why == _FOR_LOOKUP and not request.is_first:
            if table.find_failed(record):
                self._remove(record)
            elif table.is_entry(record) and table.age(record, self.uptime) >= _FRESH:
                self.revalidation.suspect(record, 0, self.now)

    # Lookups

    def look_up(self, target32, is_full, purpose=0):
        """Start a lookup; None: none is free, or upkeep wants a second one: after the first minute that is the user's."""
        lookup = None
        lookups = self._lookups
        for i in range(len(lookups)):
            each = lookups[(self._next_lookup + i) % len(lookups)]
            if each.is_running:
                if purpose and each.purpose and (each.purpose == purpose or self.uptime >= 60):
                    return None
            elif lookup is None:
                lookup = each
                chosen = i
        if lookup is None:
            return None
        self._next_lookup = (self._next_lookup + chosen + 1) % len(lookups)
        lookup.start(target32, is_full, purpose)
        table = self.table
        pool = table.pool
        for i in range(table.closest(lookup.target, self._found, len(self._found))):
            at = self._found[i]
            lookup.offer(pool, at, table.ip(at), u16(pool, at + 56), u16(pool, at + _TCP), pool[at + _FLAGS])
        self._drive()
        return lookup

    def _drive(self):
        """Let the lookups ask on, and end those that are done."""
        if self._is_driving:
            return  # called from within: the loop below sees it
        self._is_driving = True
        for lookup in self._lookups:
            while lookup.is_running:
                at = lookup.next()
                if at == -2:
                    self._end_lookup(lookup)
                elif at < 0 or not self._ask(lookup, at):
                    break
        self._is_driving = False

    def _ask(self, lookup, at):
        pool = lookup.pool
        flags = pool[at + 36]
        ip = bytes(pool[at + 40 : at + (56 if flags & 1 else 44)])
        port = u16(pool, at + 32)
        is_ping = not lookup.wants(at)
        if self.requests.begin(_FOR_LOOKUP, pool, at, ip, port, lookup, at, is_ping) is None:
            return False
        pool[at + 37] = 2  # asked
        return True

    def _end_lookup(self, lookup):
        lookup.is_running = False
        self.requests.drop(lookup)
        if lookup.purpose:
            self.upkeep.lookup_ended(lookup)
        else:
            self.event((LOOKUP_DONE, lookup))

    # Datagrams out, events, counters

    def to_send(self, out):
        """Write the next datagram to `out` (512 bytes), its destination to `to_ip`, `to_port`. Returns its size, or 0."""
        written = self.responder.write(out) or self.requests.write(out)
        if written is not None:
            to, n = written
            self.to_ip = to.ip
            self.to_port = to.port
        elif self.upkeep.has_beacon:
            self.upkeep.has_beacon = False
            key = self.membership.highest
            n = encode_beacon(self.codec, out, self.rng(4), key, self.tcp_port, self.capabilities)
            self.to_ip = self.beacon_ip
            self.to_port = self.beacon_port
        else:
            return 0
        self.counts[_SENT] += 1
        self.counts[_BYTES_SENT] += n
        return n

    def next_event(self):
        """The oldest event that was not fetched, or None."""
        return self._events.pop(0) if self._events else None

    def event(self, event):
        """Queue an event; one too many is lost and counted."""
        if len(self._events) < _EVENTS:
            self._events.append(event)
        else:
            self.count(_EVENTS_LOST)

    def alone(self):
        """No live node is left."""
        self.event((ALONE,))

    def count(self, what):
        """Count one of counters.py."""
        self.counts[what] += 1

    # Time and work

    def next_time(self):
        """The tick at which `tick` must be called at the latest; never None: something always comes."""
        if self.requests.has_ready() or self.responder.has_answer() or self.upkeep.has_beacon:
            return self.now
        best = self.requests.next_time(None)
        best = self.revalidation.next_time(best)
        best = self.upkeep.next_time(best)
        wait = self.agreements.wait_ms(self.now)
        if wait >= 0 and ticks_diff(ticks_add(self.now, wait), best) < 0:
            best = ticks_add(self.now, wait)
        return best

    def tick(self, now):
        """Do what is due at `now`."""
        self._advance(now)
        self.requests.tick(now)
        while True:
            record = self.revalidation.run(self.table, now, self.uptime)
            if record < 0:
                break
            self._revalidate(record)
        self.upkeep.tick(now)
        self._drive()

    def _revalidate(self, record):
        table = self.table
        if table.is_entry(record) and self.requests.begin(_TO_REVALIDATE, table.pool, record, None, 0) is None:
            # Busy, or this very node is being asked: a little later, then.
            self.revalidation.suspect(record, 0, self.now)

    def _advance(self, now):
        """Let time pass up to `now`. A clock that runs backwards stands still."""
        passed = ticks_diff(now, self.now)
        self.now = now
        if passed > 0:
            self._uptime_ms += passed
            self.uptime += self._uptime_ms // 1000
            self._uptime_ms %= 1000
            self.tokens.rotate(self.uptime)

    def work(self):
        """One slice of public-key work. True while more can be done at once."""
        agreements = self.agreements
        subject = agreements.step(self.now)
        if subject is not None:
            self.count(_AGREEMENTS)
            pair = agreements.pair
            if not isinstance(subject, Deferred):
                self.requests.agreed(subject, pair)
            elif subject.n:
                if subject.request is None:
                    self.responder.on_agreed(subject, pair)
                else:
                    self._on_stranger_agreed(subject, pair)
                agreements.release(subject)
            self._drive()
        return agreements.is_ready(self.now)

    def _on_stranger_agreed(self, slot, pair):
        """The key for a bootstrap node's first answer is there."""
        request = slot.request
        slot.request = None
        self.codec.reopen(slot.buf, slot.n, slot.key)
        if pair is None or not self.codec.is_paired(slot.buf, pair):
            self.count(_WRONG_TAG)
            return
        copy(request.pair, 0, pair, 0, 16)
        request.has_pair = True
        self._on_pong(request, slot.buf, slot.ip)
