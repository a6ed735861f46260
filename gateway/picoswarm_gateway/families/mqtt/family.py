"""The family `mqtt`: the mesh and an MQTT broker, both ways (docs/mqtt.md).

    verbs        publish: a board hands a message over; subscribe: it wants to hear a filter
    up           mesh topics that go to the broker, each by the gateway that owns the message's origin
    down         broker topics that go into the mesh, each by the gateway that owns the topic

Nothing that comes from a broker reaches more than three things: mesh topics that a rule of `down` names and that do not
begin with `$`; the method `gateway/message` of boards that asked for it; presence and discovery, which only make gateways
publish at the broker. Requests, streams, keys and commands of the gateway cannot be reached from it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import aiomqtt
from picoswarm.errors import PicoswarmError
from picoswarm.failures import Busy

from .. import Family, Refused
from ..leases import Leases
from .broker import Broker, BrokerBusy, Outgoing
from .homeassistant import HomeAssistantDevices
from .presence import ONLINE, Presence
from .seen import Seen
from .table import MqttTable, Rule
from .topics import RESERVED, STATUS, below, is_filter, is_topic, matches, under

if TYPE_CHECKING:
    from ...gateway import Gateway

QOS1, RETAIN, REPEAT = 1, 2, 4  # flags of a message
HEAD = 6  # flags 1 | message id 4 | length of the topic 1
BROKER_S = 5.0  # that the broker has for an acknowledgement; a board waits 7 s
DOWN_S = 0.05  # between two messages into the mesh, as fast as a board may be told for long
DOWN_MOST = 1000  # that wait for it
RECENT_S = 12.0  # a gateway that died is missed within that time: its messages of so long are published again
LOOK_S = 30.0
BIRTH_S = 3.0  # at random after Home Assistant's start


class MqttFamily(Family):
    """See the module."""

    name = "mqtt"
    wanted = 1

    def __init__(self, table: MqttTable, **broker: Any) -> None:
        """`broker`: arguments of Broker, for tests."""
        super().__init__()
        self.verbs = {"publish": self.submit, "subscribe": self.follow}
        self.counts: Counter[str] = Counter(up=0, not_mine=0, down=0, down_dropped=0, too_long=0, duplicates=0, repeats=0)
        self._table = table
        self._broker_arguments = broker
        self._carried: dict[tuple[bytes, int], asyncio.Task] = {}
        self._recent: deque[tuple[float, bytes, Rule, Any]] = deque(maxlen=4096)  # of other gateways' boards
        self._down: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(DOWN_MOST)
        self._tasks: set[asyncio.Task] = set()
        self._loops: list[asyncio.Task] = []
        self._subscriptions: list[Any] = []
        self._numbers: dict[int, str] = {}  # filters at the broker

    async def start(self, gateway: Gateway) -> None:
        """See Family."""
        self._gateway = gateway
        self._node = gateway.node
        self._owners = gateway.owners
        table = self._table
        log = gateway.log.bind(family=self.name)
        self._seen = Seen(getattr(gateway, "db", None))
        await self._seen.start()
        self.presence = Presence(table.prefix, gateway.id, self._say, self._owners.is_mine, self._has_session, self._begin)
        will = self.presence.gateway_topic(gateway.id)
        name = table.client_id or f"picoswarm-{gateway.id.hex()[:12]}"
        self.broker = Broker(table, name, will, log, **self._broker_arguments)
        self.broker.on_message = self._on_message
        self.broker.on_up = self._on_up
        self.leases = Leases(self._node.request, table.board_messages, table.board_filters, self._on_unused)
        self.devices: HomeAssistantDevices | None = None
        if table.homeassistant.enabled:
            self.devices = HomeAssistantDevices(
                table,
                gateway.id,
                gateway.config.mesh.name,
                self._say,
                self._owners.is_mine,
                self._name_of,
                self.presence.gateway_topic,
                self.presence.board_topic,
            )
        self._fixed = [*self.presence.filters(), *(self._pattern(rule) for rule in table.down)]
        self._fixed += self.devices.filters() if self.devices else []
        for pattern in self._fixed:
            self._hear(pattern)
        for rule in table.up:
            subscription = self._node.subscribe(rule.mesh)
            self._subscriptions.append(subscription)
            self._loops.append(gateway.loops.begin("mqtt: up", partial(self._bring_up, rule, subscription)))
        gateway.listen(self._on_event)
        self._owners.listen(self._on_owners)
        self._loops.append(gateway.loops.begin("mqtt: down", self._bring_down))
        self._loops.append(gateway.loops.begin("mqtt: looking", self._look))

    async def stop(self) -> None:
        """See Family."""
        for subscription in self._subscriptions:
            subscription.close()
        for task in (*self._loops, *self._tasks, *self._carried.values()):
            task.cancel()
        await self.leases.stop()

    async def discover(self) -> list[str]:
        """The one broker of the configuration."""
        return [self._table.url]

    async def dial(self, address: str) -> None:
        """See Family."""
        await self.broker.connect(address)

    def state(self) -> dict[str, Any]:
        """See Family."""
        broker = self.broker
        is_new = not broker.is_up and not broker.trouble
        return {
            "state": "up" if broker.is_up else "starting" if is_new else "down",
            "url": self._table.url,
            "version": self._table.version,
            "trouble": broker.trouble,
            "waiting": len(broker),
            "leases": len(self.leases),
            "online": sum(self.presence.boards.values()),
            "gateways": len(self._owners.gateways),
            "counts": {**broker.counts, **self.counts, **self.leases.counts},
        }

    def forget(self, board: bytes) -> None:
        """A board was revoked, or is no more: take all of it from the broker."""
        self.leases.end(board)
        self.presence.forget(board)
        if self.devices:
            self.devices.forget(board)

    # What boards ask

    async def submit(self, board: bytes, what: bytes) -> bytes:
        """The verb publish. Raises Refused, and Busy where another gateway, or a later time, may do better."""
        if len(what) < HEAD + 1 or len(what) < HEAD + what[5]:
            raise Refused("malformed")
        flags, number = what[0], int.from_bytes(what[1:5], "big")
        topic = _text(what[HEAD : HEAD + what[5]])
        if not is_topic(topic) or topic.partition("/")[0] == STATUS or topic[0] == RESERVED:
            raise Refused("no topic to publish to")
        at_broker = under(self._table.prefix, topic)
        is_part = self.devices.learn(board, topic, at_broker) if self.devices else False
        message = Outgoing(
            at_broker, what[HEAD + what[5] :], flags & QOS1, bool(flags & RETAIN or is_part), bool(flags & REPEAT), board
        )
        if not flags & QOS1:
            self.broker.offer(message)
            return b""
        key = (board, number)
        carried = None
        if flags & REPEAT:  # only these are compared (docs/protocol.md 7.8): a board that began anew may count from anywhere
            carried = self._carried.get(key)
            self.counts["repeats"] += 1
            if carried or self._seen.has(board, number):
                self.counts["duplicates"] += 1
            if carried is None and self._seen.has(board, number):
                return b""
        if carried is None:
            carried = self._carried[key] = asyncio.create_task(self._carry(message, key))
            carried.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            await asyncio.shield(carried)
        except BrokerBusy as error:
            raise Busy(str(error)) from None
        return b""

    async def _carry(self, message: Outgoing, key: tuple[bytes, int]) -> None:
        """A message with QoS 1, until the broker has acknowledged it and that is written down."""
        try:
            await self.broker.deliver(message, BROKER_S)
            await self._seen.add(*key)
        except BrokerBusy:
            if message.done and not message.done.done():
                self._begin(self._note_late(message, key))
            raise
        finally:
            if self._carried.get(key) is asyncio.current_task():
                del self._carried[key]

    async def _note_late(self, message: Outgoing, key: tuple[bytes, int]) -> None:
        """The board has given up; if the broker acknowledges it all the same, its repeat is none."""
        assert message.done
        await asyncio.wait((message.done,), timeout=600)
        if message.done.done() and not message.done.cancelled():
            await self._seen.add(*key)

    async def follow(self, board: bytes, what: bytes) -> bytes:
        """The verb subscribe: `number 1 | filter`, an empty one ends it."""
        if not what:
            raise Refused("malformed")
        if len(what) == 1:
            self.leases.end(board, what[0])
            return b""
        topic = _text(what[1:])
        if not is_filter(topic) or topic[0] == RESERVED:
            raise Refused("no filter")
        pattern = under(self._table.prefix, topic)
        is_new = self.leases.take(board, what[0], pattern)
        if is_new is None:
            raise Refused("as many filters as a board may have")
        self._hear(pattern)
        if is_new:
            await self.broker.settle(pattern)
        return b""

    def _hear(self, pattern: str) -> None:
        self._numbers[self.broker.subscribe(pattern)] = pattern

    def _on_unused(self, pattern: str) -> None:
        if pattern not in self._fixed:
            self._begin(self.broker.unsubscribe(pattern))

    # The mesh to the broker

    async def _bring_up(self, rule: Rule, subscription: Any) -> None:
        async for message in subscription:
            if message.origin in self._owners.gateways or message.topic[:1] == RESERVED:
                continue  # what a gateway says came from a broker
            owner = self._owners.owner(message.origin)
            if owner == self._gateway.id:
                self._raise(rule, message)
            else:
                self.counts["not_mine"] += 1
                self._recent.append((time.monotonic(), owner, rule, message))

    def _raise(self, rule: Rule, message: Any, is_repeat: bool = False) -> None:
        """Publish a message of the mesh at the broker."""
        at_broker = under(self._table.at_broker(rule), message.topic)
        if not is_topic(at_broker):
            return
        self.presence.on_heard(message.origin)
        is_part = self.devices.learn(message.origin, message.topic, at_broker) if self.devices else False
        self.counts["up"] += 1
        board = message.origin if message.is_proven else None  # else whoever published it says that it is from there
        self.broker.offer(Outgoing(at_broker, message.payload, 1, rule.retain or is_part, is_repeat, board))

    def _on_owners(self, before: set[bytes], now: set[bytes]) -> None:
        """Gateways came or went. What one that went had not published any more is published here, as a repeat."""
        oldest = time.monotonic() - RECENT_S
        kept = list(self._recent)
        self._recent.clear()
        for at, owner, rule, message in kept:
            if owner in now:
                self._recent.append((at, owner, rule, message))
            elif at > oldest and self._owners.is_mine(message.origin):
                self._raise(rule, message, True)
        if self.devices and self.broker.is_up:
            self.devices.announce_all()
        if before - now and self.broker.is_up:
            self.presence.call_roll()

    # The broker to the mesh

    def _pattern(self, rule: Rule) -> str:
        return under(self._table.at_broker(rule), rule.mesh)

    def _on_message(self, message: aiomqtt.Message) -> None:
        """A message of the broker. MQTT 5 says for which filters it came: where they meet, it comes once for each."""
        topic, payload = str(message.topic), bytes(message.payload or b"")
        numbers = getattr(message.properties, "SubscriptionIdentifier", None)
        patterns = {self._numbers.get(number, "") for number in numbers or ()} or None

        def fits(pattern: str) -> bool:
            return pattern in patterns if patterns is not None else matches(pattern, topic)

        if any(map(fits, self.presence.filters())):
            self.presence.on_message(topic, payload, bool(message.retain))
        if self.devices and any(map(fits, self.devices.filters())):
            self._on_home(topic, payload, bool(message.retain))
        for rule in self._table.down:
            if fits(self._pattern(rule)) and (rule.retain or not message.retain):
                self._lower(rule, topic, payload)
        short = below(self._table.prefix, topic)
        if short and len(short.encode()) <= 255:
            self.leases.spread(fits, short, payload, bool(message.retain))

    def _on_home(self, topic: str, payload: bytes, is_retained: bool) -> None:
        assert self.devices
        if topic == self.devices.birth:
            if payload == ONLINE.encode():
                self._begin(self._welcome())
        else:
            self.devices.on_message(topic, payload, is_retained)

    async def _welcome(self) -> None:
        await asyncio.sleep(random.uniform(0, BIRTH_S))
        if self.devices:
            self.devices.announce_all()

    def _lower(self, rule: Rule, topic: str, payload: bytes) -> None:
        """Queue a message for the mesh, if this gateway owns its topic. A reserved topic never goes there."""
        short = below(self._table.at_broker(rule), topic)
        if not short or short[0] == RESERVED or not self._owners.is_mine(sha256(topic.encode()).digest()):
            return
        if self._down.full():
            self._down.get_nowait()
            self.counts["down_dropped"] += 1
        self._down.put_nowait((short, payload))

    async def _bring_down(self) -> None:
        while True:
            topic, payload = await self._down.get()
            try:
                await self._node.publish(topic, payload)
                self.counts["down"] += 1
            except PicoswarmError:
                self.counts["too_long"] += 1
            await asyncio.sleep(DOWN_S)

    # Presence

    def _on_event(self, event: tuple) -> None:
        if event[0] in ("connected", "disconnected") and event[1] not in self._owners.gateways:
            is_there = event[0] == "connected"
            if is_there or event[1] in self.presence.boards:
                self.presence.on_session(event[1], is_there)

    def _on_up(self) -> None:
        """There is a connection to the broker again."""
        for id32, *_ in self._node.sessions():
            if id32 not in self._owners.gateways:
                self.presence.on_session(id32, True)
        self.presence.call_roll()
        if self.devices:
            self.devices.announce_all()

    def _has_session(self, board: bytes) -> bool:
        return self._node.session(board) is not None

    def _name_of(self, board: bytes) -> str:
        session = self._node.session(board)
        return session.hello.name if session else ""

    def _say(self, topic: str, text: str) -> None:
        """Publish what the gateway itself has to say. While there is no connection only what takes something away waits: the
        rest is all said at once when there is one."""
        if self.broker.is_up or not text:
            self.broker.offer(Outgoing(topic, text.encode(), 1, True))

    # Tasks

    def _begin(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guard(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, job: Coroutine[Any, Any, None]) -> None:
        try:
            await job
        except Exception as error:
            self._gateway.loops.note(f"mqtt: {job.__name__}", error)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.leases.expire()
            self.presence.look()
            known = {*self.presence.boards, *(self.devices.topics if self.devices else ())}
            for board in filter(self._node.is_revoked, known):
                self.forget(board)


def _text(raw: bytes) -> str:
    with suppress(UnicodeDecodeError):
        return raw.decode()
    raise Refused("no text")
