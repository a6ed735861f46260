"""One iterative lookup towards a target prefix (docs/protocol.md 3.6, rows D19, D20). Pure.

Rules: whoever is among the closest known and not yet asked is asked; the lookup ends when the closest `result` that are
left have all answered. A lookup for one id ends early when that id itself has answered a ping. Candidates are packed
records, kept in order of distance in a list of their numbers.

An answer has few records, and all who are near the target would give the same ones. So under the full rule a node is asked
for a stretch, the nodes beyond some distance, and each gap between two candidates must be covered by the answers of three:
the candidate behind it and the two before it. Whoever lies in the gap shares a longer prefix with one of its ends than with
any other candidate, and it is those who share most that know all that do. Where the owner's upkeep looks, which comes again,
any two of the closest do. Who answered covers what is kept as one bit a candidate.

Who surrounds an id with nodes of its own is asked by all who look for it, and names nobody else. So before a lookup for one
id ends without it, others of the own table are asked, though they are farther.

A liar can name ids that do not exist, near the target, at no cost to itself. So candidates are taken in turn by who named
them, and of each naming peer only two may leave a ping unanswered before its others are passed over. Nobody is given up
for good on that: who is passed over or silent is asked once more when everybody else has answered.

    0 32 id   32 2 UDP port   34 2 TCP port   36 1 flags   37 1 state   38 1 named by (number + 1, 0: the own table)
    39 1 of those that it named, how many more were silent than answered   40 IP 4 or 16
"""

from .compat import const
from .wire import copy, put_u16, same, u16

_UDP = const(32)
_TCP = const(34)
_FLAGS = const(36)
_STATE = const(37)
_NAMER = const(38)
_SILENT = const(39)
_IP = const(40)

_FREE = const(0)
_NEW = const(1)
_ASKED = const(2)  # set by who asks
_ANSWERED = const(3)
_FAILED = const(4)

_RANDOM = const(2)  # the purpose of who looks into a sparse bucket, see upkeep.py
_TWICE = const(0x80)  # in a candidate's flags: it got its second chance
_PROVEN = const(0x40)  # it answered once
_ONCE = const(0x10)  # it was asked for neighbors
_ENOUGH = const(0x20)  # and once more
_PREFIX = const(8)
_COVERS = const(3)  # must have covered every gap
_SILENT_MAX = const(2)  # unanswered pings per naming peer


class Lookup:
    """See the module. `numbers`: those of a profile, (lookup_result, alpha, lookup_queries, lookup_candidates, ipv6). After
    the end `results()` gives the nodes that answered; `is_found` says whether the wanted id did."""

    def __init__(self, numbers):
        self._whole, self._alpha, self._most, n, is_ipv6 = numbers
        self._candidates = n
        self._step = _IP + (16 if is_ipv6 else 4)
        self.pool = bytearray(self._step * n)
        self._order = bytearray(n)  # numbers of the candidates, the closest first
        self._cover = [0] * (n + 1)  # by candidate: whose answers cover the gap behind it; the last: before the first
        self._n = self.queries = self.purpose = 0
        self._closest = self._gaps = 0  # of those that are left, as bits: their word counts; and how many gaps they have
        self.target = bytearray(32)
        self.is_running = self.is_found = self.is_full = False

    def start(self, target32, is_full, purpose=0):
        """Begin. `is_full`: do not stop at the wanted id, find all of the closest. `purpose` is the owner's."""
        copy(self.target, 0, target32, 0, 32)
        self.is_running = self.is_new = True  # new: the owner has offered nobody yet
        self.is_found = self.is_wide = False
        self.is_full = is_full
        self.purpose = purpose
        self._result = (self._whole + 1) >> 1 if purpose == _RANDOM else self._whole  # half of them half fill a bucket
        self.queries = self._n = self._cover[self._candidates] = 0
        for i in range(self._candidates):
            self.pool[i * self._step + _STATE] = _FREE

    def offer(self, source, id_at, ip, port, tcp_port, flags, namer=-1):
        """Take in a node that the candidate at `namer` (-1: the own table) named, the id being source[id_at:id_at+32], if it
        is new and close enough. An address named for an id that is known is ignored, unless the id did not answer at the
        first one, or was passed over."""
        pool = self.pool
        target = self.target
        order = self._order
        n = self._n
        place = 0
        while place < n:
            slot = order[place]
            at = slot * self._step
            k = 0
            while k < _PREFIX and pool[at + k] == source[id_at + k]:
                k += 1
            if k == _PREFIX:
                if not same(pool, at, source, id_at, 32) or not self._is_out(at):
                    return
                if pool[at + _STATE] == _FAILED and u16(pool, at + _UDP) == port:
                    if same(pool, at + _IP, ip, 0, len(ip)):
                        return
                break
            if source[id_at + k] ^ target[k] < pool[at + k] ^ target[k]:
                k = 0
                break
            place += 1
        if place == n or k < _PREFIX:
            if n < self._candidates:
                slot = 0
                while pool[slot * self._step + _STATE]:
                    slot += 1
                end = n
                self._n = n + 1
            else:
                end = n - 1  # the farthest that is not awaited makes room
                while end >= place and pool[order[end] * self._step + _STATE] == _ASKED:
                    end -= 1
                if end < place:
                    return
                slot = order[end]
            for i in range(end, place, -1):
                order[i] = order[i - 1]
            order[place] = slot
            at = slot * self._step
            pool[at + _SILENT] = 0
            # Who had this number covers nothing any more; what covers the gap around the new one covers both halves.
            for i in range(self._candidates + 1):
                self._cover[i] &= ~(1 << slot)
            self._cover[slot] = self._cover[order[place - 1] if place else self._candidates]
        copy(pool, at, source, id_at, 32)
        put_u16(pool, at + _UDP, port)
        put_u16(pool, at + _TCP, tcp_port)
        pool[at + _FLAGS] = flags & 0x0E | (len(ip) >> 4)
        pool[at + _STATE] = _NEW
        pool[at + _NAMER] = namer // self._step + 1
        copy(pool, at + _IP, ip, 0, len(ip))

    def _is_out(self, at):
        """Whether a candidate failed, or waits and was named by a peer whose word counts no more."""
        pool = self.pool
        namer = pool[at + _NAMER]
        if pool[at + _STATE] != _NEW or not namer or pool[at + _FLAGS] & _TWICE:
            return pool[at + _STATE] == _FAILED
        return pool[(namer - 1) * self._step + _SILENT] >= _SILENT_MAX

    def next(self):
        """The offset in `pool` of the candidate to ask now: the caller sets its state to 2 when it does. -1: wait for those
        that are asked. -2: the lookup is over."""
        pool = self.pool
        asking = waited = 0
        for i in range(self._n):
            at = self._order[i] * self._step
            if pool[at + _STATE] == _ASKED:
                asking += 1
                waited = pool[at + _NAMER]
                if not self.is_full and same(pool, at, self.target, 0, 32):
                    return -1  # its answer would end it all
        if self.is_found or asking >= self._alpha:
            return -2 if self.is_found else -1
        chosen = again = repeat = -1  # new ones come first, then who was silent, then more questions
        # While others are awaited only the very closest are worth asking: the rest may fall out of the result.
        left = self._result >> 1 if asking else self._result
        if self.is_full:
            self._see()
        for i in range(self._n):
            at = self._order[i] * self._step
            state = pool[at + _STATE]
            if self._is_out(at):
                if again < 0 and not pool[at + _FLAGS] & _TWICE:
                    again = at
                continue
            if state == _ANSWERED and repeat < 0 and self.is_full and self._may_tell(at):
                repeat = at
            if state == _NEW:
                if self.is_full or self.queries < self._most:
                    namer = pool[at + _NAMER]
                    if left > 0 or not namer:
                        if chosen < 0 or (namer and namer != waited):
                            chosen = at
                        if not waited or namer != waited:
                            break
            left -= 1
            if not left and not self.is_wide:  # beyond, those of the own table
                break
        if chosen < 0 and again >= 0:
            pool[again + _FLAGS] |= _TWICE
            pool[again + _STATE] = _NEW
            chosen = again
        if chosen < 0:
            chosen = repeat if repeat >= 0 or asking else -2
        return chosen

    def widen(self):
        """The lookup is over. False: it stays so; else the owner is to offer more of its table, and those are asked, too."""
        if self.is_full or self.is_found or self.is_wide:
            return False
        while self._n > self._candidates - self._whole:  # they have room
            self._n -= 1
            self.pool[self._order[self._n] * self._step + _STATE] = _FREE
        self.is_new = self.is_wide = True
        return True

    def wants(self, at):
        """Whether the candidate at `at` is to be asked for neighbors, beside the proof that it lives."""
        if self.is_full:
            self._see()
        return self._may_tell(at)

    def _may_tell(self, at):
        """`wants`, after `_see`."""
        pool = self.pool
        if self.queries >= self._most or pool[at + _FLAGS] & _ENOUGH or pool[at + _SILENT] >= _SILENT_MAX:
            return False
        return self._gap(at) >= 0 if self.is_full else not same(pool, at, self.target, 0, 32)

    def beyond(self, at):
        """A FIND_NODE goes to the candidate at `at`. What it passes over: the first 24 bits of the distance where the first
        gap begins that it is to cover, or 0 for the gap before the first candidate. -1: none may go any more; while this one
        waited, or was lost, others went."""
        if self.queries >= self._most:
            return -1
        self.queries += 1
        self.pool[at + _FLAGS] |= _ONCE | (self.pool[at + _FLAGS] & _ONCE) << 1
        if not self.is_full:
            return 0
        self._see()
        return max(0, self._gap(at))

    def _see(self):
        """Take down whose word counts, and which gaps are to be covered, for `_gap`."""
        order = self._order
        closest = n = 0
        left = self._result
        while n < self._n and left:
            slot = order[n]
            n += 1
            if not self._is_out(slot * self._step):
                closest |= 1 << slot
                left -= 1
        self._closest = closest
        self._gaps = n + 1 if left else n  # nobody is known behind the last

    def _gap(self, at):
        """The key of the candidate behind which the first gap lies that the candidate at `at` is to cover and did not, or 0
        for the gap before the first; -1: there is none. After `_see`."""
        order = self._order
        closest = self._closest
        at = 1 << at // self._step
        i = rank = place = 0
        if not self.purpose:
            if not closest & at:
                return -1
            while 1 << order[i] != at:
                rank += closest >> order[i] & 1
                i += 1
        first = rank if rank >= _COVERS else 0
        slot = self._candidates
        for i in range(self._gaps):
            if i:
                slot = order[i - 1]
                place += closest >> slot & 1  # so many of the closest lie before the gap
            cover = self._cover[slot]
            if cover & at:
                continue
            if self.purpose:
                cover &= closest
                if not cover & cover - 1:  # fewer than two
                    return self._key(slot)
            elif first <= place < rank + _COVERS:
                return self._key(slot)
        return -1

    def _key(self, slot):
        """The first 24 bits of a candidate's distance; 0 for the place before the first."""
        at = slot * self._step
        pool = self.pool
        target = self.target
        if slot == self._candidates:
            return 0
        return (pool[at] ^ target[0]) << 16 | (pool[at + 1] ^ target[1]) << 8 | pool[at + 2] ^ target[2]

    def covered(self, at, beyond, last):
        """The candidate at `at` was asked for the nodes beyond `beyond` and named all that it knows up to the distance with
        first 24 bits `last`."""
        for i in range(self._n + 1):
            slot = self._order[i - 1] if i else self._candidates
            if beyond <= self._key(slot) < last:
                self._cover[slot] |= 1 << at // self._step

    def ended(self, at, is_answered):
        """The dealing with the candidate at `at` is over; `is_answered`: it lives."""
        pool = self.pool
        if pool[at + _STATE] != _ASKED:
            return
        flags = pool[at + _FLAGS]
        namer = (pool[at + _NAMER] - 1) * self._step + _SILENT
        if is_answered:
            pool[at + _STATE] = _ANSWERED
            pool[at + _FLAGS] = flags | _PROVEN
            self.is_found = not self.is_full and same(pool, at, self.target, 0, 32)
            if namer > 0 and pool[namer]:
                pool[namer] -= 1  # who names one that answers may name another that does not
        elif flags & _PROVEN:
            pool[at + _STATE] = _ANSWERED  # once it did
            pool[at + _FLAGS] = flags | _ONCE | (flags & _ONCE) << 1
        else:
            pool[at + _STATE] = _FAILED
            if namer > 0 and not flags & _TWICE:
                pool[namer] += 1

    def news(self):
        """A sum over those who answered and were not in the own table as the lookup began; 0: there were none."""
        pool = self.pool
        news = 0
        for i in range(self._n):
            at = i * self._step
            if pool[at + _STATE] == _ANSWERED and pool[at + _NAMER]:
                news += pool[at] << 16 | pool[at + 1] << 8 | pool[at + 2]
        return news

    def results(self, state=_ANSWERED):
        """The nodes that answered, the closest first: (id, ip, UDP port, TCP port), `lookup_result` at most. With `state`
        1 those that were named and needed no asking, with 4 those that were silent."""
        found = []
        pool = self.pool
        for i in range(self._n):
            at = self._order[i] * self._step
            if pool[at + _STATE] == state and len(found) < self._result:
                ip = bytes(pool[at + _IP : at + _IP + (16 if pool[at + _FLAGS] & 1 else 4)])
                found.append((bytes(pool[at : at + 32]), ip, u16(pool, at + _UDP), u16(pool, at + _TCP)))
        return found
