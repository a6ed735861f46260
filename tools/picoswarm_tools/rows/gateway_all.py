"""What a gateway takes with all families and MQTT enabled at once: memory, processor time at rest, and how soon it serves.

Its peers are addresses of 127.0.0.1 where nobody listens, so it keeps dialing them; MQTT's broker is such an address too.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from coincurve import PrivateKey
from picoswarm.membership import Membership
from picoswarm.store import Store

from .. import runtimes
from ..keyfolder import new_network_key, save
from ..report import Row
from ..swarm import HOST, free_ports
from .gateway_start import GOAL_S, cpu_s, start

REST_S = 20.0
GENESIS = '{"validators": [{"pub_key": {"type": "tendermint/PubKeyEd25519", "value": "%s"}, "power": "10"}]}'
KEY = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="  # of RFC 8032's first test


def _tables(folder: Path) -> str:
    silent = free_ports(1)[0]
    genesis = folder / "genesis.json"
    genesis.write_text(GENESIS % KEY)
    enode = PrivateKey(bytes(31) + b"\1").public_key.format(compressed=False)[1:].hex()
    return (
        f'[mqtt]\nurl = "mqtt://{HOST}:{silent}"\n'
        f'[cometbft]\nchain = "chain"\npeers = ["{"ab" * 20}@{HOST}:{silent}"]\ngenesis = "{genesis}"\n'
        f'[ethereum]\nnetwork = 1337\ngenesis = "{"cd" * 32}"\npeers = ["enode://{enode}@{HOST}:{silent}"]\nport = 0\n'
        f'[bitcoin]\nnetwork = "regtest"\npeers = ["{HOST}:{silent}"]\n'
        "[libp2p]\nenabled = true\n"
    )


def _rss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def measure() -> Iterator[Row]:
    runtimes.build_folder().mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runtimes.build_folder()) as name:
        folder = Path(name)
        save(Store(name), Membership(new_network_key()))
        more = _tables(folder)
        process, _ = start(folder, more)  # it makes keys
        process.terminate()
        process.communicate(timeout=30)
        process, seconds = start(folder, more)
        began, before = time.monotonic(), cpu_s(process.pid)
        time.sleep(REST_S)
        share = (cpu_s(process.pid) - before) / (time.monotonic() - began)
        memory = _rss(process.pid)
        process.terminate()
        process.communicate(timeout=30)
    how = "mqtt, bitcoin, ethereum, cometbft and libp2p enabled, all of their peers silent; one process on this machine"
    yield Row("gateway.all.start_seconds", "from process start to /readyz", seconds, "s", GOAL_S, gate=False, method=how)
    yield Row("gateway.all.rss", "resident memory", memory, "bytes", method=how)
    yield Row("gateway.all.idle_cpu", f"share of a core over {REST_S:.0f} s", share, "ratio", method=how)
