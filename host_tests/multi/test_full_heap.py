"""A node whose program took the whole heap ends what it was asked for, and goes on when there is memory again (issue 3);
with its session, or a new one (issue 4)."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import AsyncExitStack, suppress

import pytest
from mesh import HEAP, needs_micropython
from picoswarm import Node, RequestError, node
from picoswarm_tools import boards, mpy
from picoswarm_tools.probe import Probe
from picoswarm_tools.swarm import HOST, free_ports

MEMBERS = 3
SECONDS = 20  # for which the heap stays full
BACK_S = 100  # a dial waits for 30 s behind eight that failed, and a minute behind its own one
# Seconds for which the heap of a leaf stays full: shorter than a session is left silent, and longer.
SPELLS = (1, 4, 15, 60, 100) if os.environ.get("PICOSWARM_LONG") == "1" else (1, 15)


@pytest.mark.parametrize("form", ("", "leaf"))
@pytest.mark.parametrize("when", ("before", "during"))
def test_a_lookup_ends_in_a_heap_that_stays_full(when, form, tmp_path, record_property):
    needs_micropython()

    async def scenario():
        async with Probe(tmp_path, HEAP, program="starved_node", form=form) as node, AsyncExitStack() as stack:
            members = await node.surround(stack, MEMBERS)
            async with asyncio.timeout(20):
                while (await node.ask("stats"))["stats"]["live"] < MEMBERS:
                    await asyncio.sleep(0.2)
            target = members[0].id.hex()
            ends = []
            for _ in range(3):  # and it leaves nothing that the next one would want
                outcome = await node.ask(f"{when} {target} {SECONDS}")
                record_property("measured", f"a lookup ended with {outcome['ended']} after {outcome['ms']} ms")
                ends.append(outcome["ended"])
            # Where all had answered before the heap was full, or the node's own lookup ended meanwhile and made room, it has
            # its result: the one that was looked for, or all who are near it.
            assert set(ends) <= {"MemoryError", *range(1, MEMBERS + 1)} and (when == "during" or "MemoryError" in ends), ends
            async with asyncio.timeout(20):
                while not (await node.ask(f"find {target}"))["found"]:
                    await asyncio.sleep(0.5)
            said = await node.ask("stats")
            assert not said["stats"]["faults"], said["fault"]
            assert said["stats"]["out_of_memory"] and said["stats"]["live"] == MEMBERS

    asyncio.run(scenario())


@pytest.mark.parametrize("form", (mpy.LEAF, mpy.LEAF_FROZEN))
def test_a_leaf_has_a_session_again_after_its_heap_was_full(form, tmp_path, record_property):
    """What looks after the sessions of a leaf is loaded when it is wanted, and finds no memory."""
    needs_micropython()

    async def scenario():
        leaf = Probe(
            tmp_path,
            HEAP,
            numbers=boards.numbers_of("leaf"),
            program="starved_node",
            form=form,
            is_frozen=form == mpy.LEAF_FROZEN,
        )
        async with leaf, AsyncExitStack() as stack:
            (member,) = await leaf.surround(stack, 1)
            id32 = bytes.fromhex(leaf.born["id"])
            levels = aiter(member.subscribe("level"))
            refused: Counter[str] = Counter()

            async def ask():
                """Whether the leaf answers; one whom it does not answer knows it in time."""
                try:
                    async with asyncio.timeout(BACK_S):
                        return await member.request(id32, "echo", b"on", 2000) == b"on"
                except RequestError as error:
                    refused[str(error)] += 1
                    await asyncio.sleep(0.1)
                    return False

            async def keep_asking():
                while True:
                    await ask()

            async def is_well(text):
                """It answers, and what it publishes is heard."""
                async with asyncio.timeout(BACK_S):
                    while not await ask():
                        pass
                    while True:
                        await leaf.ask(f"publish level {text}")
                        with suppress(TimeoutError):
                            async with asyncio.timeout(2):
                                if bytes((await anext(levels)).payload).decode() == text:
                                    return

            await is_well("before")
            refused.clear()
            for seconds in SPELLS:
                asking = asyncio.create_task(keep_asking())
                await leaf.ask(f"full {seconds}")
                asking.cancel()
                await is_well(f"after-{seconds}")
            said = await leaf.ask("stats")
            assert said["fault"].startswith(("None", "MemoryError")), said["fault"]
            assert said["stats"]["sessions"] == 1
            # What finds no memory looks for it some times a second, and leaves the processor to others meanwhile.
            assert 0 < said["stats"]["out_of_memory"] < 30 * sum(SPELLS)
            record_property("measured", f"{form}: {said['stats']['out_of_memory']} times no memory, {dict(refused)}")

    asyncio.run(scenario())


def test_a_lookup_waits_for_a_place_but_not_for_those_that_a_full_heap_holds_up(tmp_path, monkeypatch):
    monkeypatch.setattr(node, "_FULL_MS", 300)  # of 5 s: the clock of a whole node is the real one

    async def scenario():
        async with Node(str(tmp_path), bytes(range(32)), {"links": 0, "bootstrap": 1}, HOST, free_ports(1)[0]) as waits:
            engine, driver = waits._discovery, waits._driver
            engine._most = 0  # others have all of the places
            lookup = asyncio.create_task(waits.lookup(bytes(32)))
            await asyncio.sleep(1)  # three times what it would be given up after
            assert not lookup.done()
            async with asyncio.timeout(10):
                while not lookup.done():
                    driver.out_of_memory += 1
                    await asyncio.sleep(0.1)
            assert isinstance(lookup.exception(), MemoryError)

    asyncio.run(scenario())
