"""Joining and staying joined: first contacts, refresh, and the way back after an outage (docs/protocol.md 3, rows D20, D21,
D26, D29). Pure.

A node knows three kinds of contacts before it knows anyone: bootstrap and permanent nodes (anchors, asked again for ever),
seeds saved from an earlier life, and the senders of beacons. The last two are hints: asked once, and proven like anyone.
Later, peers whose session was cut off are asked for, too: they may be all that is left to know of a part of the mesh.

    no live node: ask all contacts, send a beacon; again each 5 s, after half a minute doubled up to 5 min
    a contact answered: self lookup; while it finds fewer nodes than a full result, again after 1 s, doubled
    full result: again after 3.5 s, ever later, while it has somebody new or somebody is silent: others join at the same
        time, and datagrams are lost; else after 2.5 min; where nobody is new then, each 20-40 min
    after each self lookup: pings to whom it named beside, and a lookup into the sparsest bucket
"""

from .compat import const, ticks_add, ticks_diff
from .wire import same

_SELF = const(1)  # purposes of lookups
_RANDOM = const(2)
_TO_JOIN = const(3)  # see requests.py
_NEW = const(1)  # see lookup.py
_FAILED = const(4)

_ALONE = const(4)  # the event, see discovery.py
_ALONE_MS = const(156)
_ALONE_MIN_MS = const(5000)
_ALONE_MAX_MS = const(300000)
_RAMP_MS = const(1000)
_SETTLE_MS = const(3500)
_READY_MS = const(10000)  # from then on inbound nodes are admitted even if nobody answered
_HINTS = const(12)
_BEACONS = const(4)
_BEACON_DELAY_MS = const(5000)
_ENOUGH = const(8)  # live entries with which beacons are ignored
_YOUNG_S = const(60)  # uptime during which silent contacts are asked again and again: all start at once, or the link is bad
_RETRY_MS = const(1000)
_AGAIN_MS = const(2000)  # before a node that was silent in the lookup of a young table is pinged again
_SENDER = const(18)  # in a datagram
_BUCKET = const(66)  # in a table record
_ANSWERS = const(3)  # after which a missed peer is asked no more


class Anchor:
    """A bootstrap or permanent node, `id` None: not known yet. A missed peer (missed.py) is asked `left` times more."""

    def __init__(self, id32, ip, port, now):
        self.id = id32
        self.left = 0
        self.ip = ip
        self.port = port
        self.is_missing = True
        self.is_asked = False  # a request is running
        self.due = now


class Upkeep:
    """See the module. `node` is the Discovery that is kept joined."""

    def __init__(self, node, profile, now):
        self._node = node
        self._result = profile.lookup_result
        self._anchor_ms = profile.bootstrap_ping_s * 1000
        self._refresh_ms = profile.refresh_min_s * 1000
        self._refresh_span_s = profile.refresh_max_s - profile.refresh_min_s
        self._sends_beacons = profile.beacon
        self.anchors = []
        self.found = None  # a missed peer answered: for whoever has sessions
        self._hints = []  # [id, ip, port, due, is_beacon]
        self._start = now
        self._begin_at = self._refresh_at = ticks_add(now, profile.start_ms * node.rng(1)[0] >> 8)
        self._alone_ms = _ALONE_MS
        self._ramp_ms = _RAMP_MS
        self._is_settled = False
        self._settle_ms = _SETTLE_MS
        self._rest = ()  # of what follows a self lookup, part by part
        self._news = 0  # of the last self lookup, see lookup.py
        self._buckets = profile.buckets
        self._half = profile.k >> 1
        self.is_ready = False  # the table is initialised (row D26)
        self.is_joined = False  # a self lookup has ended with somebody
        self.has_beacon = False  # one is to be sent

    def random_ms(self, limit):
        """A random number below `limit` (up to 2**22)."""
        two = self._node.rng(2)
        return limit * (two[0] << 8 | two[1]) >> 16 if limit < 16384 else (limit >> 8) * two[0]

    # Contacts

    def add_anchor(self, ip, port, id32, now):
        self.anchors.append(Anchor(id32, ip, port, self._refresh_at))

    def add_hint(self, id32, ip, port, now, is_beacon=False):
        """A node that may be asked; nothing is believed about it. False: known, or no room. Who is to be asked later than it
        makes room for it, except for a beacon."""
        beacons = 0
        last = None
        for hint in self._hints:
            beacons += hint[4]
            if hint[0] == id32:
                return False
            if last is None or ticks_diff(hint[3], last[3]) > 0:
                last = hint
        if is_beacon and beacons >= _BEACONS:
            return False
        due = now
        if is_beacon:
            due = ticks_add(now, self.random_ms(_BEACON_DELAY_MS))
        elif ticks_diff(self._begin_at, now) > 0:
            due = self._begin_at
        if len(self._hints) >= _HINTS:
            if is_beacon or ticks_diff(last[3], due) <= 0:
                return False
            self._hints.remove(last)
        self._hints.append([id32, ip, port, due, is_beacon])
        return True

    def on_beacon(self, d):
        """A BEACON is in hand: somebody of this mesh may be near, or somebody replays it."""
        node = self._node
        if node.site.is_onlink(d.ip) and node.table.live() < _ENOUGH and not self._knows(d.buf, _SENDER):
            self.add_hint(bytes(d.buf[_SENDER : _SENDER + 32]), d.ip, d.port, node.now, True)

    def _knows(self, buf, at):
        """Whether the id buf[at:at+32] has an entry."""
        record = self._node.table.find(buf, at, 32)
        return record >= 0 and self._node.table.is_entry(record)

    def ended(self, request, is_answered):
        """A contact answered, or did not; or one that a lookup met for the first time did not."""
        anchor = request.about if request.why == _TO_JOIN else None
        if anchor is not None:
            anchor.is_asked = False
            if not is_answered:
                anchor.is_missing = True
                return
            anchor.id = bytes(request.peer[:32])
            if anchor.is_missing or not self.is_joined:
                self._refresh_at = self._node.now
                self._is_settled = False  # others may have been away with it
                self._settle_ms = _SETTLE_MS
            anchor.is_missing = False
            if anchor.left:
                anchor.left = min(anchor.left, _ANSWERS)
                self.found = anchor
            else:
                anchor.due = ticks_add(self._node.now, self._refresh_ms)
        elif not is_answered:
            uptime = self._node.uptime
            if self.is_joined and uptime < _YOUNG_S:
                # Later and later: it may be silent because too many ask.
                self._again(bytes(request.peer[:32]), request.ip, request.port, max(_AGAIN_MS, 500 * uptime))
        elif not self.is_joined:
            self._refresh_at = self._node.now

    def _again(self, id32, ip, port, wait=_AGAIN_MS):
        """Ping a node soon that was silent: on a bad link one silence says little."""
        self.add_hint(id32, ip, port, ticks_add(self._node.now, wait))

    def lost(self, table, record):
        """An entry leaves the table because it did not answer."""
        if not self._is_settled:
            pool = table.pool
            port = pool[record + 56] << 8 | pool[record + 57]
            self._again(bytes(pool[record : record + 32]), table.ip(record), port)
        for anchor in self.anchors:
            if anchor.id is not None and same(table.pool, record, anchor.id, 0, 32):
                anchor.is_missing = True
                anchor.due = ticks_add(self._node.now, self._anchor_ms)

    # Lookups

    def lookup_ended(self, lookup):
        """A lookup that this module started has ended. What follows, `step` does."""
        if lookup.purpose == _SELF:
            self._rest = self._learn(lookup)

    def step(self):
        """Do a part of what follows a lookup. False: there was nothing."""
        for _ in self._rest:
            return True
        self._rest = ()
        return False

    def _learn(self, lookup):
        """What follows a self lookup, a generator: together it takes a board 17 ms."""
        node = self._node
        results = lookup.results()
        found = len(results)
        self.is_ready = True
        if found:
            self.is_joined = True
            self._alone_ms = _ALONE_MS
        if found < self._result:
            wait = self._ramp_ms
            self._ramp_ms = min(2 * wait, self._refresh_ms)
            wait += self.random_ms(wait >> 2)
        elif not self._is_calm(lookup):
            wait = self._settle_ms
            self._settle_ms = 2 * wait
            wait += self.random_ms(wait >> 1)
        else:
            self._ramp_ms = _RAMP_MS
            two = node.rng(2)
            wait = self._refresh_ms + (self._refresh_span_s * (two[0] << 8 | two[1]) >> 16) * 1000
        if ticks_diff(self._refresh_at, node.now) > 0:
            self._refresh_at = ticks_add(node.now, wait)
        yield
        if not self._is_settled:
            for silent in lookup.results(_FAILED):
                self._again(silent[0], silent[1], silent[2])
        # A ping costs a third of a query: it is how the table gets the rest of its surroundings.
        for named in lookup.results(_NEW):
            self.add_hint(named[0], named[1], named[2], node.now)
        lookup = None  # the next one may need its memory
        yield
        sparse = self._sparse() if found >= self._result or node.uptime < _YOUNG_S else None
        if sparse is not None:
            yield
            node.look_up(sparse, True, _RANDOM)

    def _sparse(self):
        """A random target in the bucket with fewest live entries, of those beyond the nearest nodes, which a self lookup
        finds; None if all are half full. A table without anybody there cannot tell others the way."""
        node = self._node
        table = node.table
        counts = [0] * self._buckets
        for record in range(0, len(table.pool), table.step):
            if table.is_live(record):
                counts[table.pool[record + _BUCKET]] += 1
        left = self._result
        sparse = -1 if self._is_settled else self._buckets - 1
        least = self._half
        for bucket in range(self._buckets):
            if left <= 0 and counts[bucket] < least:
                sparse = bucket
                least = counts[bucket]
            left -= counts[bucket]
        if sparse < 0:
            return None
        target = bytearray(node.rng(32))
        same_bits = self._buckets - 1 - sparse  # as the own id has; the next one differs, the rest is random
        for i in range(16):
            bit = 0x80 >> (i & 7)
            if i <= same_bits:
                own = node.own_id[i >> 3] & bit
                target[i >> 3] = target[i >> 3] & ~bit | (own if i < same_bits else own ^ bit)
        return target

    def _is_calm(self, lookup):
        """Whether the young table has settled: a self lookup, other than the first, met no silence and nobody near of whom
        the table did not know, and one minutes later neither; or one that comes minutes after the one before. Others join
        all the time in a mesh that grows; who is new near here asks this node, and is known by that. Some never get an entry
        (row D6): the same ones again are nothing new."""
        news = lookup.news()
        if self._settle_ms > _SETTLE_MS and (not news or news == self._news) and not lookup.results(_FAILED):
            self._is_settled = self._settle_ms >= self._refresh_ms >> 3
            self._settle_ms = max(self._settle_ms, self._refresh_ms >> 3)
        if self._settle_ms >= self._refresh_ms:
            self._is_settled = True
        self._news = news
        return self._is_settled

    # Time

    def next_time(self, best):
        """The earlier of `best` (ticks or None) and what is due here."""
        if best is None or ticks_diff(self._refresh_at, best) < 0:
            best = self._refresh_at
        for anchor in self.anchors:
            if not anchor.is_asked and ticks_diff(anchor.due, best) < 0:
                best = anchor.due
        if not self._node.requests.has_room():
            return best  # the end of a request is soon enough for a hint
        for hint in self._hints:
            if ticks_diff(hint[3], best) < 0:
                best = hint[3]
        return best

    def tick(self, now):
        """Do what is due."""
        if not self.is_ready and (not (self.anchors or self._hints) or ticks_diff(now, self._start) >= _READY_MS):
            self.is_ready = True  # there is nobody to ask, or nobody answers
        for anchor in self.anchors:
            if ticks_diff(now, anchor.due) >= 0 and not anchor.is_asked:
                self._ask_anchor(anchor, now)
        for hint in self._hints:
            if ticks_diff(now, hint[3]) >= 0:
                self._ask_hint(hint, now)
                break
        if ticks_diff(now, self._refresh_at) >= 0:
            self._refresh(now)

    def _ask_anchor(self, anchor, now):
        node = self._node
        anchor.due = ticks_add(now, self._anchor_ms)
        if anchor.left:
            anchor.due = ticks_add(anchor.due, self.random_ms(2 * self._anchor_ms))  # not all at once
            anchor.left -= 1
            if not anchor.left:
                return self.anchors.remove(anchor)
        elif anchor.id is not None:
            record = node.table.find(anchor.id, 0, 32)
            if record >= 0 and node.table.is_live(record):
                anchor.is_missing = False
                return
        if node.requests.begin(_TO_JOIN, anchor.id, 0, anchor.ip, anchor.port, anchor) is None:
            anchor.due = ticks_add(now, _RETRY_MS)
        else:
            anchor.is_asked = True

    def _ask_hint(self, hint, now):
        node = self._node
        is_known = self._knows(hint[0], 0) or (hint[4] and node.table.live() >= _ENOUGH)
        if is_known or node.requests.begin(_TO_JOIN, hint[0], 0, hint[1], hint[2]) is not None:
            self._hints.remove(hint)
        else:
            hint[3] = ticks_add(now, _RETRY_MS >> 2)

    def _refresh(self, now):
        node = self._node
        table = node.table
        if table.closest(node.own_id, table.found, 1):
            # At the end of the lookup the time is set anew; this one counts if no lookup is free.
            self._refresh_at = ticks_add(now, _ALONE_MIN_MS)
            node.look_up(node.own_id, True, _SELF)
            return
        self.is_joined = self._is_settled = False
        self._ramp_ms = _RAMP_MS
        self._settle_ms = _SETTLE_MS
        wait = self._alone_ms
        self._alone_ms = min(2 * wait, _ALONE_MAX_MS)
        wait = max(wait, _ALONE_MIN_MS)
        self._refresh_at = ticks_add(now, wait + self.random_ms(wait >> 2))
        for anchor in self.anchors:
            if ticks_diff(anchor.due, now) > 0 and anchor.is_missing:
                anchor.due = now
        self.has_beacon = self._sends_beacons
        node.event((_ALONE,))
