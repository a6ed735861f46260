"""Answers to the PINGs and FIND_NODEs of others (docs/protocol.md 3, rows D8-D11, D24). Pure.

Rules: nothing is said to who is no member; nothing larger than the question goes to an address that is not proven; a
neighbor is named only to a peer that has just shown a token of ours and its pair tag; a budget stands before every answer
and before every key agreement. No inbound datagram touches the table unless it carries that proof.

What is to be answered waits in one of a few slots and is written when the driver asks for it: no answer is ever stored.
"""

from .address import may_name, scope
from .budget import Budget, spend
from .compat import const
from .datagram import (
    beyond_of,
    encode_pong,
    put_record,
    request_id_of,
    start_neighbors,
)
from .wire import copy, same, u16

# Indices of counters.NAMES.
_UNKNOWN = const(8)
_WRONG_TAG = const(9)
_WRONG_TOKEN = const(10)
_BUSY = const(11)
_UNTAGGED = const(14)

_SIZE_MIN = const(42)
_RECORDS_MAX = const(11)
_PING = const(1)
_PONG = const(2)
_FIND_NODE = const(3)
_NEIGHBORS = const(4)

_PAIR = const(32)  # in a table record
_UDP = const(56)
_TCP = const(58)
_FLAGS = const(64)
_SPENT = const(65)
_CACHED_PAIR = const(32)  # in a record of the pair cache
_CACHED_SPENT = const(50)
_PEER_MAX = const(2)  # PINGs and FIND_NODEs of one proven peer in a second
_PUBLIC_FLAGS = const(0x0F)


class Answer:
    """One answer to be written. `kind` 0: free."""

    def __init__(self):
        self.kind = 0
        self.request_id = bytearray(4)
        self.pair = bytearray(16)
        self.value = bytearray(8)  # PONG: the token; NEIGHBORS: the target
        self.asker = bytearray(8)  # the first bytes of the asker's id: it is not named to itself
        self.ip = None
        self.port = 0
        self.key = None
        self.is_tagged = False
        self.is_full = False
        self.room = 0  # bytes of NEIGHBORS in all
        self.beyond = 0
        self.part = 0


class Responder:
    """See the module. `node` is the Discovery that answers."""

    def __init__(self, node, profile, now):
        self._node = node
        self._is_bootstrap = profile.bootstrap
        per_second = profile.proven_per_second
        self._proven = Budget(per_second, max(1, 1000 // per_second), now)
        per_second = profile.stranger_per_second
        self._others = Budget(per_second, max(1, 1000 // per_second), now)
        self._answers = [Answer() for _ in range(profile.answers)]
        self._found = [0] * 16
        self._pool = None  # where the sender's id stands, and its pair key
        self._id_at = self._pair_at = 0
        self._record = self._cached = -1

    # Who is it?

    def _knows(self, buf):
        """Find the sender's pair key in the table or the cache."""
        node = self._node
        codec = node.codec
        self._cached = -1
        self._record = at = node.table.find(buf, codec.sender, codec.sender_n)
        self._pool = node.table.pool
        if at < 0:
            self._cached = at = node.cache.find(buf, codec.sender, codec.sender_n)
            self._pool = node.cache.pool
        self._id_at = at
        self._pair_at = at + _PAIR
        return at >= 0

    def take_other(self):
        """Spend one of the budget of those who are not proven; False (counted) when it is used up."""
        if self._others.take(self._node.now):
            return True
        self._node.count(_BUSY)
        return False

    def _take_proven(self):
        """Spend one of the budget of proven peers and one of this peer's own."""
        if self._record >= 0:
            pool = self._node.table.pool
            at = self._record + _SPENT
        elif self._cached >= 0:
            pool = self._node.cache.pool
            at = self._cached + _CACHED_SPENT
        else:
            pool = None
            at = spent = 0
        if pool is not None:
            spent = spend(pool[at], self._node.uptime, _PEER_MAX)
        if spent < 0 or not self._proven.take(self._node.now):
            self._node.count(_BUSY)
            return False
        if pool is not None:
            pool[at] = spent
        return True

    # PING and FIND_NODE

    def on_request(self, buf, n, ip, port):
        """A PING or FIND_NODE was opened in `buf`."""
        node = self._node
        codec = node.codec
        if codec.is_tagged and self._knows(buf):
            self._on_known(buf, n, ip, port)
            return
        if not codec.is_full:
            node.count(_UNKNOWN)
            return
        is_ping = codec.type == _PING
        if is_ping and not codec.is_tagged and not self._is_bootstrap:
            node.count(_UNTAGGED)
            return
        if not self.take_other():
            return
        token = codec.token if is_ping else codec.body
        has_token = token != 0 and node.tokens.is_valid(buf, token, buf, codec.sender, ip, port)
        if not has_token and not is_ping:
            node.count(_WRONG_TOKEN)
            return
        if node.agreements.defer(buf, n, codec.key, ip, port, node.now, has_token, node.site.is_onlink(ip)):
            return
        if is_ping:
            self._pong(buf, buf, codec.sender, None, 0, ip, port)  # try again with this token
        else:
            node.count(_BUSY)

    def on_agreed(self, slot, pair):
        """The key agreement for a kept PING or FIND_NODE is done."""
        node = self._node
        codec = node.codec
        codec.reopen(slot.buf, slot.n, slot.key)
        if pair is None:
            node.count(_WRONG_TAG)
        elif codec.is_tagged:
            if codec.is_paired(slot.buf, pair):
                node.cache.insert(slot.buf, codec.sender, pair, node.uptime)
                self._knows(slot.buf)
                self._on_paired(slot.buf, slot.n, slot.ip, slot.port, True)
            else:
                node.count(_WRONG_TAG)
        else:
            self._pong(slot.buf, slot.buf, codec.sender, pair, 0, slot.ip, slot.port)

    def _on_known(self, buf, n, ip, port):
        if self._node.codec.is_paired(buf, self._pool, self._pair_at):
            self._on_paired(buf, n, ip, port, False)
        else:
            self._node.count(_WRONG_TAG)

    def _on_paired(self, buf, n, ip, port, is_paid):
        """The sender is who it says it is. Is it where it says? `is_paid`: the budget was asked before the agreement."""
        node = self._node
        codec = node.codec
        table = node.table
        is_ping = codec.type == _PING
        token = codec.token if is_ping else codec.body
        has_token = token != 0 and node.tokens.is_valid(buf, token, self._pool, self._id_at, ip, port)
        record = self._record
        if self._cached >= 0:
            node.cache.touch(self._cached, node.uptime)
        is_proven = has_token or (
            record >= 0 and table.is_at(record, ip, port) and table.is_proven(record, node.uptime)
        )
        if not is_paid and not (self._take_proven() if is_proven else self.take_other()):
            return
        if has_token:
            proven = node.prove(self._pool, self._id_at, self._pool, self._pair_at, ip, port, True)
            if proven >= 0 and is_ping:
                copy(table.pool, proven + _TCP, buf, codec.body, 2)
                flags = table.pool[proven + _FLAGS] & ~(_PUBLIC_FLAGS & 0xFE)
                table.pool[proven + _FLAGS] = flags | buf[codec.body + 3] & _PUBLIC_FLAGS & 0xFE
        elif not is_ping:
            node.count(_WRONG_TOKEN)
        if is_ping or not has_token:
            present = token if has_token and node.tokens.is_present else 0
            self._pong(buf, self._pool, self._id_at, self._pool, self._pair_at, ip, port, present)
        else:
            self._neighbors(buf, n, ip, port)

    # Answers

    def _free(self):
        for answer in self._answers:
            if not answer.kind:
                return answer
        self._node.count(_BUSY)
        return None

    def _pong(self, buf, id_buf, id_at, pair, pair_at, ip, port, token=0):
        """Answer with a PONG that carries a token for the id id_buf[id_at:]: buf[token:token+8] if that is still the one
        to give, which saves a hash. `pair` None: an untagged PONG."""
        answer = self._free()
        if answer is None:
            return
        codec = self._node.codec
        answer.kind = _PONG
        # Whoever asked without a tag does not know this node's id.
        answer.is_full = not codec.is_tagged and pair is not None
        answer.is_tagged = pair is not None
        if pair is not None:
            copy(answer.pair, 0, pair, pair_at, 16)
        if token:
            copy(answer.value, 0, buf, token, 8)
        else:
            self._node.tokens.make(answer.value, id_buf, id_at, ip, port)
        self._address(answer, buf, ip, port)

    def _neighbors(self, buf, n, ip, port):
        answer = self._free()
        if answer is None:
            return
        codec = self._node.codec
        answer.kind = _NEIGHBORS
        answer.part = 0
        answer.room = 4 * n
        answer.beyond = beyond_of(codec, buf)
        copy(answer.pair, 0, self._pool, self._pair_at, 16)
        copy(answer.asker, 0, buf, codec.sender, 8)
        copy(answer.value, 0, buf, codec.body + 8, 8)
        self._address(answer, buf, ip, port)

    def _address(self, answer, buf, ip, port):
        request_id_of(buf, answer.request_id)
        answer.ip = ip
        answer.port = port
        answer.key = self._node.codec.key

    def has_answer(self):
        """Whether `write` has something to write."""
        for answer in self._answers:
            if answer.kind:
                return True
        return False

    def write(self, out):
        """Write an answer to `out`. Returns (answer, size), or None."""
        node = self._node
        for answer in self._answers:
            if answer.kind == _PONG:
                answer.kind = 0
                pair = answer.pair if answer.is_tagged else None
                n = encode_pong(
                    node.codec,
                    out,
                    answer.request_id,
                    answer.key,
                    pair,
                    answer.is_full,
                    answer.ip,
                    answer.port,
                    answer.value,
                    node.tcp_port,
                )
                return answer, n
            if answer.kind == _NEIGHBORS:
                return answer, self._write_neighbors(answer, out)
        return None

    def _write_neighbors(self, answer, out):
        """One part of NEIGHBORS, the second one at the next call. Only live nodes, none whose address means nothing to the
        asker, and not the asker itself."""
        node = self._node
        table = node.table
        pool = table.pool
        is_ipv6 = len(answer.ip) == 16
        size = 53 if is_ipv6 else 41
        room = answer.room - 35
        fit = min(room // size, _RECORDS_MAX if not is_ipv6 else 9)
        total = 1
        if (room - 35) // size > fit:
            total = 2
            fit = min((room - 35) // (2 * size), fit)
        count = table.closest(answer.value, self._found, len(self._found), answer.beyond)
        asker_scope = scope(answer.ip)
        at = start_neighbors(node.codec, out, answer.request_id, answer.part, total)
        skip = fit * answer.part
        for i in range(count):
            record = self._found[i]
            if same(pool, record, answer.asker, 0, 8) or (pool[record + _FLAGS] & 1 and not is_ipv6):
                continue
            ip = table.ip(record)
            if not may_name(asker_scope, scope(ip)):
                continue
            if skip:
                skip -= 1
                continue
            if not fit:
                break
            fit -= 1
            flags = pool[record + _FLAGS] & _PUBLIC_FLAGS
            at = put_record(
                out, at, flags, pool, record, ip, u16(pool, record + _UDP), u16(pool, record + _TCP)
            )
        answer.part += 1
        if answer.part == total:
            answer.kind = 0
        return node.codec.seal(out, at, answer.key, _SIZE_MIN, answer.pair)
