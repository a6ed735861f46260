"""How long a board waits when its gateway fails: three `picoswarm gateway run` and a mosquitto on 127.0.0.1 (`make peers`
brings it), a node that hands over one QoS 1 message after another, and the gateway that owns it is killed; then the next one
is stopped, as by a network that drops everything. What counts is the longest time between two acknowledgements."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

from picoswarm import Node
from picoswarm.failures import RequestError
from picoswarm.membership import Membership
from picoswarm.store import Store

from .. import peers
from ..keyfolder import new_network_key, save
from ..report import Row
from ..swarm import HOST, free_ports
from .gateway import broker, ended
from .gateway_start import NotReady

GATEWAYS = 3
EVERY_S = 0.1
SETTLED_S = 3.0  # of steady acknowledgements, before each failure
FOUND_S = 60.0
PATIENCE_S = 90.0
METHOD = f"the longest time between two acknowledgements of QoS 1, one board, {GATEWAYS} gateways, wall clock"


def start(stack: ExitStack, folder: Path, membership: Membership, url: str, known: list[str]) -> tuple[bytes, str, object]:
    """(id, "ip:port", process) of a gateway that has started. Raises NotReady."""
    save(Store(str(folder)), membership)
    (port,) = free_ports(1)
    config = folder / "gateway.toml"
    mesh = f'[mesh]\nfolder = "{folder}"\nhost = "{HOST}"\nport = {port}\nbootstrap = {json.dumps(known)}\n'
    config.write_text(f'{mesh}[http]\nenabled = false\n[mqtt]\nurl = "{url}"\n')
    command = [Path(sys.executable).with_name("picoswarm"), "gateway", "run", "--config", config]
    said = stack.enter_context((folder / "log").open("w+b"))
    process = stack.enter_context(ended(subprocess.Popen(command, stderr=said)))
    stack.callback(process.send_signal, signal.SIGCONT)
    until = time.monotonic() + FOUND_S
    while time.monotonic() < until and process.poll() is None:
        for line in (folder / "log").read_text().splitlines():
            with suppress(ValueError):
                if (event := json.loads(line))["event"] == "started":
                    return bytes.fromhex(event["id"]), f"{HOST}:{port}", process
        time.sleep(0.05)
    raise NotReady((folder / "log").read_text()[-500:])


class Talker:
    """A board that hands over one message after another."""

    def __init__(self, gw: object) -> None:
        self._gw = gw
        self.count = 0
        self.longest = 0.0
        self.at = time.monotonic()

    async def run(self) -> None:
        while True:
            with suppress(RequestError):
                await self._gw.publish("row/failover", b"%d" % self.count, qos=1)
                now = time.monotonic()
                self.longest, self.at = max(self.longest, now - self.at), now
                self.count += 1
            await asyncio.sleep(EVERY_S)

    async def after(self, count: int) -> None:
        """Until so many more were acknowledged. Raises TimeoutError."""
        wanted = self.count + count
        async with asyncio.timeout(PATIENCE_S):
            while self.count < wanted:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def board(folder: Path, membership: Membership, known: list[str]) -> AsyncIterator[tuple[object, Talker]]:
    """(its gateways, what it says), once it knows all of them."""
    store = Store(str(folder))
    save(store, membership)
    async with Node(store, host=HOST, port=free_ports(1)[0], bootstrap=known) as node:
        gw = await node.gateway("mqtt", int(FOUND_S * 1000))
        async with asyncio.timeout(FOUND_S):
            while len(gw.gateways()) < GATEWAYS:
                await asyncio.sleep(0.1)
        talker = Talker(gw)
        task = asyncio.create_task(talker.run())
        try:
            yield gw, talker
        finally:
            task.cancel()
            await asyncio.wait([task])


async def fail(gateways: dict[bytes, subprocess.Popen], gw: object, talker: Talker, how: signal.Signals) -> float:
    """Seconds that the board was without an acknowledgement, when the gateway that owns it failed."""
    await talker.after(int(SETTLED_S / EVERY_S))
    victim = gateways.pop(next(each for each in gw.gateways() if each in gateways))
    talker.longest, talker.at = 0.0, time.monotonic()
    victim.send_signal(how)
    await talker.after(3)
    return talker.longest


async def failures(folder: Path, stack: ExitStack) -> list[float]:
    """Of a gateway that is killed, and of one that is stopped."""
    membership = Membership(new_network_key())
    _, (_, port) = stack.enter_context(broker(folder / "broker"))
    gateways, known = {}, []
    for i in range(GATEWAYS):
        id32, address, process = start(stack, folder / f"gateway{i}", membership, f"mqtt://{HOST}:{port}", known)
        gateways[id32] = process
        known.append(address)
    async with board(folder / "board", membership, known) as (gw, talker):
        return [await fail(gateways, gw, talker, how) for how in (signal.SIGKILL, signal.SIGSTOP)]


def measure() -> Iterator[Row]:
    """The rows `gateway.failover_seconds`. Raises Missing without mosquitto."""
    peers.mosquitto()
    with tempfile.TemporaryDirectory(prefix="picoswarm-failover-") as name, ExitStack() as stack:
        killed, stopped = asyncio.run(failures(Path(name), stack))
    row, what = "gateway.failover_seconds", "a board whose gateway"
    yield Row(f"{row}.killed", f"{what} was killed", killed, "s", 10, gate=False, method=METHOD)
    yield Row(f"{row}.stopped", f"{what} answers no more", stopped, "s", 15, gate=False, method=METHOD)
