"""picoswarm on the emulated Pico: its node joins a mesh with a gateway on this machine, from the firmware and from files."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from picoswarm.membership import Membership
from picoswarm_tools.emulator.observe import gateway, numbers
from picoswarm_tools.emulator.pico import HOST
from picoswarm_tools.emulator.probe import emulated_node
from picoswarm_tools.provision import new_network_key

PATIENCE_S = 120.0


@pytest.mark.parametrize("form", ["frozen", "mpy"])
def test_a_node_joins_a_gateway_which_hears_it_and_calls_it(tmp_path: Path, form: str):
    async def live() -> None:
        membership = Membership(new_network_key())
        async with gateway(membership, tmp_path) as hub, emulated_node(membership, None, form == "frozen") as emu:
            heard = hub.node.subscribe("probe/#")
            await emu.start([f"{HOST}:{hub.config.mesh.port}"], numbers(), 0, False)
            async with asyncio.timeout(PATIENCE_S):
                message = await anext(aiter(heard))
            assert (message.topic, bytes(message.payload), message.origin) == ("probe/reading", b"20.5", emu.id)
            answer = await hub.node.request(emu.id, "probe", b"from the gateway", 60_000)
            assert bytes(answer) == b"from the gateway"
            seen = await emu.ask("heap")
            assert seen["sessions"] == 1 and seen["stats"]["faults"] == 0
            assert emu.link.ppp.dropped == 0

    asyncio.run(live())
