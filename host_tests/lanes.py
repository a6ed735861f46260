"""pytest plugin: which worker of pytest-xdist runs what, and when.

Half of the time of all tests goes by in waiting: real processes live, age and come back. The other half burns a processor.
So the workers go in two lanes: every second one takes what burns, the others take what waits, and each lane helps the other
when it has nothing left. No two lanes of burning more than a small machine has, no processor that idles while three meshes
wait for each other. In each lane what takes longest begins first: otherwise it is what all wait for at the end.

A file stays with one worker, since its tests share fixtures; of the unit tests, a file on one runtime does.
"""

from __future__ import annotations

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

WAITING = ("board", "gateway", "interop", "multi", "shipping")
BY_RUNTIME = ("noalloc", "unit")
TOGETHER = ("emulator_pico",)  # one emulated Pico takes a processor
# Seconds of what takes longest, on two quiet cores. A file on one runtime: with its name behind "@".
SECONDS = {
    "emulator_pico": 300,
    "multi/test_gateways.py": 110,
    "multi/test_full_heap.py": 110,
    "board/test_board_life.py": 100,
    "interop/test_libp2p.py": 100,
    "interop/test_bitcoin_outage.py": 60,
    "multi/test_rekey.py": 60,
    "multi/test_mesh_with_loss.py": 60,
    "multi/test_size.py": 90,
    "multi/test_every_call.py": 60,
    "multi/test_small_heap.py": 60,
    "gateway/test_families_chaos.py": 50,
    "interop/test_bitcoin.py": 50,
    "shipping/test_deploy.py": 50,
    "shipping/test_image.py": 50,
    "multi/test_heap_audit.py": 50,
    "multi/test_demo.py": 40,
    "gateway/test_dashboard.py": 40,
    "gateway/test_relay.py": 40,
    "fuzz/test_datagram_fuzz.py": 60,
    "sim/test_swarm_mesh.py": 60,
    "sim/test_discovery_mesh.py": 50,
    "prop/test_cipher_crosscheck.py": 50,
    "prop/test_curve_crosscheck.py": 50,
    "unit/test_ed25519.py@qemu-m3": 40,
    "unit/test_discovery_time.py@qemu-m0": 40,
    "runner/test_shrink.py": 40,
    "prop/test_first_boot.py": 30,
    "fuzz/test_services_fuzz.py": 30,
    "sim/test_lookup_truth.py": 30,
}


def group(nodeid: str) -> str:
    """What runs in one go: a file, a file on one runtime, or a folder."""
    path, _, test = nodeid.partition("::")
    name = path.removeprefix("host_tests/")
    if name.partition("/")[0] in TOGETHER:
        return name.partition("/")[0]
    if name.partition("/")[0] in BY_RUNTIME:
        return f"{name}@{test.rpartition('[')[2].rstrip(']') if test.endswith(']') else 'cpython'}"
    return name


def is_waiting(name: str) -> bool:
    """Whether a group mostly waits."""
    return name.partition("/")[0] in WAITING


class Lanes(LoadScopeScheduling):
    """Groups go to workers as the module's text says."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)

    def _assign_work_unit(self, node) -> None:
        wants_to_wait = int(node.gateway.id.removeprefix("gw")) % 2 == 0

        def is_later(name: str) -> tuple[bool, int]:
            return is_waiting(name) != wants_to_wait, -SECONDS.get(name, 0)

        self.workqueue.move_to_end(min(self.workqueue, key=is_later), last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return Lanes(config, log)
