"""Load on a gateway, and beside it on an MQTT broker: closed loops of echoes from many clients, in a process of its own.

    python -m picoswarm_tools.load serve FOLDER PORT LINKS     a gateway's node that echoes on channel 32
    python -m picoswarm_tools.load mesh FOLDER PORT ID COUNT SECONDS [BATCH]
    python -m picoswarm_tools.load pace FOLDER PORT ID COUNT
    python -m picoswarm_tools.load hold FOLDER PORT ID COUNT
    python -m picoswarm_tools.load mqtt PORT COUNT SECONDS

Each client sends 64 bytes and waits until they come back: to the node over a session, in a record of their own; to the
broker as a QoS 0 publication on a topic that only this client hears. A client process prints a line of JSON once all are
connected, waits for a line on its standard input, and prints another one when the time is over. Those that only `hold`
list eight channels and say no more than keepalive wants, until a line comes. Those that `pace` say ten messages a second
each, for as many seconds as a line says, and again for the next line. rows/gateway.py runs it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import secrets
import struct
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from picoswarm import Reactor
from picoswarm.channel import Channel
from picoswarm.compat import ticks_ms
from picoswarm.handshake import Handshake
from picoswarm.hello import Hello
from picoswarm.keys import load_membership
from picoswarm.nodekey import Create
from picoswarm.profile import Profile
from picoswarm.store import Store
from picoswarm_gateway.cipher import HEAD, TAG, Cipher, Scratch
from picoswarm_gateway.node import HostNode
from picoswarm_gateway.profile import gateway_profile
from picoswarm_gateway.session import HostMux

HOST = "127.0.0.1"
CHANNEL = 32
LIBRARY = (1, 2, 3)  # peer exchange, publish/subscribe, requests
CHANNELS = (Channel(CHANNEL, 5, 64, 16384, 400),)
MANY = tuple(Channel(id_, 5, 64, 16384, 400) for id_ in (*LIBRARY, *range(CHANNEL, CHANNEL + 5)))  # 8 that a member lists
PROFILE = Profile()
TEXT = bytes(64)
FRAME = 3 + len(TEXT)
CREDIT = 8192  # bytes: given back when so many came
RATE = 40_000  # messages a second that are prepared
AT_ONCE = 32  # clients that are being connected
SETTLE_S = 1.0
PACE = 10  # messages a second of a client that paces
PATIENCE_S = 5.0


class Echo(Reactor):
    """Sends back whatever comes on channel 32."""

    channels = CHANNELS

    def receive(self, peer: Any, channel: int, view: memoryview) -> None:
        peer.try_send(channel, bytes(view))


class Beside(Reactor):
    """Four channels more, on which nobody says a word."""

    channels = MANY[len(LIBRARY) + 1 :]


class Client(asyncio.Protocol):
    """One closed loop. A subclass says how to connect and how to send; it calls `came` for each echo."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd, self.number = crowd, number
        self.transport: asyncio.Transport | None = None
        self.times: list[float] = []
        self.sent_at = 0.0
        self.owed = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.greet()

    def connection_lost(self, error: Exception | None) -> None:
        self.crowd.lost += 1

    def greet(self) -> None: ...

    def prepare(self, count: int, times: int) -> None:
        """It will say `count` messages at once, about so often."""

    def say(self, count: int) -> None:
        """Send `count` messages at once."""
        self.owed = count
        self.sent_at = time.perf_counter()

    def came(self) -> None:
        """An echo is there."""
        self.times.append(time.perf_counter() - self.sent_at)
        self.owed -= 1
        if not self.owed and self.crowd.is_running:
            self.say(self.crowd.batch)


class Member(Client):
    """A member of the mesh, down to the record. What it says in the loop is sealed before, and of what comes back it
    looks at the lengths only: so the server is what is measured."""

    channels = CHANNELS

    def greet(self) -> None:
        listed = bytes(channel.id for channel in self.channels)
        hello = Hello(0, 0, b"\x7f\0\0\1\0\1", listed, Profile.record, 4).encode()
        arguments = (self.crowd.identity(), self.crowd.key, secrets.token_bytes, hello, True, None, self.crowd.node_id)
        self.handshake = Handshake(*arguments, ticks_ms())
        self.mux: HostMux | None = None
        self.rest = b""
        self.sealed: deque[bytes] | None = None  # records that are to be said
        self.owed_credit = 0
        self.out = bytearray(Profile.record + HEAD + TAG)
        self._greet()

    def _greet(self) -> None:
        handshake = self.handshake
        while handshake.work():
            pass
        n = handshake.to_send(self.out)
        if n:
            self.transport.write(bytes(self.out[:n]))
        if handshake.stage == 2:
            scratch = self.crowd.scratch
            self.sealer, self.opener = Cipher(handshake.send_key, scratch), Cipher(handshake.receive_key, scratch)
            self.mux = HostMux(PROFILE, self.channels, True, ticks_ms())
            self.mux.on_message = self.heard
            self.mux.start(self.handshake.hello.channels, Profile.record, ticks_ms())
            self.rest = bytes(handshake.buf[: handshake.fill])
            self._flush()
            self.crowd.up.append(self)

    def heard(self, channel: int, view: memoryview) -> None:
        """A message came."""
        self.came()

    def _flush(self) -> None:
        while plain := self.mux.record(self.out, ticks_ms()):
            self.transport.write(self.sealer.seal(plain))

    def data_received(self, data: bytes) -> None:
        if self.mux is None:
            self.handshake.buf[self.handshake.fill : self.handshake.fill + len(data)] = data
            self.handshake.receive(len(data), ticks_ms())
            self._greet()
            return
        data, at = self.rest + data, 0
        while len(data) - at >= HEAD:
            if self.sealed is not None:
                end = at + HEAD + (data[at] << 8 | data[at + 1])
                if end > len(data):
                    break
                for _ in range((end - at - HEAD - TAG) // FRAME):
                    self.came()
                at = end
                continue
            end = at + HEAD + int.from_bytes(data[at : at + HEAD], "big")
            if end > len(data):
                break
            plain = self.opener.open(data, at, end)
            reason = self.mux.receive(plain, 0, len(plain), ticks_ms())
            if reason:
                raise RuntimeError(f"the session ended for reason {reason}")
            at = end
        self.rest = data[at:]
        if self.sealed is None:
            self._flush()

    def _seal(self, count: int) -> bytes:
        """A record of messages, and now and then of credit for those that come back."""
        text = (bytes((CHANNEL, 0x10, len(TEXT))) + TEXT) * count
        self.owed_credit += len(text)
        if self.owed_credit >= CREDIT:
            text += b"\0\x10\4\3" + bytes((CHANNEL,)) + self.owed_credit.to_bytes(2, "big")
            self.owed_credit = 0
        return self.sealer.seal(text)

    def prepare(self, count: int, times: int) -> None:
        self.sealed = deque(self._seal(count) for _ in range(times))

    def say(self, count: int) -> None:
        super().say(count)
        self.transport.write(self.sealed.popleft() if self.sealed else self._seal(count))


class Holder(Member):
    """A member that has a session and nothing to say."""

    channels = MANY

    def heard(self, channel: int, view: memoryview) -> None: ...


class Subscriber(Client):
    """An MQTT 3.1.1 client that hears what it says, down to the packet."""

    def greet(self) -> None:
        self.rest = b""
        self.topic = f"load/{self.number}".encode()
        name = f"load{self.number}".encode()
        body = b"\0\4MQTT\4\2" + struct.pack(">H", 60) + struct.pack(">H", len(name)) + name
        self.transport.write(bytes((0x10, len(body))) + body)
        publish = struct.pack(">H", len(self.topic)) + self.topic + TEXT
        self.packet = bytes((0x30, len(publish))) + publish

    def data_received(self, data: bytes) -> None:
        data, at = self.rest + data, 0
        while len(data) - at >= 2 and at + 2 + data[at + 1] <= len(data):  # each packet here is shorter than 128 bytes
            kind = data[at] >> 4
            if kind == 2:
                body = b"\0\1" + struct.pack(">H", len(self.topic)) + self.topic + b"\0"
                self.transport.write(bytes((0x82, len(body))) + body)
            elif kind == 9:
                self.crowd.up.append(self)
            elif kind == 3:
                self.came()
            at += 2 + data[at + 1]
        self.rest = data[at:]

    def say(self, count: int) -> None:
        super().say(count)
        self.transport.write(self.packet * count)


class Crowd:
    """All clients of a process."""

    def __init__(self, kind: type[Client], port: int, count: int, batch: int = 1) -> None:
        self.kind, self.port, self.count, self.batch = kind, port, count, batch
        self.up: list[Client] = []
        self.lost = 0
        self.is_running = False
        self.key: Any = None
        self.node_id = b""
        self.scratch = Scratch()
        self._identities: list[Any] = []  # of those that connect next

    def draw_key(self, n: int) -> bytes:
        return secrets.token_bytes(n)

    draw = draw_key

    def identity(self) -> Any:
        """A node key of a member that nobody has seen."""
        return self._identities.pop() if self._identities else self._make_identity()

    def _make_identity(self) -> Any:
        job = Create(self)
        while job.step():
            pass
        return job.result

    async def connect(self) -> dict[str, float]:
        """Connect all. Node keys, which take as long as the rest of a client's part, are made before the time runs."""
        loop = asyncio.get_running_loop()
        if issubclass(self.kind, Member):
            self._identities = [self._make_identity() for _ in range(self.count)]
        started = time.perf_counter()
        for number in range(self.count):
            await loop.create_connection(lambda number=number: self.kind(self, number), HOST, self.port)
            while number + 1 - len(self.up) - self.lost > AT_ONCE:
                await asyncio.sleep(0.001)
        while len(self.up) + self.lost < self.count:
            await asyncio.sleep(0.001)
        return {"up": len(self.up), "lost": self.lost, "seconds": time.perf_counter() - started}

    def prepare(self, seconds: float) -> None:
        """Whatever can be done before the time runs."""
        for client in self.up:
            client.prepare(self.batch, int(RATE * seconds / self.batch / self.count))

    async def run(self, seconds: float) -> dict[str, float]:
        """Echo for a time."""
        self.is_running = True
        started = time.perf_counter()
        for client in self.up:
            if not client.transport.is_closing():
                client.say(self.batch)
        await asyncio.sleep(seconds)
        self.is_running = False
        return self._result(time.perf_counter() - started)

    def _result(self, seconds: float) -> dict[str, float]:
        times = sorted(each for client in self.up for each in client.times) or [0.0]
        quantiles = {f"p{q}_ms": times[len(times) * q // 100] * 1000 for q in (50, 99)}
        return {"messages": len(times), "seconds": seconds, "lost": self.lost, **quantiles}

    async def pace(self, seconds: float) -> dict[str, float]:
        """Ten messages a second of each client; `missed`: the one before was not back yet."""
        missed = 0
        started = time.perf_counter()
        for client in self.up:
            client.times.clear()
        turn = 0
        while (spent := time.perf_counter() - started) < seconds:
            while turn < spent * PACE * len(self.up):
                client = self.up[turn % len(self.up)]
                turn += 1
                if client.owed:
                    missed += 1
                else:
                    client.say(1)
            await asyncio.sleep(0.002)
        until = time.perf_counter() + PATIENCE_S
        while any(client.owed for client in self.up) and time.perf_counter() < until:
            await asyncio.sleep(0.01)
        return {**self._result(spent), "missed": missed}


async def drive(crowd: Crowd, seconds: float) -> None:
    """What a client process does."""
    connected = await crowd.connect()
    await asyncio.sleep(SETTLE_S)
    crowd.prepare(seconds)
    print(json.dumps(connected), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps(await crowd.run(seconds)), flush=True)
    os._exit(0)  # a thousand goodbyes would be work for the server


async def pace(crowd: Crowd) -> None:
    """What a process of members does that speak now and then."""
    print(json.dumps(await crowd.connect()), flush=True)
    crowd.prepare(0)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await crowd.pace(float(line))), flush=True)
    os._exit(0)


async def hold(crowd: Crowd) -> None:
    """What a process of holders does."""
    print(json.dumps(await crowd.connect()), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps({"lost": crowd.lost}), flush=True)
    os._exit(0)


async def serve(folder: str, port: int, links: int) -> None:
    """The node that is loaded. Prints its id."""
    profile = gateway_profile(links=links, inbound=links - 8)
    node = HostNode(Store(folder), profile=profile, host=HOST, port=port)
    node.register(Echo())
    node.register(Beside())
    async with node:
        print(node.id.hex(), flush=True)
        await asyncio.Event().wait()


def main(arguments: list[str]) -> None:
    verb, *rest = arguments
    run = asyncio.run
    if os.environ.get("PICOSWARM_LOOP") != "asyncio":
        import uvloop

        run = uvloop.run
    if verb == "serve":
        gc.collect()
        gc.freeze()
        run(serve(rest[0], int(rest[1]), int(rest[2])))
    elif verb == "mesh":
        folder, port, node_id, count, seconds, *batch = rest
        crowd = Crowd(Member, int(port), int(count), int(batch[0]) if batch else 1)
        crowd.key, crowd.node_id = load_membership(Store(str(Path(folder)))).highest, bytes.fromhex(node_id)
        run(drive(crowd, float(seconds)))
    elif verb in ("hold", "pace"):
        folder, port, node_id, count = rest
        crowd = Crowd(Holder if verb == "hold" else Member, int(port), int(count))
        crowd.key, crowd.node_id = load_membership(Store(str(Path(folder)))).highest, bytes.fromhex(node_id)
        run(hold(crowd) if verb == "hold" else pace(crowd))
    elif verb == "mqtt":
        run(drive(Crowd(Subscriber, int(rest[0]), int(rest[1])), float(rest[2])))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
