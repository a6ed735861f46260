"""One iterative lookup towards a target prefix (docs/protocol.md 3, rows D19, D20). Pure.

Rules: whoever is among the closest known and not yet asked is asked; a node asked that does not answer is out; the lookup
ends when the closest `result` that are left have all answered. A lookup for one id ends early when that id itself has
answered a ping. Candidates are packed records, kept in order of distance in a list of their numbers.

A liar can name ids that do not exist, near the target, at no cost to itself. So candidates are taken in turn by who named
them, and of each naming peer only two may leave a ping unanswered.

An answer has few records, and all who are near the target would give the same ones. So under the full rule a node is asked
for a stretch: the nodes beyond some distance. Each answer covers the stretch from there to the last node that it names;
the next question goes for the gap between two candidates that the fewest answers covered.

    0 32 id   32 2 UDP port   34 2 TCP port   36 1 flags   37 1 state   38 1 named by
    39 1 answers that covered the gap behind it   40 IP 4 or 16
"""

from .compat import const
from .wire import copy, put_u16, same, u16

_UDP = const(32)
_TCP = const(34)
_FLAGS = const(36)
_STATE = const(37)
_NAMER = const(38)
_COVER = const(39)
_IP = const(40)

_FREE = const(0)
_NEW = const(1)
_ASKED = const(2)
_ANSWERED = const(3)
_FAILED = const(4)

_PREFIX = const(8)
_OWN_TABLE = const(0)  # "named by" of what the own table gave
_COVERS = const(3)  # answers that must cover every gap in the result
_TWICE = const(0x80)  # in a candidate's flags: it was asked a second time
_SILENT_MAX = const(2)  # unanswered pings per naming peer


class Lookup:
    """See the module. After the end `results()` gives the nodes that answered; `is_found` says whether the wanted id did."""

    def __init__(self, profile):
        self._ip_n = 16 if profile.ipv6 else 4
        self._step = _IP + self._ip_n
        self._result = profile.lookup_result
        self._alpha = profile.alpha
        self._queries_max = profile.lookup_queries
        self._capacity = profile.lookup_candidates
        self.pool = bytearray(self._step * self._capacity)
        self._order = [0] * self._capacity  # candidates, the closest first
        self._n = 0
        self._silent = bytearray(profile.lookup_queries + 2)  # unanswered pings by who named the node
        self.target = bytearray(32)
        self.is_running = False
        self.is_found = False
        self.is_full = False
        self.purpose = 0  # the owner's
        self.queries = self.asking = self._namers = self._cover = self._least = 0

    def start(self, target32, is_full, purpose=0):
        """Begin. `is_full`: do not stop at the wanted id, ask all of the closest."""
        copy(self.target, 0, target32, 0, 32)
        self.is_running = True
        self.is_found = False
        self.is_full = is_full
        self.purpose = purpose
        self.queries = self.asking = self._namers = self._n = self._cover = 0
        for i in range(self._capacity):
            self.pool[i * self._step + _STATE] = _FREE
        for i in range(len(self._silent)):
            self._silent[i] = 0

    def namer(self):
        """A number for a peer whose answer is about to be offered, from 1."""
        if self._namers < len(self._silent) - 1:
            self._namers += 1
        return self._namers

    def offer(self, source, id_at, ip, port, tcp_port, flags, namer=_OWN_TABLE):
        """Take in a node that the peer `namer` named, the id being source[id_at:id_at+32], if it is new and close enough.
        An address named for an id that is known is ignored, unless the id did not answer at the first one."""
        pool = self.pool
        place = 0
        n = self._n
        order = self._order
        while place < n:
            at = order[place] * self._step
            nearer = self._compare(source, id_at, pool, at)
            if nearer == 0 and same(pool, at, source, id_at, 32):
                if self._is_out(at) and not self._is_same(at, ip, port):
                    self._write(order[place], source, id_at, ip, port, tcp_port, flags, namer)
                return
            if nearer < 0:
                break
            place += 1
        if n < self._capacity:
            slot = 0
            while pool[slot * self._step + _STATE]:
                slot += 1
            self._n = n = n + 1
        else:
            slot = order[n - 1]
            if place == n or pool[slot * self._step + _STATE] == _ASKED:
                return
        i = n - 1
        while i > place:
            order[i] = order[i - 1]
            i -= 1
        order[place] = slot
        cover = 0
        if place:
            cover = pool[order[place - 1] * self._step + _COVER]
        else:  # closer than all before: what is covered is covered by nodes too far away to know
            self._cover = 0
            for i in range(n):
                pool[order[i] * self._step + _COVER] = 0
        pool[slot * self._step + _COVER] = cover
        self._write(slot, source, id_at, ip, port, tcp_port, flags, namer)

    def _write(self, slot, source, id_at, ip, port, tcp_port, flags, namer):
        pool = self.pool
        at = slot * self._step
        copy(pool, at, source, id_at, 32)
        put_u16(pool, at + _UDP, port)
        put_u16(pool, at + _TCP, tcp_port)
        pool[at + _FLAGS] = flags & 0xFE | (len(ip) >> 4)
        pool[at + _STATE] = _NEW
        pool[at + _NAMER] = namer
        copy(pool, at + _IP, ip, 0, len(ip))

    def _compare(self, a, i, b, j):
        """Which of two ids is closer to the target: -1 the first, 1 the second, 0 alike as far as distances are taken."""
        target = self.target
        for k in range(_PREFIX):
            x = a[i + k] ^ target[k]
            y = b[j + k] ^ target[k]
            if x != y:
                return -1 if x < y else 1
        return 0

    def is_wanted(self, at):
        """Whether the candidate at offset `at` is the very id that is looked for."""
        return not self.is_full and same(self.pool, at, self.target, 0, 32)

    def next(self):
        """The offset in `pool` of the candidate to ask now, or -1. The caller asks it, and tells `answered` or `failed`."""
        if self.asking >= self._alpha or self.queries >= self._queries_max:
            return -1
        pool = self.pool
        if self.asking and self._n:
            first = self._order[0] * self._step
            if pool[first + _STATE] == _ASKED and self.is_wanted(first):
                return -1  # its answer would end it all
        chosen = -1
        # While others are awaited only the very closest are worth asking: the rest may fall out of the result.
        left = self._result >> 1 if self.asking else self._result
        for i in range(self._n):
            at = self._order[i] * self._step
            state = pool[at + _STATE]
            if self._is_out(at):
                continue
            if state == _NEW:
                namer = pool[at + _NAMER]
                if chosen < 0:
                    chosen = at
                if not namer or not self._is_waited(namer):
                    if namer or chosen == at:
                        chosen = at
                        break
            left -= 1
            if not left:
                break
        if chosen < 0 and not self.asking:
            chosen = self._again()
            if chosen >= 0:
                pool[chosen + _FLAGS] |= _TWICE
        if chosen >= 0:
            pool[chosen + _STATE] = _ASKED
            self.asking += 1
        return chosen

    def _again(self):
        """Under the full rule the closest that answered only once, while a gap in the result is covered too little."""
        if self.is_full and self.queries < self._queries_max:
            self._least_covered()
            if self._least >= _COVERS:
                return -1
            for i in range(self._n):
                at = self._order[i] * self._step
                if self.pool[at + _STATE] == _ANSWERED and not self.pool[at + _FLAGS] & _TWICE:
                    return at
        return -1

    def _is_out(self, at):
        """Whether a candidate failed, or waits and was named by a peer whose word counts no more."""
        state = self.pool[at + _STATE]
        if state != _NEW:
            return state == _FAILED
        namer = self.pool[at + _NAMER]
        return namer != _OWN_TABLE and self._silent[namer] >= _SILENT_MAX

    def _is_same(self, at, ip, port):
        """Whether the candidate was asked at this address, in vain."""
        pool = self.pool
        if pool[at + _STATE] != _FAILED:
            return False
        return same(pool, at + _IP, ip, 0, len(ip)) and u16(pool, at + _UDP) == port

    def _is_waited(self, namer):
        """Whether a candidate that this peer named is being asked."""
        for i in range(self._n):
            at = self._order[i] * self._step
            if self.pool[at + _STATE] == _ASKED and self.pool[at + _NAMER] == namer:
                return True
        return False

    def beyond(self):
        """What the next FIND_NODE passes over: the first 24 bits of the distance where the least covered gap begins, or 0
        for the gap before the first candidate."""
        if not self.is_full:
            return 0
        at = self._least_covered()
        if at < 0 or self._cover < _COVERS:
            self._cover += 1  # nobody closer can be ruled out yet
            return 0
        self.pool[at + _COVER] += 1
        return self._key(at)

    def _key(self, at):
        pool = self.pool
        target = self.target
        return (pool[at] ^ target[0]) << 16 | (pool[at + 1] ^ target[1]) << 8 | pool[at + 2] ^ target[2]

    def _least_covered(self):
        """The candidate behind which the least covered gap of the result lies, or -1 for the gap before the first;
        `_least` is how many answers covered it."""
        self._least = self._cover
        best = -1
        left = self._result - 1
        for i in range(self._n):
            at = self._order[i] * self._step
            if not self._is_out(at):
                if not left:
                    break
                left -= 1
            if self.pool[at + _COVER] < self._least:
                self._least = self.pool[at + _COVER]
                best = at
        return best

    def covered(self, beyond, last):
        """An answer to a question for the nodes beyond `beyond` came, and the farthest that it names has a distance with
        first 24 bits `last`."""
        for i in range(self._n):
            at = self._order[i] * self._step
            key = self._key(at)
            if beyond < key < last and self.pool[at + _COVER] < 255:
                self.pool[at + _COVER] += 1

    def answered(self, at):
        """The candidate at `at` has answered all that it was asked."""
        if self.pool[at + _STATE] == _ASKED:
            self.pool[at + _STATE] = _ANSWERED
            self.asking -= 1
            namer = self.pool[at + _NAMER]
            if self._silent[namer]:
                self._silent[namer] -= 1  # who names one that answers may name another that does not

    def failed(self, at):
        """The candidate at `at` did not answer."""
        if self.pool[at + _STATE] == _ASKED:
            self.asking -= 1
            if self.pool[at + _FLAGS] & _TWICE:
                self.pool[at + _STATE] = _ANSWERED  # once it did
                return
            self.pool[at + _STATE] = _FAILED
            self._silent[self.pool[at + _NAMER]] += 1

    def postpone(self, at):
        """The candidate at `at` could not be asked now."""
        if self.pool[at + _STATE] == _ASKED:
            self.pool[at + _STATE] = _NEW
            self.asking -= 1

    def is_done(self):
        """Whether nothing is left to ask or to wait for."""
        if self.is_found:
            return True
        pool = self.pool
        left = self._result
        for i in range(self._n):
            at = self._order[i] * self._step
            state = pool[at + _STATE]
            if self._is_out(at):
                continue
            if state == _ASKED or (state == _NEW and self.queries < self._queries_max):
                return False
            if state == _ANSWERED:
                left -= 1
                if not left:
                    break
        return not self.asking and self._again() < 0

    def results(self, state=_ANSWERED):
        """The nodes that answered, the closest first: (id, ip, UDP port, TCP port), `lookup_result` at most. With `state`
        1 those that were named and needed no asking."""
        found = []
        pool = self.pool
        for i in range(self._n):
            at = self._order[i] * self._step
            if pool[at + _STATE] == state and len(found) < self._result:
                ip = bytes(pool[at + _IP : at + _IP + (16 if pool[at + _FLAGS] & 1 else 4)])
                udp = pool[at + _UDP] << 8 | pool[at + _UDP + 1]
                tcp = pool[at + _TCP] << 8 | pool[at + _TCP + 1]
                found.append((bytes(pool[at : at + 32]), ip, udp, tcp))
        return found
