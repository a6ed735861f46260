"""Answers to the PINGs and FIND_NODEs of others (docs/protocol.md 3, rows D8-D11, D24). Pure.

Rules: nothing is said to who is no member; nothing larger than the question goes to an address that is not proven; a
neighbor is named only to a peer that has just shown a token of ours and its pair tag; a budget stands before every answer
and before every key agreement. No inbound datagram touches the table unless it carries that proof.

The one answer that an input may cause is written when the driver asks for it, before the next input; machine code has
written its own before (datagram_viper.py). (A key agreement waits for that by itself.)
"""

from .address import may_name, scope
from .budget import Budget, spend
from .compat import const
from .datagram import beyond_of, encode_pong, put_record, start_neighbors
from .wire import copy, same

# Indices of counters.py.
_IMPLAUSIBLE = const(3)
_UNKNOWN = const(8)
_WRONG_TAG = const(9)
_WRONG_TOKEN = const(10)
_BUSY = const(11)
_UNTAGGED = const(14)

_SIZE_MIN = const(42)
_PONG_SIZE = const(50)  # over IPv4
_PONG_SIZE_FULL = const(66)
_PING = const(1)
_PONG = const(2)
_NEIGHBORS = const(4)
_REQUEST_ID = const(14)
_SENDER = const(18)
_PEER_REQUEST_ID = const(56)

_PAIR = const(32)  # in a table record
_TOKEN = const(48)
_TCP = const(58)
_FLAGS = const(64)
_SPENT = const(65)
_PEER_MAX = const(2)  # PINGs and FIND_NODEs of one proven peer in a second
_PUBLIC_FLAGS = const(0x0E)
_TOKEN_IS_OLD = const(1)


class Responder:
    """See the module. `node` is the Discovery that answers. The attributes are the answer, an exchange as datagram.py has
    it; or where `kind` is 6 the answer itself, in `peer`."""

    def __init__(self, node, profile, now):
        self._node = node
        self._is_bootstrap = profile.bootstrap
        self.proven = Budget(profile.proven_per_second, max(1, 1000 // profile.proven_per_second), now)
        self._others = Budget(profile.stranger_per_second, max(1, 1000 // profile.stranger_per_second), now)
        self._target = bytearray(8)
        self.kind = 0  # of the answer that waits, 0: none
        self.peer = bytearray(60)
        self.has_pair = self.is_full = False
        self.ip = self.key = None
        self.port = 0
        self._room = self._beyond = self._part = 0

    def take_other(self):
        """Spend one of the budget of those who are not proven; False (counted) when it is used up."""
        return self._others.take(self._node.now) or self._node.count(_BUSY)

    def _take_proven(self, record):
        """Spend one of the budget of proven peers and one of this peer's own."""
        node = self._node
        pool = node.table.pool
        spent = spend(pool[record + _SPENT], node.uptime, _PEER_MAX)
        if spent < 0 or not self.proven.take(node.now):
            return node.count(_BUSY)
        pool[record + _SPENT] = spent
        return True

    # PING and FIND_NODE

    def on_request(self):
        """A PING or FIND_NODE is in hand."""
        node = self._node
        d = node.codec
        record = node.table.find(d.buf, _SENDER, d.body - _SENDER) if d.is_tagged else -1
        if record < 0:
            self._on_unknown()
        elif d.is_paired(node.table.pool, record + _PAIR):
            self._on_paired(record, False)
        else:
            node.count(_WRONG_TAG)

    def _on_unknown(self):
        """One in hand whose sender's pair key is not known."""
        node = self._node
        d = node.codec
        is_ping = d.type == _PING
        if not d.is_full:
            return node.count(_UNKNOWN)
        if not d.is_tagged and not self._is_bootstrap:
            return node.count(_UNTAGGED)
        if not self.take_other():
            return
        d.proof = node.tokens.is_valid(d)
        if not d.proof and not is_ping:
            return node.count(_WRONG_TOKEN)
        if d.is_tagged and node.agreements.defer(d, node.now, node.site.is_onlink(d.ip)):
            return
        if not is_ping:
            return node.count(_BUSY)
        # Without a pair tag: who asked without one hears this node's id, who asked with one comes again with the token.
        self._pong(d.buf, _SENDER)

    def on_agreed(self, pair):
        """The key agreement for the kept PING or FIND_NODE in hand is done."""
        node = self._node
        d = node.codec
        if pair is not None and d.is_paired(pair):
            self._on_paired(node.table.keep(d.buf, _SENDER, pair, 0, node.uptime), True)
        else:
            node.count(_WRONG_TAG)

    def _on_paired(self, record, is_paid):
        """The sender is who it says it is. Is it where it says? `is_paid`: the budget was asked before the agreement."""
        node = self._node
        d = node.codec
        d.proof = node.tokens.is_valid(d)
        if not is_paid:
            if d.proof or node.table.is_proven(record, d, node.uptime):
                is_paid = self._take_proven(record)
            else:
                is_paid = self.take_other()
            if not is_paid:
                return
        if d.type == _PING:
            # Who asks next for neighbors is an entry by that, and says nothing of itself.
            if node.prove(record, True) if d.proof else not node.table.is_entry(record):
                self._note(record)
            self._pong(node.table.pool, record)
        elif not d.proof:
            node.count(_WRONG_TOKEN)
            self._pong(node.table.pool, record)
        else:
            node.prove(record, True)
            if self._begin(node.table.pool, record):
                self._part = 0
                self._room = 4 * d.n
                self._beyond = beyond_of(d) or -1
                copy(self._target, 0, d.buf, d.body + 8, 8)
                self.kind = _NEIGHBORS

    def _note(self, record):
        """Take down what a PING says of its sender: TCP port and capabilities."""
        d = self._node.codec
        pool = self._node.table.pool
        copy(pool, record + _TCP, d.buf, d.body, 2)
        pool[record + _FLAGS] = pool[record + _FLAGS] & ~_PUBLIC_FLAGS | d.buf[d.body + 3] & _PUBLIC_FLAGS

    # Answers

    def _begin(self, buf, at):
        """Note where the answer goes, to the id buf[at:at+32] under the pair key behind it, which stands in the table only.
        The answer waits from when the caller sets `kind`, last, as memory may run out before. False: one waits already."""
        d = self._node.codec
        if self.kind:
            return self._node.count(_BUSY)
        self.has_pair = buf is not d.buf
        copy(self.peer, 0, buf, at, _TOKEN if self.has_pair else _PAIR)
        copy(self.peer, _PEER_REQUEST_ID, d.buf, _REQUEST_ID, 4)
        self.ip = d.ip
        self.port = d.port
        self.key = d.key
        self.is_full = not d.is_tagged  # who asked without a tag does not know this node's id
        return True

    def _pong(self, buf, at):
        """Answer with a PONG that carries a token for the id buf[at:at+32]; the one shown is given again while it is the
        present one, which saves a hash. None for a question that proves no address and is shorter."""
        d = self._node.codec
        if not d.proof and d.n < (_PONG_SIZE if d.is_tagged else _PONG_SIZE_FULL) + len(d.ip) - 4:
            self._node.count(_IMPLAUSIBLE)
        elif self._begin(buf, at):
            if d.proof > _TOKEN_IS_OLD:
                copy(self.peer, _TOKEN, d.buf, d.token, 8)
            else:
                self._node.tokens.make(self.peer, d)
            self.kind = _PONG

    def write(self, out):
        """Write the answer that waits to `out`. Returns its size."""
        node = self._node
        if self.kind == _PONG:
            self.kind = 0
            return encode_pong(node.codec, out, self)
        return self._write_neighbors(out)

    def _write_neighbors(self, out):
        """One part of NEIGHBORS, the second one at the next call. Only live nodes, none whose address means nothing to the
        asker, and not the asker itself."""
        node = self._node
        table = node.table
        pool = table.pool
        is_ipv6 = len(self.ip) == 16
        size, most = (53, 9) if is_ipv6 else (41, 11)
        fit = (self._room - 35) // size
        total = 1
        if fit > most:
            fit = min((self._room - 70) // (2 * size), most)
            total = 2
        skip = fit * self._part
        asker_scope = scope(self.ip)
        at = start_neighbors(node.codec, out, self, self._part, total)
        found = table.found
        for i in range(table.closest(self._target, found, 16, self._beyond)):
            record = found[i]
            if (
                same(pool, record, self.peer, 0, 32)
                or (pool[record + _FLAGS] & 1 and not is_ipv6)
                or not may_name(asker_scope, scope(table.ip(record)))
            ):
                continue
            if skip:
                skip -= 1
            elif fit:
                fit -= 1
                at = put_record(out, at, table, record)
        self._part += 1
        if self._part == total:
            self.kind = 0
        return node.codec.pad(out, at, _SIZE_MIN)
