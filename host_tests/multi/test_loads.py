"""What a node with sessions does most often is in memory: it asks for no overlay."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from picoswarm_tools import mpy, runtimes
from picoswarm_tools.probe import Probe
from picoswarm_tools.whole_node import SETTLE_S, cases, members_of, open_sessions

TIMES = 20  # that other business falls into each of them is unlikely


@pytest.mark.parametrize("name", ("leaf", "full"))
def test_messages_load_nothing(name, tmp_path):
    """Nor do requests, but those of a leaf."""
    runtimes.find("micropython")
    case = cases()[name]

    async def scenario():
        numbers = {**case.numbers, "revalidate_s": 3600, "refresh_min_s": 3000, "refresh_max_s": 3600}
        async with (
            Probe(tmp_path, 400_000, mpy.BOARD_LEVEL, numbers, "loads_node", form=case.form) as node,
            AsyncExitStack() as stack,
        ):
            (member,) = await members_of(node, stack, case, 1, 0)
            await open_sessions(node, [member])
            readings = member.subscribe("leaf/#")
            await node.ask("hear member/#")
            await node.ask("publish 2")
            await asyncio.sleep(SETTLE_S)
            assert (await node.ask("stats"))["asks"] > 0  # it counts
            # What the node asks of the table meanwhile may want something: not in all of the times.
            sent, heard, asked = [], [], []
            while (not sent or min(sent) or min(heard) or min(asked)) and len(sent) < TIMES:
                told = await node.ask("publish 10")
                assert told["published"] == 10
                sent.append(told["asks"])
                for _ in range(10):
                    await member.publish("member/reading", b"21")
                    await asyncio.sleep(0.1)
                told = await node.ask("heard")
                heard.append(told["asks"])
                assert told["heard"] == 10 * len(heard)
                told = await node.ask(f"meet {member.id.hex()}")
                assert told["answered"]
                asked.append(0 if name == "leaf" else told["asks"])
            assert min(sent) == min(heard) == min(asked) == 0, (sent, heard, asked)
            readings.close()

    asyncio.run(scenario())
