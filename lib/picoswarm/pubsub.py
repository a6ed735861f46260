"""Publish/subscribe among peers: the reactor on channel 2 (docs/protocol.md 7.2, rows L30, A28). Pure, without I/O.

Each peer is told the filters of this node and tells its own. A message goes to the peers whose filters match, and a node
that wants it for itself passes it on, once: a ring of ids knows what was seen. The last messages are kept for 10 s and owed
to every peer that wants them, also to one that connects, subscribes or has room in its queue only then. So what is
published while nobody is there still goes out, and a full queue delays a message before it costs one.

Whoever drives it sets `now` before any call that takes no time; after each calls `checks.step` (unless `checks` is None)
while it returns True, `next_event` until it returns None, and `tick` at `next_time`. Subscribing is the business of
topics.py, signatures that of signing.py.
"""

from .budget import Budget
from .channel import Channel, Reactor
from .compat import const, sha256, ticks_add, ticks_diff
from .identity import is_valid_id
from .wire import copy, same

# Indices of counters.py.
_RECEIVED = const(0)
_REPEATED = const(1)
_FLOODED = const(2)  # beyond the budget of the peer
_BAD = const(3)  # a topic or an origin that nobody can have
_UNSIGNED = const(4)  # where only signed messages are wanted; _FORGED (5) is counted by signing.py
_UNCHECKED = const(6)  # signed, but too many wait to be checked
_OVERFLOWED = const(7)  # not fetched in time
_SENT = const(8)  # copies, to peers
_STALLED = const(9)  # copies that met a full queue
_LATE = const(10)  # of those, still owed when they were dropped
_UNSENT = const(11)  # own messages that no peer took in time
_FILTERS_REFUSED = const(12)
_UNWANTED = const(13)  # what nobody here subscribed to: it must not push others out of the ring

_CHANNEL = const(2)
_MALFORMED = const(11)

_HAS_SIGNATURE = const(0x80)
_HAS_ORIGIN = const(0x40)
_KIND = const(0x30)  # 0: a published message
_FILTERS = const(0x10)
_REFUSED = const(0x20)
_HOPS = const(0x0F)
# flags 1 | origin 32 | nonce 4 | length of the topic 1 | topic | payload | signature 64 or none
_TOPIC_AT = const(38)
_ORIGIN = const(32)  # may be left out
_LONGEST = const(64)  # topic, filter
_SIGNATURE = const(64)
_KEPT_MS = const(10000)
_RETRY_MS = const(25)  # where a queue was full

# What is known of a peer, a list
_PEER = const(0)
_TOLD = const(1)  # its filters: each the length (bit 7: takes signed messages only) and the text
_OWED = const(2)  # bit set: the kept messages that it shall get, and whether it shall get our filters
_GIVEN = const(3)  # bit set: the kept messages that it has
_BUDGET = const(4)
_ITS_FLOODED = const(5)
_ITS_STALLED = const(6)
_ALL = b"\x10\x01#"  # FILTERS of who hears everything
_OUR_FILTERS = const(0x1000000)  # bit, above those of all kept messages


def matches(filters, at, text, cursor):
    """Whether the filter at filters[at] (length, text) matches the topic at text[cursor], whose length stands before."""
    end = at + 1 + (filters[at] & 0x7F)
    stop = cursor + text[cursor - 1]
    while True:
        at += 1
        if at == end:
            return cursor == stop
        c = filters[at]
        if c == 35:  # "#": whatever follows
            return True
        if c == 43:  # "+": one level
            while cursor < stop and text[cursor] != 47:
                cursor += 1
        elif cursor < stop and text[cursor] == c:
            cursor += 1
        else:  # "a/#" matches "a" too
            return cursor == stop and at + 2 == end and filters[at + 1] == 35


def found(filters, text, topic_at):
    """Which filters match the topic of a message: 1 some that take unsigned messages, 2 some that do not, 3 both, 0 none."""
    result = at = 0
    while at < len(filters):
        if matches(filters, at, text, topic_at):
            result |= 1 + (filters[at] >> 7)
        at += 1 + (filters[at] & 0x7F)
    return result


def kept(filters, most):
    """How many bytes of a list of filters are kept, `most` filters and 32 * `most` bytes; -1 where it is malformed."""
    at = 0
    for _ in range(most):
        if at == len(filters):
            break
        end = at + 1 + (filters[at] & 0x7F)
        if not at + 1 < end <= min(len(filters), at + 1 + _LONGEST):
            return -1
        if end > 32 * most:
            break
        at = end
    return at


class PubSub(Reactor):
    """See the module. `counts` has the numbers of counters.py, `peers` a list for each peer: its sixth and seventh say
    how often it was flooding and how often stalled."""

    checks = None  # signing.Checks, where signed messages are subscribed to
    budget = None  # of own messages, where somebody waits to publish them; see waiting.py
    _drop_new = False

    def __init__(self, own_id, profile, rng, now, drop_new=False):
        """`rng(n)`: n random bytes. A delivery that nobody fetched makes room for a new one; `drop_new`: it stays and the
        new one is lost."""
        self.channels = (Channel(_CHANNEL, 4, 8, max(1024, profile.publish_max), profile.publish_max),)
        self.now = now
        self.peers = {}
        self.counts = [0] * 14
        self.profile = profile.kept
        self.own_id = own_id
        if drop_new:
            self._drop_new = True
        self._rng = rng
        self._seen = bytearray(8 * profile.seen)
        self._seen_at = 0
        self._kept = [None] * profile.recent  # messages as they are sent
        self._since = [now] * profile.recent
        self._newest = 0
        self._unsent = 0  # bit set: own ones that nobody got
        self._queue = []  # (message, is proven), to be fetched
        self.set_filters(b"", now)
        self._due = None

    def set_filters(self, filters, now):
        """What this node hears, in the form in which it is told; see topics.py."""
        self.filters = filters
        self._told = _ALL if self.profile.relay else b"\x10" + filters
        for state in self.peers.values():
            state[_OWED] |= _OUR_FILTERS
        self._due = now

    def compose(self, topic, payload, signed=False):
        """A message for `publish`. A signed one is to be completed: signing.sign gives the job, whose result belongs into
        the last 64 bytes. Raises LocalError for a topic that none can have, or a message beyond profile.publish_max."""
        if isinstance(payload, str):
            payload = payload.encode()
        topic = topic.encode()
        text = bytearray(_TOPIC_AT) + topic + payload + bytes(_SIGNATURE * signed)
        if not 0 < len(topic) <= _LONGEST or b"+" in topic or b"#" in topic or len(text) > self.profile.publish_max:
            from .errors import LocalError

            raise LocalError("no topic (1 to 64 bytes without + and #), or beyond publish_max")
        text[0] = signed << 7 | _HAS_ORIGIN
        copy(text, 1, self.own_id, 0, 32)
        copy(text, 33, self._rng(4), 0, 4)
        text[37] = len(topic)
        return text

    def publish(self, text, now):
        """Send a composed message. Returns for how many peers it was queued; whoever wants it within 10 s gets it too. It is
        not delivered to this node."""
        self.now = now
        short = text[_ORIGIN:]  # what comes from its origin need not name it
        short[0] = text[0] & _HAS_SIGNATURE
        return self._spread(short, None)

    def next_event(self):
        """(topic, payload, origin 32, is the origin proven) of the oldest message to deliver, or None."""
        while self._queue:
            text, is_proven = self._queue.pop(0)
            at = _TOPIC_AT + text[_TOPIC_AT - 1]
            end = len(text) - (_SIGNATURE if text[0] & _HAS_SIGNATURE else 0)
            origin = bytes(text[1:33])
            try:
                topic = str(text[_TOPIC_AT:at], "utf-8")
                if is_valid_id(origin) and "+" not in topic and "#" not in topic:
                    return topic, bytes(text[at:end]), origin, is_proven
            except ValueError:
                pass
            self.counts[_BAD] += 1  # nobody is to blame for what it passed on

    # Reactor

    def init_peer(self, peer):
        """A session came to be."""
        profile = self.profile
        self.peers[peer] = [peer, b"", 0, 0, Budget(profile.publish_burst, profile.publish_ms, self.now), 0, 0]

    def add_peer(self, peer):
        """It can be sent to."""
        if len(self._told) > 1:
            self.peers[peer][_OWED] |= _OUR_FILTERS
            self._due = self.now

    def remove_peer(self, peer, reason):
        """The session ended."""
        self.peers.pop(peer, None)

    def receive(self, peer, channel, view):
        """A message of a peer. Returns the reason to close it, or 0."""
        state = self.peers[peer]
        n = len(view)
        kind = view[0] & _KIND if n else 0
        if not state[_BUDGET].take(self.now):
            state[_ITS_FLOODED] += 1
            self.counts[_FLOODED] += 1
        elif not kind:
            return self._on_publish(state, view, n)
        elif kind == _FILTERS:
            return self._on_filters(state, bytes(view[1:]))
        elif kind == _REFUSED:
            self.counts[_FILTERS_REFUSED] += 1
        return 0

    def _on_filters(self, state, told):
        """What a peer hears from now on."""
        n = kept(told, self.profile.filters)
        if n < 0:
            return _MALFORMED
        if n < len(told):
            self.counts[_FILTERS_REFUSED] += 1
            state[_PEER].try_send(_CHANNEL, bytes((_REFUSED, n >> 8, n & 0xFF)))
        state[_TOLD] = told[:n]
        self._offer(state, range(len(self._kept)))
        if state[_OWED]:
            self._due = ticks_add(self.now, _RETRY_MS)
        return 0

    def _on_publish(self, state, view, n):
        absent = _ORIGIN if n and not view[0] & _HAS_ORIGIN else 0
        if not _TOPIC_AT < n + absent <= self.profile.publish_max:
            return _MALFORMED
        peer_id = state[_PEER].id
        text = bytearray(n + absent)
        copy(text, 1, peer_id, 0, 32)
        copy(text, 1 + absent, view, 1, n - 1)
        text[0] = view[0] & _HAS_SIGNATURE | _HAS_ORIGIN
        n = text[_TOPIC_AT - 1]
        if not 0 < n <= _LONGEST or _TOPIC_AT + n + (_SIGNATURE if text[0] & _HAS_SIGNATURE else 0) > len(text):
            return _MALFORMED
        self.counts[_RECEIVED] += 1
        result = found(self.filters, text, _TOPIC_AT)
        # Signed-only filters did not ask for what has no signature.
        if not (self.profile.relay or result & 1 or result and text[0] & _HAS_SIGNATURE):
            self.counts[_UNSIGNED if result else _UNWANTED] += 1
            return 0
        message_id = sha256(text).digest()[:8]  # with its origin, hops 0
        if same(text, 1, self.own_id, 0, 32) or self._is_repeated(message_id):
            self.counts[_REPEATED] += 1
            return 0
        n = view[0] & _HOPS
        if n < self.profile.hops - 1:
            text[0] |= n + 1
            self._spread(text, state)
        n = same(text, 1, peer_id, 0, 32)  # whether the session proves the origin
        if not result & 2:
            if result:
                self.deliver(text, n)
        elif not text[0] & _HAS_SIGNATURE:
            self.counts[_UNSIGNED] += 1
        elif n:
            self.deliver(text, n)
        elif self.checks and self.checks.add(text, state):
            self.is_busy = True
        else:
            self.counts[_UNCHECKED] += 1
        copy(self._seen, self._seen_at, message_id, 0, 8)  # last: what memory ran out for may come again
        self._seen_at = (self._seen_at + 8) % len(self._seen)
        return 0

    def deliver(self, text, is_proven):
        """Queue a message for the user."""
        if len(self._queue) >= self.profile.deliveries:
            self.counts[_OVERFLOWED] += 1
            if self._drop_new:
                return
            self._queue.pop(0)
        self._queue.append((text, is_proven))

    def _is_repeated(self, message_id):
        """Whether the message was seen before."""
        seen = self._seen
        at = seen.find(message_id)
        while at & 7 and at > 0:
            at = seen.find(message_id, at + 1)
        return at >= 0

    # The kept messages

    def _spread(self, text, source):
        """Keep a message as the newest, and send it to all who want it but the peer that brought it. Returns to how many it
        went at once."""
        self._newest = slot = (self._newest + 1) % len(self._kept)
        self._drop(slot)
        self._kept[slot] = text
        self._since[slot] = self.now
        if self._due is None:
            self._due = ticks_add(self.now, _KEPT_MS)
        count = 0
        for state in self.peers.values():
            if state is source:
                state[_GIVEN] |= 1 << slot
            else:
                self._offer(state, (slot,))
                count += state[_GIVEN] >> slot & 1
                if state[_OWED] >> slot & 1:
                    self._due = ticks_add(self.now, _RETRY_MS)
                    state[_ITS_STALLED] += 1
                    self.counts[_STALLED] += 1
        if source is None and not count:
            self._unsent |= 1 << slot
        return count

    def _offer(self, state, slots):
        """Owe a peer these kept messages, as far as it wants them, and send what is owed, the oldest first, while there is
        room."""
        for slot in slots:
            text = self._kept[slot]
            if text is None or state[_GIVEN] >> slot & 1:
                continue
            at = _TOPIC_AT
            if not text[0] & _HAS_ORIGIN:
                at -= _ORIGIN
            elif same(text, 1, state[_PEER].id, 0, 32):
                continue
            if len(text) - at > state[_PEER].hello.publish_max - _TOPIC_AT:
                continue  # longer than it takes
            at = found(state[_TOLD], text, at)
            if at & 1 or (at and text[0] & _HAS_SIGNATURE):
                state[_OWED] |= 1 << slot
        slot = self._newest
        while state[_OWED]:
            bit = _OUR_FILTERS
            text = self._told
            if len(text) > state[_PEER].hello.publish_max:
                text = _ALL
            if not state[_OWED] & bit:
                slot = (slot + 1) % len(self._kept)
                bit = 1 << slot
                text = self._kept[slot]
            if state[_OWED] & bit:
                if not state[_PEER].try_send(_CHANNEL, text):
                    return
                self.counts[_SENT] += 1
                state[_OWED] ^= bit
                state[_GIVEN] |= bit
                self._unsent &= ~bit

    def _drop(self, slot):
        """A kept message is too old, or makes room."""
        bit = ~(1 << slot)
        self._kept[slot] = None
        self.counts[_UNSENT] += self._unsent >> slot & 1
        self._unsent &= bit
        for state in self.peers.values():
            self.counts[_LATE] += state[_OWED] >> slot & 1
            state[_OWED] &= bit
            state[_GIVEN] &= bit

    # Time

    def work(self):
        """One slice of checking a signature; True while there is more."""
        more = bool(self.checks and self.checks.step())
        if more != self.is_busy:
            self.is_busy = more
        return more

    def next_time(self):
        """The tick at which `tick` must be called at the latest, or None."""
        return self._due

    def tick(self, now):
        """Do what is due at `now`."""
        self.now = now
        if self._due is None or ticks_diff(now, self._due) < 0:
            return
        self._due = ticks_add(now, _RETRY_MS)  # where memory runs out on the way
        due = None
        slot = self._newest
        for _ in self._kept:  # the oldest first: it is due next
            slot = (slot + 1) % len(self._kept)
            if self._kept[slot] is None:
                continue
            if not 0 <= ticks_diff(now, self._since[slot]) < _KEPT_MS:
                self._drop(slot)
            elif due is None:
                due = ticks_add(self._since[slot], _KEPT_MS)
        for state in self.peers.values():
            self._offer(state, ())
            if state[_OWED]:
                due = ticks_add(now, _RETRY_MS)
        self._due = due
