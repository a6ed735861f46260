"""Several gateways, one mesh, one broker; gateways are killed and stopped, the broker hangs or is away."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiomqtt
from picoswarm.failures import RequestError
from picoswarm_gateway.owners import owner

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gateway"))
from brokers import VERSIONS, Ear, Mosquitto  # noqa: E402
from small_mesh import HOST, SmallMesh, free_port, until  # noqa: E402

NODES = 4
EVERY_S = 0.25
LONG = os.environ.get("PICOSWARM_LONG") == "1"
PATIENCE = 1 if LONG else 3  # a machine that does other things as well takes longer; row gateway.failover_seconds measures
KILLED_S = 10.0 * PATIENCE
STOPPED_S = 15.0 * PATIENCE
HUNG_S, AWAY_S = (
    (60.0, 600.0) if LONG else (7.0, 5.0)
)  # that the broker does not answer (which boards notice after 5 s), is away
STEADY = 8  # messages in a row
PREFIX = "three"


class GatewayProcess:
    """`picoswarm gateway run` on a free port."""

    def __init__(self, mesh: SmallMesh, name: str, broker: Mosquitto, bootstrap: list[str]) -> None:
        mesh.store(name)
        self.port = free_port()
        self.id = b""
        path = mesh.folder / f"{name}.toml"
        path.write_text(
            f'[mesh]\nfolder = "{mesh.folder / name}"\nname = "{name}"\nhost = "{HOST}"\nport = {self.port}\n'
            f"bootstrap = {json.dumps(bootstrap)}\n[http]\nenabled = false\n"
            f'[mqtt]\nurl = "{broker.url}"\nprefix = "{PREFIX}"\n[[mqtt.up]]\nmesh = "sensors/#"\nbroker = "home"\n'
        )
        command = [Path(sys.executable).with_name("picoswarm"), "gateway", "run", "--config", str(path)]
        self._said = (mesh.folder / f"{name}.log").open("wb+")
        self.process = subprocess.Popen(command, stderr=self._said)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def is_up(self) -> bool:
        """Whether it said that it has started; then its id is known."""
        self._said.flush()
        for line in Path(self._said.name).read_text().splitlines():
            with suppress(ValueError):
                said = json.loads(line)
                if said.get("event") == "started":
                    self.id = bytes.fromhex(said["id"])
        return bool(self.id)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self._said.close()


class Talker:
    """A node that hands over one message after another with QoS 1, and publishes them in the mesh as well."""

    def __init__(self, node, name: str) -> None:
        self.node = node
        self.name = name
        self.acknowledged: list[bytes] = []
        self.at = time.monotonic()  # of the last acknowledgement
        self.longest = 0.0  # between two of them
        self.troubles: list[str] = []
        self.task: asyncio.Task | None = None

    async def run(self, gw) -> None:
        number = 0
        while True:
            number += 1
            payload = b"%d" % number
            await self.node.publish(f"sensors/{self.name}", payload)
            try:
                await gw.publish(f"talk/{self.name}", payload, qos=1)
            except RequestError as error:
                self.troubles.append(repr(error))
                continue
            now = time.monotonic()
            self.longest, self.at = max(self.longest, now - self.at), now
            self.acknowledged.append(payload)
            await asyncio.sleep(EVERY_S)


class Ledger:
    """A client of the broker that outlives its restarts, and misses nothing that it acknowledged to somebody."""

    def __init__(self, broker: Mosquitto) -> None:
        self.heard: set[tuple[str, bytes]] = set()
        self.is_connected = False
        self._broker = broker

    async def run(self) -> None:
        while True:
            with suppress(aiomqtt.MqttError):
                more = {"identifier": "ledger", "clean_session": False, "protocol": VERSIONS["3.1.1"]}
                async with aiomqtt.Client(HOST, self._broker.port, **more) as client:
                    await client.subscribe(f"{PREFIX}/talk/#", qos=1)
                    self.is_connected = True
                    async for message in client.messages:
                        self.heard.add((str(message.topic), bytes(message.payload)))
            self.is_connected = False
            await asyncio.sleep(0.1)

    def lacks(self, talker: Talker) -> list[bytes]:
        """What was acknowledged to a board and is not here."""
        return [each for each in talker.acknowledged if (f"{PREFIX}/talk/{talker.name}", each) not in self.heard]


@asynccontextmanager
async def three_gateways(mesh: SmallMesh, broker: Mosquitto):
    """(gateways, talkers that know all of them)."""
    async with AsyncExitStack() as stack:
        gateways: list[GatewayProcess] = []
        for i in range(3):
            gateways.append(GatewayProcess(mesh, f"gateway{i}", broker, [each.address for each in gateways]))
            stack.callback(gateways[-1].stop)
        await until(lambda: all([each.is_up() for each in gateways]), 120)
        talkers, tasks = [], []
        for i in range(NODES):
            node = await stack.enter_async_context(mesh.node(f"node{i}", *(each.address for each in gateways)))
            talkers.append(Talker(node, f"node{i}"))
        for talker in talkers:
            gw = await talker.node.gateway("mqtt", 60_000)
            await until(lambda gw=gw: len(gw.gateways()) == 3, 60)
            tasks.append(asyncio.create_task(talker.run(gw)))
            talker.task = tasks[-1]
        try:
            yield gateways, talkers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def is_steady(payloads: list[bytes]) -> bool:
    """Whether the last ones came one after the other, each once."""
    numbers = [int(payload) for payload in payloads[-STEADY:]]
    return len(numbers) == STEADY and numbers == list(range(numbers[0], numbers[0] + STEADY))


def test_a_broker_that_hangs_and_one_that_is_away_are_not_noticed_in_the_mesh_and_cost_no_acknowledged_message(tmp_path):
    async def story():
        mesh = SmallMesh(tmp_path)
        with Mosquitto(tmp_path, "persistence true", f"persistence_location {tmp_path}/", "max_queued_messages 0") as broker:
            ledger = Ledger(broker)
            chats = [asyncio.create_task(ledger.run())]
            await until(lambda: ledger.is_connected)
            async with three_gateways(mesh, broker) as (gateways, talkers):
                first = talkers[0].node
                known = [each.id for each in gateways]
                alive: Counter[str] = Counter()  # messages that the first board heard

                async def chat(node, name: str) -> None:
                    while True:
                        await node.publish(f"alive/{name}", b"")
                        await asyncio.sleep(EVERY_S)

                async def hear() -> None:
                    async for message in first.subscribe("alive/#"):
                        alive[message.topic] += 1

                lost = {}  # the reasons of sessions that ended

                async def watch() -> None:
                    async for kind, *facts in first.events:
                        if kind == "disconnected":
                            lost[facts[0]] = facts[1]

                chats += [asyncio.create_task(chat(talker.node, talker.name)) for talker in talkers[1:]]
                chats += [asyncio.create_task(hear()), asyncio.create_task(watch())]

                async def mesh_works() -> None:
                    """Boards hear each other, and each gateway answers."""
                    before = alive.copy()
                    await until(lambda: len(alive) == NODES - 1 and all(alive[name] > before[name] + 2 for name in alive))
                    for id32 in known:
                        assert len(await first.request(id32, "time/now")) == 6

                async def everybody_is_acknowledged() -> None:
                    before = [len(talker.acknowledged) for talker in talkers]
                    await until(lambda: all(len(t.acknowledged) > n + 2 for t, n in zip(talkers, before, strict=True)), 180)

                async def trouble(seconds: float) -> None:
                    """The broker does not answer for so long; the mesh works, all along."""
                    sessions = {session[0] for session in first.sessions()} & set(known)
                    end = time.monotonic() + seconds
                    while time.monotonic() < end:
                        await mesh_works()
                    gone = sessions - {session[0] for session in first.sessions()}
                    assert not gone, f"sessions with gateways stay, and these ended: {[lost.get(each) for each in gone]}"
                    assert all(each.process.poll() is None for each in gateways)

                await everybody_is_acknowledged()
                broker.process.send_signal(signal.SIGSTOP)
                before = [len(talker.acknowledged) for talker in talkers]
                await trouble(HUNG_S)
                late = [len(t.acknowledged) - n for t, n in zip(talkers, before, strict=True)]
                assert max(late) <= 1, "what hangs acknowledges nothing but what was on its way"
                broker.process.send_signal(signal.SIGCONT)
                await everybody_is_acknowledged()

                await asyncio.to_thread(broker.stop)
                await trouble(AWAY_S)
                await asyncio.to_thread(broker.start)
                await everybody_is_acknowledged()
                for talker in talkers:
                    talker.task.cancel()
                await until(lambda: not any(ledger.lacks(talker) for talker in talkers), 60)
                assert min(len(talker.acknowledged) for talker in talkers) >= 9
            for task in chats:
                task.cancel()

    asyncio.run(asyncio.wait_for(story(), 300 + 2 * (HUNG_S + AWAY_S)))


def test_boards_move_to_another_gateway_and_lose_nothing(tmp_path, record_property):
    async def story():
        mesh = SmallMesh(tmp_path)
        with Mosquitto(tmp_path) as broker:
            async with Ear(broker) as ear, three_gateways(mesh, broker) as (gateways, talkers):

                def bridged(talker: Talker) -> list[bytes]:
                    return ear.heard(f"home/sensors/{talker.name}")

                # In steady state each message reaches the broker once.
                await until(lambda: all(is_steady(bridged(each)) for each in talkers), 60)

                ids = {each.id: each for each in gateways}
                for what, most in ((signal.SIGKILL, KILLED_S), (signal.SIGSTOP, STOPPED_S)):
                    # Whoever owns the first node goes: so one moves at least.
                    for talker in talkers:
                        talker.longest, talker.at = 0.0, time.monotonic()
                    victim = ids.pop(owner(talkers[0].node.id, ids))
                    began = time.monotonic()
                    victim.process.send_signal(what)
                    counts = [len(each.acknowledged) for each in talkers]
                    await until(
                        lambda c=counts: all(len(t.acknowledged) > n + 3 for t, n in zip(talkers, c, strict=True)), 60
                    )
                    took = max(talker.longest for talker in talkers)
                    record_property("measured", f"{what.name}: boards moved within {took:.1f} s")
                    assert took < most, what
                    # And what they publish in the mesh reaches the broker through the new owners.
                    heard = [len(bridged(each)) for each in talkers]
                    await until(lambda h=heard: all(len(bridged(t)) > n + 3 for t, n in zip(talkers, h, strict=True)), 60)
                    took = time.monotonic() - began
                    assert took < most + 5, what

                for talker in talkers:
                    talker.task.cancel()

                def is_complete(talker: Talker) -> bool:
                    return set(talker.acknowledged) <= set(ear.heard(f"{PREFIX}/talk/{talker.name}"))

                with suppress(TimeoutError):
                    await until(lambda: all(map(is_complete, talkers)))
                for talker in talkers:
                    assert not talker.troubles
                    said: dict[bytes, list] = {}
                    for topic, payload, _, marks in ear.said:
                        if topic == f"{PREFIX}/talk/{talker.name}":
                            said.setdefault(payload, []).append(dict(marks))
                    lost = [payload for payload in talker.acknowledged if payload not in said]
                    assert not lost, f"acknowledged and lost: {lost}"
                    for payload, copies in said.items():
                        assert all("picoswarm-repeat" in each for each in copies[1:]), f"an unmarked repeat of {payload!r}"

    asyncio.run(story())
