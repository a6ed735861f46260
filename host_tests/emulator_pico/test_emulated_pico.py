"""An emulated Pico is a board: it starts blank, keeps what it is told to keep, resets as a real one does, and its node joins
a mesh with a gateway on this machine. The folder is one group of lanes.py: no two workers of a run emulate at a time."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from picoswarm.membership import Membership
from picoswarm_tools.boards import boards, numbers_of
from picoswarm_tools.emulator import clock
from picoswarm_tools.emulator.clock import PicoTime
from picoswarm_tools.emulator.cuts import PHASES, try_cuts
from picoswarm_tools.emulator.observe import gateway, members, numbers
from picoswarm_tools.emulator.pico import HOST, Pico
from picoswarm_tools.emulator.probe import BOARD, EmulatedNode, emulated_node
from picoswarm_tools.keyfolder import new_network_key
from picoswarm_tools.mpy import LEAF

IS_LONG = os.environ.get("PICOSWARM_LONG") == "1"
PATIENCE_S = 300.0  # of a host that is busy; figures are of the Pico's own clock
CUTS = 100 if IS_LONG else len(PHASES)  # each takes a processor two seconds
LONG = pytest.mark.skipif(not IS_LONG, reason="takes minutes of a processor: in `make test-long`")

FACTS = """
import gc, os, sys, machine, json, network
gc.collect()
print(json.dumps({"machine": sys.implementation[2], "version": sys.implementation[1][:2], "mhz": machine.freq() // 1000000,
    "id": machine.unique_id().hex(), "random": os.urandom(32).hex(), "free": gc.mem_free(), "files": os.listdir("/"),
    "cause": machine.reset_cause(), "ppp": hasattr(network, "PPP"), "flash": os.statvfs("/")[0] * os.statvfs("/")[2]}))
"""
SUMS = """
total, x = 0, 12345
for i in range(3000):
    x = (x * 1103515245 + 12345) & 0x3fffffff
    total = (total ^ (x // (i + 1))) + x % 97
print(total, sum(1.5 / (i + 1) for i in range(100)), pow(7, 10**20, 2**89 - 1), bytes(range(40)).hex()[10:30])
"""


def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    async def gathered() -> list[Any]:
        return await asyncio.gather(*work)

    return asyncio.run(gathered())


async def facts_of(pico: Pico) -> dict[str, Any]:
    async with pico.repl() as repl:
        await repl.begin(FACTS)
        return await repl.facts()


def test_two_boards_are_pico_boards_and_no_two_are_alike():
    async def look() -> dict[str, Any]:
        async with Pico() as pico:
            return await facts_of(pico)

    one, other = together(look(), look())
    assert one["machine"] == "Pico (emulated) with RP2040" and tuple(one["version"]) >= (1, 25) and one["mhz"] == 125
    assert one["ppp"] and one["files"] == [] and one["flash"] == 1 << 20 and one["free"] > 180_000
    assert one["id"] != other["id"] and one["random"] != other["random"] and len(set(one["random"])) > 8


def test_the_heap_that_is_taken_before_the_prompt_is_what_the_board_is_said_to_take():
    async def live() -> int:
        async with Pico(frozen=False, turbo=True) as pico, pico.repl() as repl:
            return int(await repl.run("import gc\ngc.collect()\ngc.collect()\nprint(gc.mem_alloc())"))

    (said,) = [board["prompt_bytes"] for board in boards() if board["board"] == BOARD]
    assert abs(asyncio.run(live()) - said) < 512


def test_files_stay_when_the_board_resets_and_when_the_runner_is_killed(tmp_path: Path):
    async def live() -> None:
        async with Pico(tmp_path / "flash") as pico, pico.repl() as repl:
            await repl.put("/kept/one.bin", bytes(range(256)) * 8)
            await repl.begin("import machine\nmachine.reset()")
            assert (await pico.was_reset())["reason"] == 2  # the watchdog, told to
            await repl.enter()
            assert "3 2048" in await repl.run(
                "import os, machine\nprint(machine.reset_cause(), os.stat('/kept/one.bin')[6])"
            )
            await repl.put("/kept/two.bin", b"two")
            pico.kill()
        async with Pico(tmp_path / "flash") as pico, pico.repl() as repl:
            seen = await repl.run("print(open('/kept/one.bin', 'rb').read(3), open('/kept/two.bin').read())")
            assert seen == "b'\\x00\\x01\\x02' two\n"

    asyncio.run(live())


def test_a_watchdog_that_nobody_feeds_restarts_the_board():
    async def live() -> str:
        async with Pico(turbo=True) as pico, pico.repl() as repl:
            await repl.begin("import machine, time\nmachine.WDT(timeout=500)\ntime.sleep(60)")
            assert (await pico.was_reset())["reason"] == 1
            await repl.enter()
            return await repl.run("import machine\nprint(machine.reset_cause())")

    assert asyncio.run(live()) == "3\n"


@LONG
def test_the_fast_decoder_computes_what_the_plain_one_computes_in_as_many_cycles():
    async def compute(is_plain: bool) -> tuple[str, int]:
        async with Pico(seed=1, unique_id=bytes(8), is_plain=is_plain) as pico, pico.repl() as repl:
            cycles = await repl.run(f"import time\nt = time.ticks_us()\n{SUMS}print(time.ticks_diff(time.ticks_us(), t))")
            *computed, micros = cycles.split()
            return " ".join(computed), int(micros)

    (fast, fast_us), (plain, plain_us) = together(compute(False), compute(True))
    assert fast == plain
    assert fast_us == pytest.approx(plain_us, rel=0.01)  # interrupts of the USB port come when they come


def node_of(membership: Membership, form: str, time: PicoTime) -> AbstractAsyncContextManager[EmulatedNode]:
    return emulated_node(membership, form == "frozen", time, form if form == LEAF else "")


@pytest.mark.parametrize("form", ["mpy", LEAF])
def test_a_node_from_its_file_system_joins_and_asks(tmp_path: Path, form: str):
    async def live(time: PicoTime) -> None:
        membership = Membership(new_network_key())
        async with members(membership, tmp_path, 1) as (member,), node_of(membership, form, time) as emu:
            profile = numbers_of(LEAF) if form == LEAF else numbers()
            await emu.start([f"{HOST}:{member._driver.port}"], profile, 0, False)
            assert (await emu.ask(f"meet {member.id.hex()}"))["answered"] == 1
            seen = await emu.ask("heap")
            assert seen["sessions"] == 1 and seen["stats"]["faults"] == seen["stats"]["out_of_memory"] == 0, seen

    clock.run(live)


@LONG
@pytest.mark.parametrize("form", ["frozen", "mpy", LEAF])
def test_a_node_joins_a_gateway_which_hears_it_and_calls_it(tmp_path: Path, form: str):
    async def live(time: PicoTime) -> None:
        membership = Membership(new_network_key())
        async with gateway(membership, tmp_path) as hub, node_of(membership, form, time) as emu:
            heard = hub.node.subscribe("probe/#")
            await emu.start([f"{HOST}:{hub.config.mesh.port}"], numbers_of(LEAF) if form == LEAF else numbers(), 0, False)
            async with asyncio.timeout(PATIENCE_S):
                message = await anext(aiter(heard))
            assert (message.topic, bytes(message.payload), message.origin) == ("probe/reading", b"20.5", emu.id)
            answer = await hub.node.request(emu.id, "probe", b"from the gateway", 60_000)
            assert bytes(answer) == b"from the gateway"
            seen = await emu.ask("heap")
            assert seen["sessions"] == 1 and seen["stats"]["faults"] == 0, seen
            assert emu.link.ppp.dropped == 0

    clock.run(live)  # in the Pico's time: a busy machine makes it slow, and the gateway would give its handshakes up


def test_whenever_the_power_goes_the_board_comes_up_as_the_node_that_it_was_with_the_old_or_the_new(tmp_path: Path):
    seed = secrets.randbits(32)
    trials = asyncio.run(try_cuts(tmp_path, CUTS, seed))
    shown = "\n".join(map(str, trials))
    assert all(trial.survived for trial in trials), f"seed {seed}\n{shown}"
    assert len(trials) == CUTS and sum(trial.inside != "" for trial in trials) * 2 >= CUTS, shown
