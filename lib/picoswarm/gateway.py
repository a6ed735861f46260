"""The gateways of the mesh, for who uses them (docs/protocol.md 7.8). Loaded when the user does.

    gw = await node.gateway("mqtt")
    await gw.publish("kitchen/temperature", b"21.5", qos=1)
    async for message in gw.subscribe("kitchen/set"): ...

Of several gateways the one that owns this node comes first; what it does not do in time the next one is asked for.
Subscriptions are the business of gatewayinbox.py.
"""

from .compat import const, sha256, sleep_ms, ticks_add, ticks_diff, ticks_ms
from .failures import RequestError, request_error

_CAPABLE = const(2)  # of HELLO, and in the flags of a record
_FLAGS = const(64)  # in a table record
_OPEN = const(4)  # a session's stage
_HELD = const(256)  # beyond what a peer may be worth: the connection manager never lets it go (see relay.py)

_QOS1 = const(1)  # flags of a message
_RETAIN = const(2)
_REPEAT = const(4)
_FIND = const(-1)

_TRY_MS = const(7000)  # for one gateway, which gives its broker 5 s
_REST_MS = const(60000)  # one that did not answer is asked last for so long
_LOOK_MS = const(500)
_LONGEST_MS = const(0x1FFFFFFF)  # see services.py
_BUSY = const(4)  # the status of an answer, see docs/protocol.md 7.3
_ELSEWHERE = (1, _BUSY, 128, 129, 130)  # no method, busy, timed out, session lost, unreachable: the next one may do better


class Gateway:
    """A family of the gateways. Its methods raise a RequestError; LocalError for what is too long."""

    def __init__(self, node, services, table, family):
        self.family = family
        self.swarm = services.swarm
        self.inbox = services.handlers.get("gateway/message")  # of all families, once somebody subscribes
        self.home = None  # the gateway that answered last
        self._node = node
        self._table = table
        self._rests = {}  # since when, by id
        self._number = int.from_bytes(self.swarm.rng(4), "big")

    def gateways(self):
        """Ids of the gateways that are known, in the order in which they are asked."""
        ids = set()
        for peer in self.swarm.peers.values():
            if peer.stage == _OPEN and peer.hello.capabilities & _CAPABLE:
                ids.add(peer.id)
        table = self._table
        for i in range(0, len(table.pool), table.step):
            if table.pool[i + _FLAGS] & _CAPABLE and table.is_live(i):
                ids.add(bytes(table.pool[i : i + 32]))
        for id32 in list(self._rests):
            if id32 not in ids:
                del self._rests[id32]
        return sorted(ids, key=self._rank, reverse=True)

    def _rank(self, id32):
        """Of all gateways the one with the greatest owns this node; one that rests comes after all others."""
        rests = id32 in self._rests and 0 <= ticks_diff(ticks_ms(), self._rests[id32]) < _REST_MS
        return not rests, sha256(id32 + self._node.id).digest()[:8]

    async def request(self, verb, payload=b"", timeout_ms=30000):
        """Call a verb of the family; what a gateway left unanswered may be done twice. Returns the answer, bytes."""
        return await self.ask(self.family + "/" + verb, payload, timeout_ms, 0)

    async def publish(self, topic, payload, qos=0, retain=False, timeout_ms=30000):
        """Hand a message over. `qos` 1: it returns when the broker has acknowledged it; 0: when a gateway has taken it."""
        self._number = number = (self._number + 1) & 0x3FFFFFFF
        flags = (_QOS1 if qos else 0) | (_RETAIN if retain else 0)
        if isinstance(payload, str):
            payload = payload.encode()
        topic = topic.encode()
        payload = bytes((flags,)) + number.to_bytes(4, "big") + bytes((min(len(topic), 255),)) + topic + payload
        await self.ask(self.family + "/publish", payload, timeout_ms, _REPEAT)

    def subscribe(self, topics):
        """Hear the topics that match a filter, as an async iterator of GatewayMessages, over the ends of sessions and
        gateways."""
        from .gatewayinbox import subscribe

        return subscribe(self, self._node, topics)

    async def ask(self, method, payload, ms, mark):
        """The answer of the first gateway that gives one. `mark`: what to add to the first byte of a repeat; FIND: one that
        has the family."""
        end = ticks_add(ticks_ms(), min(ms, _LONGEST_MS))
        trouble = None
        peers = self.swarm.peers
        if self.home and self.home not in peers:
            self._rests[self.home] = ticks_ms()  # its session went: dialing it first could cost seconds
        while True:
            ids = self.gateways()
            while ids:
                id32 = ids[0]
                for other in ids if trouble else ():  # now a session that is there is worth more than the order
                    if other in peers and other not in self._rests:
                        id32 = other
                        break
                ids.remove(id32)
                left = ticks_diff(end, ticks_ms())
                if left <= 0:
                    break
                try:
                    answer = await self._node.request(id32, method, payload, min(left, _TRY_MS))
                    if mark != _FIND or self.family.encode() in answer.split():
                        self._settle(id32)
                        return answer
                except RequestError as error:
                    trouble = error
                    if error.status not in _ELSEWHERE:
                        raise
                if trouble is None or trouble.status != _BUSY:
                    self._rests[id32] = ticks_ms()
                if mark > 0:
                    payload = bytes((payload[0] | mark,)) + payload[1:]
            if ticks_diff(end, ticks_ms()) <= 0:
                raise trouble or request_error(130, "no gateway")
            await sleep_ms(_LOOK_MS)

    def _settle(self, id32):
        """This gateway serves us: its session is not let go, that of the one before may be."""
        values = self.swarm.manager.values
        if self.home != id32:
            if values.get(self.home, 0) >= _HELD:
                values[self.home] -= _HELD
            values[id32] = values.get(id32, 0) + _HELD
        self.home = id32
        self._rests.pop(id32, None)


def bind(node, name):
    """`Node.gateway` of a node."""
    return lambda family, timeout_ms=10000: find(node, node._sessions(), node._discovery.table, family, timeout_ms)


async def find(node, services, table, family, ms):
    """A family of the mesh's gateways ("mqtt"), as a Gateway. Raises Unreachable where no gateway with it answers."""
    found = Gateway(node, services, table, family)
    await found.ask("gateway", b"", ms, _FIND)
    if family == "bitcoin":
        from .bitcoin import Bitcoin

        return Bitcoin(found, node)
    return found
