"""The connection to the broker: it comes back by itself, and what is to be sent meanwhile waits in a bounded queue.

Nothing here blocks the mesh side, whatever the broker does. The gateway dials it again and again (../dialing.py). Of the
messages that wait the oldest goes when the queue is full (or the newest, as the table
says), and is counted; one that a board waits for (QoS 1) is refused instead, and never dropped once it was taken.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from .. import Unreachable
from .table import MqttTable, where

SENDING = 50  # messages under way at a time
INCOMING = 10_000  # that came and were not looked at yet
TRIES = 5  # connections that a message may be under way in: one that the broker cannot take ends each of them
LONGEST = 65_536  # bytes of a packet that it may send us (MQTT 5): a device of Home Assistant; no board takes so much
OVERHEAD = 64  # bytes that a message takes beside topic and payload, as the queue counts
REPEAT = "picoswarm-repeat"  # user property of a message that may have been published before
BOARD = "picoswarm-board"  # user property: the id of the board that said it, in hex
QUIET = ("published", "acknowledged", "received", "dropped", "refused", "withdrawn", "connects", "incoming_lost")

OnMessage = Callable[[aiomqtt.Message], None]


class BrokerBusy(Exception):
    """The queue is full, or the broker did not answer in time."""


@dataclass(eq=False)
class Outgoing:
    """A message to the broker. `done`: set when the broker has acknowledged it, where somebody waits."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    is_repeat: bool = False
    board: bytes | None = None
    done: asyncio.Future[None] | None = field(default=None, repr=False)
    is_left: bool = False  # who waited has given up
    tries: int = 0  # connections that ended over it

    @property
    def size(self) -> int:
        """Bytes in the queue."""
        return len(self.topic) + len(self.payload) + OVERHEAD


class _Incoming(asyncio.Queue):
    """Counts what finds no room."""

    counts: Counter[str] = Counter()

    def put_nowait(self, item: Any) -> None:
        try:
            super().put_nowait(item)
        except asyncio.QueueFull:
            self.counts["incoming_lost"] += 1


def _ignore(_message: object) -> None:
    pass


class Broker:
    """See the module. `client` stands for aiomqtt's where a test has its own."""

    def __init__(
        self,
        table: MqttTable,
        client_id: str,
        will: str,
        log: Any,
        client: Callable[..., Any] = aiomqtt.Client,
    ) -> None:
        """`will`: the topic that says `online` or `offline` of this gateway."""
        self.is_five = table.version == "5"
        self.counts: Counter[str] = Counter(dict.fromkeys(QUIET, 0))
        self.trouble = ""  # why there is no connection
        self.is_up = False
        self.on_message: OnMessage = _ignore
        self.on_up: Callable[[], None] = lambda: None
        self._table = table
        self._client_id = client_id
        self._will = will
        self._log = log
        self._make = client
        self._queue: deque[Outgoing] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._flying: dict[asyncio.Task, Outgoing] = {}
        self._filters: dict[str, int] = {}  # what is to be subscribed to, with its number
        self._numbers = 0
        self._client: Any = None

    # What is to be sent

    def __len__(self) -> int:
        return len(self._queue)

    def offer(self, message: Outgoing) -> bool:
        """Queue a message. False: something was dropped for it, or it was."""
        is_kept = True
        while self._is_full(message):
            is_kept = False
            victim = self._victim()
            self.counts["dropped"] += 1
            if victim is None or self._table.drop == "newest":
                return False
            self._take_back(victim)
        self._push(message)
        return is_kept

    async def deliver(self, message: Outgoing, seconds: float) -> None:
        """Queue a message and wait for the broker's acknowledgement. Raises BrokerBusy: it was not taken, or it may still be
        acknowledged later, of which `done` tells."""
        if self._is_full(message):
            self.counts["refused"] += 1
            raise BrokerBusy("too much waits for the broker")
        message.done = asyncio.get_running_loop().create_future()
        self._push(message)
        await asyncio.wait((message.done,), timeout=seconds)
        if not message.done.done():
            if message in self._queue:
                self._take_back(message)
                self.counts["withdrawn"] += 1
                message.done.cancel()
            message.is_left = True
            raise BrokerBusy("the broker does not answer")

    def _is_full(self, message: Outgoing) -> bool:
        is_too_long = self._bytes + message.size > self._table.queue_bytes
        return len(self._queue) >= self._table.queue_messages or is_too_long

    def _victim(self) -> Outgoing | None:
        """The oldest message that nobody waits for."""
        return next((each for each in self._queue if each.done is None), None)

    def _push(self, message: Outgoing) -> None:
        self._queue.append(message)
        self._bytes += message.size
        self._arrived.set()

    def _take_back(self, message: Outgoing) -> None:
        self._queue.remove(message)
        self._bytes -= message.size

    # What is to be heard

    def subscribe(self, pattern: str) -> int:
        """Hear a filter, for as long as there are connections. Returns its number; a message tells it (MQTT 5)."""
        if pattern not in self._filters:
            self._numbers += 1
            self._filters[pattern] = self._numbers
        return self._filters[pattern]

    async def settle(self, pattern: str) -> None:
        """Tell the broker of a filter now, which sends what it keeps for it. No connection: it is told later."""
        if self.is_up:
            with suppress(aiomqtt.MqttError):
                await self._tell(self._client, pattern)

    async def unsubscribe(self, pattern: str) -> None:
        """Hear it no more."""
        self._filters.pop(pattern, None)
        if self.is_up:
            with suppress(aiomqtt.MqttError):
                await self._client.unsubscribe(pattern)

    async def _tell(self, client: Any, pattern: str) -> None:
        if not self.is_five:
            await client.subscribe(pattern, qos=1)
            return
        properties = Properties(PacketTypes.SUBSCRIBE)
        properties.SubscriptionIdentifier = self._filters[pattern]
        await client.subscribe(pattern, options=SubscribeOptions(qos=1), properties=properties)

    # The connection

    def _new_client(self, url: str) -> Any:
        table = self._table
        host, port, _ = where(url)
        queue = type("Incoming", (_Incoming,), {"counts": self.counts})
        more: dict[str, Any] = {} if self.is_five else {"clean_session": True}
        if self.is_five:
            more["clean_start"] = True
            more["properties"] = Properties(PacketTypes.CONNECT)
            more["properties"].MaximumPacketSize = LONGEST
        client = self._make(
            host,
            port,
            username=table.username or None,
            password=table.secret() if table.username else None,
            identifier=self._client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if self.is_five else aiomqtt.ProtocolVersion.V311,
            will=aiomqtt.Will(self._will, "offline", qos=1, retain=True),
            keepalive=table.keepalive_s,
            tls_context=table.tls(),
            queue_type=queue,
            max_queued_incoming_messages=INCOMING,
            max_inflight_messages=SENDING,
            **more,
        )
        client.pending_calls_threshold = SENDING * 2
        return client

    async def connect(self, url: str) -> None:
        """Be connected until that ends. Raises Unreachable where it did not come to it. Cancelled, it says goodbye."""
        was_up = False
        try:
            async with self._new_client(url) as self._client:
                await self._greet(self._client)
                was_up = True
                try:
                    await self._serve(self._client)
                except asyncio.CancelledError:
                    with suppress(Exception):
                        await self._client.publish(self._will, "offline", qos=1, retain=True, timeout=1)
                    raise
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            self.trouble = str(error) or type(error).__name__
            self._log.warning("no connection to the broker", trouble=self.trouble, waiting=len(self._queue))
            if not was_up:
                raise Unreachable(self.trouble) from None
        except Exception as error:
            self.trouble = repr(error)
            raise
        finally:
            self.is_up = False

    async def _greet(self, client: Any) -> None:
        await client.publish(self._will, "online", qos=1, retain=True)
        for pattern in list(self._filters):
            await self._tell(client, pattern)
        self.is_up = True
        self.trouble = ""
        self.counts["connects"] += 1
        self._log.info("connected to the broker", version=self._table.version, filters=len(self._filters))
        self.on_up()

    async def _serve(self, client: Any) -> None:
        """Send and hear until the connection ends, which raises."""
        tasks = [asyncio.create_task(self._send(client)), asyncio.create_task(self._hear(client))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.is_up = False
            for task in (*tasks, *self._flying):
                task.cancel()
            await asyncio.gather(*tasks, *self._flying, return_exceptions=True)
            self._bring_back()

    def _bring_back(self) -> None:
        """What was under way when the connection ended waits again, as a repeat. A board that gave up asks again itself."""
        for message in reversed(list(self._flying.values())):
            message.tries += 1
            if not message.qos or message.is_left or message.tries > TRIES:
                self.counts["dropped"] += message.done is None
            elif message.done is None or not message.done.done():
                message.is_repeat = True
                self._queue.appendleft(message)
                self._bytes += message.size
        self._flying.clear()

    async def _send(self, client: Any) -> None:
        while True:
            if not self._queue or len(self._flying) >= SENDING:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            message = self._queue.popleft()
            self._bytes -= message.size
            task = asyncio.create_task(self._publish(client, message))
            self._flying[task] = message

    async def _publish(self, client: Any, message: Outgoing) -> None:
        """One message, until the broker has it. A task that is cancelled stays in `_flying`: see `_bring_back`."""
        if message.is_repeat and not self.is_five:
            await self._announce(client, message)
        await client.publish(
            message.topic, message.payload, message.qos, message.retain, self._properties(message), timeout=float("inf")
        )
        self.counts["published"] += 1
        if message.qos:
            self.counts["acknowledged"] += 1
        if message.done and not message.done.done():
            message.done.set_result(None)
        self._flying.pop(asyncio.current_task(), None)  # type: ignore[arg-type]
        self._arrived.set()

    async def _announce(self, client: Any, message: Outgoing) -> None:
        """MQTT 3.1.1 has no room for a mark in a message: the topic of a repeat is said just before."""
        topic = self._will.rpartition("/gateway/")[0] + "/repeat"
        await client.publish(topic, message.topic, qos=1, timeout=float("inf"))

    def _properties(self, message: Outgoing) -> Properties | None:
        if not self.is_five or not (message.is_repeat or message.board):
            return None
        properties = Properties(PacketTypes.PUBLISH)
        if message.is_repeat:  # an assignment adds one
            properties.UserProperty = (REPEAT, "1")
        if message.board:
            properties.UserProperty = (BOARD, message.board.hex())
        return properties

    async def _hear(self, client: Any) -> None:
        async for message in client.messages:
            self.counts["received"] += 1
            try:
                self.on_message(message)
            except Exception:
                self._log.exception("a message of the broker could not be handled", topic=str(message.topic))
