"""The gateways of the mesh, for who uses them (docs/protocol.md 7.6). Loaded when the user does.

    gw = await node.gateway("mqtt")
    await gw.publish("kitchen/temperature", b"21.5", qos=1)
    async for message in gw.subscribe("kitchen/set"): ...

Of several gateways the one that owns this node comes first; what it does not do in time the next one is asked for.
"""

from asyncio import create_task
from collections import namedtuple

from .compat import const, sha256, sleep_ms, ticks_add, ticks_diff, ticks_ms
from .failures import RequestError
from .services import Subscription

_CAPABLE = const(2)  # of HELLO, and in the flags of a record
_FLAGS = const(64)  # in a table record
_OPEN = const(4)  # a session's stage

_QOS1 = const(1)  # flags of a message
_RETAIN = const(2)
_REPEAT = const(4)

_TRY_MS = const(7000)  # for one gateway, which gives its broker 5 s
_REST_MS = const(60000)  # one that did not answer is asked last for so long
_LOOK_MS = const(500)
_LEASE_MS = const(300000)  # before a subscription is renewed
_ELSEWHERE = (1, 4, 128, 129, 130)  # status: no method, busy, timed out, session lost, unreachable

GatewayMessage = namedtuple("GatewayMessage", ("topic", "payload", "is_retained", "is_repeat"))


def rank(gateway, node):
    """How much a node (id) belongs to a gateway (id), 8 bytes: of all gateways the one with the most owns it."""
    return sha256(gateway + node).digest()[:8]


class Inbox:
    """What gateways deliver: the handler of the method gateway/message."""

    def __init__(self, peers):
        self.subscriptions = {}  # by number
        self._peers = peers

    def __call__(self, caller, payload):
        """number 1 | flags 1 | message id 4 | length of the topic 1 | topic | payload. Answers 1: no room now, 2: nobody here
        asked for it."""
        end = 7 + payload[6]
        subscription = self.subscriptions.get(payload[0])
        peer = self._peers.get(caller)
        if subscription is None or not (peer and peer.hello.capabilities & _CAPABLE):
            return b"\2"
        if payload[1] & _REPEAT and subscription.last == payload[2:6]:
            return b""
        if not subscription.has_room():
            return b"\1"
        subscription.last = payload[2:6]
        text = str(payload[7:end], "utf-8")
        message = GatewayMessage(text, payload[end:], payload[1] & _RETAIN > 0, payload[1] & _REPEAT > 0)
        subscription.offer(payload[6:end], message)
        return b""


class GatewaySubscription(Subscription):
    """Messages of a gateway, for `async for`. `close` ends it."""

    last = None  # id of the newest message
    home = None  # the gateway that has it, and the session in which it was told
    session = None
    at = 0  # when

    def has_room(self):
        """Whether a message can come without that another one is lost."""
        return len(self._waiting) < self._most


class Gateway:
    """A family of the gateways. Its methods raise a RequestError; LocalError for what is too long."""

    def __init__(self, node, services, table, family):
        self.family = family
        self._node = node
        self._swarm = services.swarm
        self._table = table
        self._inbox = services.handlers.get("gateway/message")
        if self._inbox is None:
            self._inbox = Inbox(self._swarm.peers)
            node.handle("gateway/message", self._inbox)
        self._number = int.from_bytes(self._swarm.rng(4), "big") & 0x3FFFFFFF
        self._rests = {}  # since when, by id
        self._home = None
        self._is_kept = False

    def gateways(self):
        """Ids of the gateways that are known, in the order in which they are asked."""
        ids = []
        for peer in self._swarm.peers.values():
            if peer.stage == _OPEN and peer.hello.capabilities & _CAPABLE:
                ids.append(peer.id)
        table = self._table
        for i in range(0, len(table.pool), table.step):
            if table.pool[i + _FLAGS] & _CAPABLE and table.is_live(i):
                id32 = bytes(table.pool[i : i + 32])
                if id32 not in ids:
                    ids.append(id32)
        now = ticks_ms()
        for id32 in list(self._rests):
            if not 0 <= ticks_diff(now, self._rests[id32]) < _REST_MS:
                del self._rests[id32]
        own_id = self._node.id
        ids.sort(key=lambda id32: (id32 not in self._rests, rank(id32, own_id)), reverse=True)
        return ids

    async def request(self, verb, payload=b"", timeout_ms=30000):
        """Call a verb of the family; what a gateway left unanswered may be done twice. Returns the answer, bytes."""
        return await self._ask(self.family + "/" + verb, payload, timeout_ms, 0)

    async def publish(self, topic, payload, qos=0, retain=False, timeout_ms=30000):
        """Hand a message over. `qos` 1: it returns when the broker has acknowledged it; 0: when a gateway has taken it."""
        self._number = (self._number + 1) & 0x3FFFFFFF
        flags = (_QOS1 if qos else 0) | (_RETAIN if retain else 0)
        name = topic.encode()
        text = bytes((flags,)) + self._number.to_bytes(4, "big") + bytes((len(name) & 0xFF,)) + name + payload
        await self._ask(self.family + "/publish", text, timeout_ms, _REPEAT)

    def subscribe(self, topics):
        """Hear the topics that match a filter, as an async iterator of GatewayMessages, over the ends of sessions and
        gateways."""
        subscription = GatewaySubscription(self, topics, False, self._swarm.profile.deliveries)
        held = self._inbox.subscriptions
        for number in range(1, 256):
            if number not in held:
                held[number] = subscription
                if not self._is_kept:
                    self._is_kept = True
                    create_task(self._keep())
                return subscription
        from .errors import LocalError

        raise LocalError("too many subscriptions")

    async def _ask(self, method, payload, ms, mark):
        """The answer of the first gateway that gives one. `mark`: what to add to the first byte of a repeat."""
        end = ticks_add(ticks_ms(), ms)
        trouble = None
        while True:
            for id32 in self.gateways():
                left = ticks_diff(end, ticks_ms())
                if left <= 0:
                    break
                try:
                    answer = await self._node.request(id32, method, payload, min(left, _TRY_MS))
                except RequestError as error:
                    trouble = error
                    if error.status not in _ELSEWHERE:
                        raise
                    if error.status != 4:
                        self._rests[id32] = ticks_ms()
                    if mark:
                        payload = bytes((payload[0] | mark,)) + payload[1:]
                    continue
                self._settle(id32)
                return answer
            if ticks_diff(end, ticks_ms()) <= 0:
                if trouble:
                    raise trouble
                from .failures import request_error

                raise request_error(130, "no gateway is known")
            await sleep_ms(_LOOK_MS)

    def _settle(self, id32):
        """This gateway serves us: its session is not let go, that of the one before may be."""
        peers = self._swarm.peers
        for each in (self._home, id32):
            if each in peers:
                peers[each].link.is_protected = each == id32
        self._home = id32

    async def _keep(self):
        """Tell the gateway of each subscription at first, when its session went, and now and then."""
        held = self._inbox.subscriptions
        peers = self._swarm.peers
        while held and not self._swarm.is_closing:
            for number in list(held):
                one = held.get(number)
                if one is None or one._services is not self:
                    continue
                if one.session and peers.get(one.home) is one.session and ticks_diff(ticks_ms(), one.at) < _LEASE_MS:
                    continue
                try:
                    await self._ask(self.family + "/subscribe", bytes((number,)) + one.filter.encode(), _TRY_MS * 3, 0)
                except RequestError:
                    continue  # no gateway now
                if one.home != self._home and one.home in peers:
                    await self._give_up(one.home, number)
                one.home = self._home
                one.session = peers.get(one.home)
                one.at = ticks_ms()
            await sleep_ms(_LOOK_MS)
        self._is_kept = False

    async def _give_up(self, id32, number):
        try:
            await self._node.request(id32, self.family + "/subscribe", bytes((number,)), _TRY_MS)
        except RequestError:
            pass  # it ends with its time

    def unsubscribe(self, subscription):
        """See `Subscription.close`."""
        held = self._inbox.subscriptions
        for number in list(held):
            if held[number] is subscription:
                del held[number]
                if subscription.session:
                    create_task(self._give_up(subscription.home, number))


async def find(node, services, table, family, ms):
    """See `Node.gateway`."""
    found = Gateway(node, services, table, family)
    end = ticks_add(ticks_ms(), ms)
    while True:
        for id32 in found.gateways():
            try:
                answer = await node.request(id32, "gateway", b"", max(100, min(_TRY_MS, ticks_diff(end, ticks_ms()))))
            except RequestError:
                answer = b""
            if family.encode() in answer.split():
                found._settle(id32)
                return found
        if ticks_diff(end, ticks_ms()) <= 0:
            from .failures import request_error

            raise request_error(130, "no gateway with this family answers")
        await sleep_ms(_LOOK_MS)
