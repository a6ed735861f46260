"""What gateways deliver to a node (docs/protocol.md 7.8). Loaded when it subscribes to something beyond the mesh."""

from asyncio import create_task
from collections import namedtuple

from .compat import const, sleep_ms, ticks_diff, ticks_ms
from .failures import RequestError
from .services import Subscription

_CAPABLE = const(2)  # of HELLO: it is a gateway
_RETAIN = const(2)  # flags of a message
_REPEAT = const(4)
_LEASE_MS = const(300000)  # before a subscription is renewed
_ASK_MS = const(20000)
_LOOK_MS = const(500)

GatewayMessage = namedtuple("GatewayMessage", ("topic", "payload", "is_retained", "is_repeat"))


class GatewaySubscription(Subscription):
    """Messages that come through gateways, for `async for`. `close` ends it."""

    gateway = None  # of which it is
    last = None  # id of the newest message
    home = None  # the gateway that has it, and the session in which it was told
    session = None
    at = 0  # when

    def takes(self, number, message):
        """Offer a message with an id. False: there is no room."""
        if message.is_repeat and self.last == number:
            return True
        if len(self._waiting) == self._most:
            return False
        self.last = number
        raw = message.topic.encode()
        self.offer(bytes((len(raw),)) + raw, message)
        return True


class Inbox:
    """The handler of the method gateway/message, and what is subscribed to, by number."""

    def __init__(self, node, peers):
        self.held = {}
        self._node = node
        self._peers = peers
        self._is_kept = False

    def __call__(self, caller, payload):
        """`number 1 | flags 1 | message id 4 | length of the topic 1 | topic | payload`. Answers 1: no room now, 2: nobody
        here asked for it."""
        end = 7 + payload[6] if len(payload) > 6 else 7
        one = self.held.get(payload[0]) if len(payload) >= end else None
        peer = self._peers.get(caller)
        if one is None or not (peer and peer.hello.capabilities & _CAPABLE):
            return b"\2"
        flags = payload[1]
        try:
            topic = str(payload[7:end], "utf-8")
        except ValueError:
            return b"\2"
        message = GatewayMessage(topic, payload[end:], flags & _RETAIN > 0, flags & _REPEAT > 0)
        return b"" if one.takes(payload[2:6], message) else b"\1"

    def add(self, gateway, topics):
        """Subscribe. Raises LocalError for more than 255."""
        for number in range(1, 256):
            if number not in self.held:
                self.held[number] = one = GatewaySubscription(self, topics, False, gateway.swarm.profile.deliveries)
                one.gateway = gateway
                if not self._is_kept:
                    self._is_kept = True
                    create_task(self._keep(gateway.swarm))
                return one
        from .errors import LocalError

        raise LocalError("too many subscriptions")

    def unsubscribe(self, one):
        """See `Subscription.close`."""
        for number in list(self.held):
            if self.held[number] is one:
                del self.held[number]
                if one.session:
                    create_task(self._give_up(one, number))

    async def _keep(self, swarm):
        """Tell a gateway of each subscription: at first, when the session went in which it was told, and now and then."""
        while self.held and not swarm.is_closing:
            for number in list(self.held):
                one = self.held.get(number)
                if one and not (
                    one.session and self._peers.get(one.home) is one.session and ticks_diff(ticks_ms(), one.at) < _LEASE_MS
                ):
                    try:
                        await self._renew(one, number)
                    except RequestError:
                        pass  # no gateway now, or it does not take this one
                    except Exception as error:
                        swarm.note(error)
            await sleep_ms(_LOOK_MS)
        self._is_kept = False

    async def _renew(self, one, number):
        gateway = one.gateway
        await gateway.ask(gateway.family + "/subscribe", bytes((number,)) + one.filter.encode(), _ASK_MS, 0)
        if one.home != gateway.home and one.home in self._peers:
            await self._give_up(one, number)
        one.home = gateway.home
        one.session = self._peers.get(one.home)
        one.at = ticks_ms()

    async def _give_up(self, one, number):
        try:
            await self._node.request(one.home, one.gateway.family + "/subscribe", bytes((number,)))
        except RequestError:
            pass  # it ends with its time


def subscribe(gateway, node, topics):
    """See `Gateway.subscribe`."""
    if gateway.inbox is None:
        gateway.inbox = Inbox(node, gateway.swarm.peers)
        node.handle("gateway/message", gateway.inbox)
    return gateway.inbox.add(gateway, topics)
