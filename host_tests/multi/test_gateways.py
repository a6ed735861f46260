"""Several gateways, one mesh, one broker: real processes, of which one is killed and one is stopped."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from picoswarm.failures import RequestError
from picoswarm_gateway.owners import owner

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gateway"))
from brokers import Ear, Mosquitto  # noqa: E402
from small_mesh import HOST, SmallMesh, free_port, until  # noqa: E402

NODES = 4
EVERY_S = 0.25
KILLED_S = 10.0  # goals of issue 5
STOPPED_S = 15.0
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


def test_boards_move_to_another_gateway_and_lose_nothing(tmp_path, record_property):
    async def story():
        mesh = SmallMesh(tmp_path)
        with Mosquitto(tmp_path) as broker:
            gateways: list[GatewayProcess] = []
            async with AsyncExitStack() as stack:
                for i in range(3):
                    gateways.append(GatewayProcess(mesh, f"gateway{i}", broker, [each.address for each in gateways]))
                    stack.callback(gateways[-1].stop)
                await until(lambda: all([each.is_up() for each in gateways]), 60)
                ear = await stack.enter_async_context(Ear(broker))
                known = [each.address for each in gateways]
                talkers, tasks = [], []
                for i in range(NODES):
                    node = await stack.enter_async_context(mesh.node(f"node{i}", *known))
                    talkers.append(Talker(node, f"node{i}"))
                for talker in talkers:
                    gw = await talker.node.gateway("mqtt", 30_000)
                    await until(lambda gw=gw: len(gw.gateways()) == 3)
                    tasks.append(asyncio.create_task(talker.run(gw)))
                stack.callback(lambda: [task.cancel() for task in tasks])

                def bridged(talker: Talker) -> list[bytes]:
                    return ear.heard(f"home/sensors/{talker.name}")

                await until(lambda: all(len(bridged(each)) >= 8 for each in talkers))
                for talker in talkers:
                    mesh_side = bridged(talker)
                    assert len(mesh_side) == len(set(mesh_side)), "each message reaches the broker once"

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

                for task in tasks:
                    task.cancel()
                await asyncio.sleep(0.5)
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
