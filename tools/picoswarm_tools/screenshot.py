"""`make screenshot`: the dashboard's picture in the README, of a real mesh: a gateway and MicroPython nodes on 127.0.0.1."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from picoswarm.membership import Membership
from picoswarm.store import Store
from picoswarm_gateway.config import Config, HttpTable, LogTable, MeshTable
from picoswarm_gateway.families.mqtt.table import MqttTable, Rule
from picoswarm_gateway.gateway import Gateway
from picoswarm_gateway.log import set_up

from . import browser, mpy, runtimes
from .broker import Broker
from .demo.mesh import FAST
from .keyfolder import new_network_key, save
from .smallpng import shrink
from .swarm import HOST, NodeProcess, board_heap, free_ports

PICTURE = runtimes.ROOT / "docs" / "dashboard.png"
MOST_BYTES = 200_000
SIZE = {"width": 1280, "height": 900}
BOARD = "RPI_PICO_W"
PATIENCE_S = 120
EVERY_MS = 1500  # between two readings of a node
SENSORS = {
    "kitchen": "temperature",
    "bedroom": "temperature",
    "cellar": "humidity",
    "greenhouse": "humidity",
    "workshop": "co2",
    "office": "co2",
    "boiler": "temperature",
    "meter": "power",
    "attic": "temperature",
    "garage": "humidity",
    "porch": "temperature",
}


@asynccontextmanager
async def sensor_mesh(folder: Path) -> AsyncIterator[tuple[Gateway, list[NodeProcess]]]:
    """A gateway with its dashboard, and a sensor node for each of SENSORS. Raises Missing."""
    ports = free_ports(len(SENSORS) + 3)
    membership = Membership(new_network_key())
    save(Store(str(folder / "gateway")), membership)
    mesh = MeshTable(folder=str(folder / "gateway"), name="house", host=HOST, port=ports[0], profile=dict(FAST))
    http = HttpTable(host=HOST, port=ports[1], token="only for this picture")
    heap = board_heap(BOARD)
    nodes = [NodeProcess(name, folder / name, port, membership, heap) for name, port in zip(SENSORS, ports[3:], strict=True)]
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Broker(folder, ports[2]))
        mqtt = MqttTable(url=broker.url, version=broker.version, up=[Rule("sensors/#")])
        gateway = await stack.enter_async_context(Gateway(Config(mesh=mesh, http=http, mqtt=mqtt)))
        for node in nodes:
            stack.push_async_callback(node.stop)
            await node.start(
                f"{HOST}:{ports[0]}", {**FAST, "name": node.name, "what": SENSORS[node.name], "every": EVERY_MS}
            )
        yield gateway, nodes


async def take(path: Path, seconds: float) -> None:
    """Let a mesh live for a while, and write its picture. Raises Missing, and TimeoutError where it does not come to be."""
    runtimes.find("micropython")
    mpy.compile_library("x86", mpy.BOARD_LEVEL)
    browser.find()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as scratch:
        async with sensor_mesh(Path(scratch)) as (gateway, nodes), browser.chromium() as chromium:
            page = await chromium.new_page(viewport=SIZE, color_scheme="light")
            await page.goto(f"http://{HOST}:{gateway.config.http.port}/")
            async with asyncio.timeout(PATIENCE_S):
                while len(gateway.node.sessions()) < len(nodes):
                    await asyncio.sleep(0.5)
            print(f"screenshot: {len(nodes)} nodes are there after {time.monotonic() - began:.0f} s", flush=True)
            await asyncio.sleep(seconds)
            png = await page.screenshot(full_page=True)
    path.write_bytes(shrink(png))
    size = path.stat().st_size
    print(f"screenshot: {path}, {size:,} bytes")
    if size > MOST_BYTES:
        raise SystemExit(f"screenshot: more than {MOST_BYTES:,} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long the mesh lives before")
    parser.add_argument("--to", type=Path, default=PICTURE)
    options = parser.parse_args()
    set_up(LogTable().level, LogTable().format)
    try:
        asyncio.run(take(options.to, options.seconds))
    except runtimes.Missing as trouble:
        print(f"screenshot: {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
