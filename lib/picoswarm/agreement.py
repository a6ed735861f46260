"""Pair keys: the queue of X25519 key agreements, done in slices within budgets (docs/protocol.md 3). Pure.

A key agreement is the dearest thing that a datagram can ask of a node. Own ones have a budget, those that others cause
another, and what waits for an inbound one is a copy of the datagram, one of a few: never more than that. When the key is
there the datagram is taken up again as if it had just come.
"""

from .budget import Budget
from .compat import const, ticks_diff
from .crypto import X25519, u_from_id
from .identity import pair_key
from .wire import same

_KEPT = const(80)  # bytes of a datagram that waits: a FIND_NODE with a whole id has 77
_ID_AT = const(18)  # the sender's id in an opened datagram
_IPS = const(8)  # addresses whose last key agreement is remembered
_WAIT_MS = const(8000)  # after that whoever asked has given up


class Deferred:
    """The opened PING or FIND_NODE in hand `d`, which waits for the pair key of its sender."""

    def __init__(self, d, now):
        self.buf = d.buf[: d.n]
        self.ip = d.ip
        self.port = d.port
        self.key = d.key
        self.since = now
        self.is_urgent = d.proof > 0


class Agreements:
    """See the module. `step` does one slice and hands back what became ready; `pair` is then its key."""

    def __init__(self, identity, profile, now):
        self._identity = identity
        self._own = Budget(profile.own_keys, profile.own_key_ms, now)
        self._inbound = Budget(profile.inbound_keys, profile.inbound_key_ms, now)
        self._per_ip_ms = profile.inbound_key_ip_ms
        self._asked = []  # (ip, when) of those that an off-link address asked for, the latest last
        self._deferred = []  # the oldest first
        self._deferred_max = profile.deferred
        self._requests = []  # own requests that wait for a key
        self._job = None
        self._subject = None  # the Deferred or the request that the job is for
        self._id = b""
        self._is_own_turn = False
        self.is_idle = True  # nothing waits: `step` need not be asked
        self.pair = None  # 16 bytes, or None when the id was refused

    def defer(self, d, now, is_near):
        """Keep the datagram in hand until its sender's key is there; one that shows a good token goes before others. False:
        no room, no budget, or one of this sender waits already (then that one will do)."""
        for each in self._deferred:
            if same(each.buf, _ID_AT, d.buf, _ID_AT, 32):
                each.is_urgent |= d.proof > 0
                return each.ip == d.ip and each.port == d.port
        if (
            len(self._deferred) >= self._deferred_max
            or d.n > _KEPT
            or self._inbound.wait_ms(now)
            or not (is_near or self._may_ask(d.ip, now))
        ):
            return False
        self._inbound.take(now)
        self._deferred.append(Deferred(d, now))
        self.is_idle = False
        return True

    def _may_ask(self, ip, now):
        """Whether this address, one of many behind a router, may have a key agreement now; if so it is remembered."""
        asked = self._asked
        while asked and not 0 <= ticks_diff(now, asked[0][1]) < self._per_ip_ms:
            asked.pop(0)
        for each in asked:
            if each[0] == ip:
                return False
        if len(asked) >= _IPS:
            asked.pop(0)
        asked.append((ip, now))
        return True

    def ask(self, request):
        """Queue an own request (its `peer` begins with the id)."""
        self._requests.append(request)
        self.is_idle = False

    def forget(self, request):
        """The request was given up."""
        if request in self._requests:
            self._requests.remove(request)
        if self._subject is request:
            self._subject = self._job = None

    def is_ready(self, now):
        """Whether `step` would do something now."""
        return bool(self._deferred) or self._subject is not None or self.wait_ms(now) == 0

    def wait_ms(self, now):
        """Milliseconds until the own budget lets a waiting request go on; -1: none waits."""
        return self._own.wait_ms(now) if self._requests else -1

    def _done(self, subject):
        if subject in self._deferred:
            self._deferred.remove(subject)
        return subject

    def step(self, now):
        """One slice of work. Returns the Deferred or the request that is now ready, or None."""
        job = self._job
        if job is None:
            subject = self._pick(now)
            if subject is None:
                self.is_idle = not self._requests
                return None
            at = _ID_AT if isinstance(subject, Deferred) else 0
            self._id = bytes((subject.buf if at else subject.peer)[at : at + 32])
            self.pair = None
            u = u_from_id(self._id)
            if u is None:
                return self._done(subject)
            self._job = X25519(self._identity.static_private, u)
        elif not job.step():
            subject = self._subject
            self._job = self._subject = None
            if job.result is not None:
                self.pair = pair_key(job.result, self._identity.id, self._id)
            return self._done(subject)
        else:
            return None
        self._subject = subject

    def _pick(self, now):
        """What to work on: urgent datagrams first, then own requests and datagrams in turn."""
        while self._deferred and not 0 <= ticks_diff(now, self._deferred[0].since) < _WAIT_MS:
            self._deferred.pop(0)
        deferred = None
        for each in self._deferred:
            if deferred is None or each.is_urgent > deferred.is_urgent:
                deferred = each
        if self.wait_ms(now) == 0 and (deferred is None or (self._is_own_turn and not deferred.is_urgent)):
            self._own.take(now)
            self._is_own_turn = False
            return self._requests.pop(0)
        self._is_own_turn = True
        return deferred
