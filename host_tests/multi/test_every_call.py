"""Each call that a Node has only once somebody makes it does its work in every form of the library that a board is given:
another form has another set of overlays, which are found by 16-bit keys of names (docs/architecture.md)."""

from __future__ import annotations

import asyncio

import pytest
from mesh import HEAP, needs_micropython
from picoswarm import Channel, Node, Profile, Reactor
from picoswarm_tools import boards, mpy, runtimes
from picoswarm_tools.probe import Probe
from picoswarm_tools.swarm import HOST, free_ports

LATE = runtimes.ROOT / "host_tests" / "arch" / "late_names.txt"
CHANNEL = 40  # of every_call.py
NUMBERS = {mpy.WHOLE: {}, mpy.FROZEN: {}, mpy.LEAF: boards.numbers_of("leaf"), mpy.LEAF_FROZEN: boards.numbers_of("leaf")}
WALL_S = 60


class Ear(Reactor):
    """Keeps what it is sent."""

    channels = (Channel(CHANNEL, 1, 2, 256, 256),)

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def receive(self, peer: object, channel: int, view: memoryview) -> int:
        self.heard.append(bytes(view))
        return 0


async def echo(stream) -> None:
    while data := await stream.read():
        await stream.write(data)


@pytest.mark.parametrize("form", NUMBERS, ids=["files", "frozen", "leaf-files", "leaf-frozen"])
def test_every_call_of_a_node_is_found_when_it_is_made(form, tmp_path):
    needs_micropython()
    is_frozen = form in mpy.IN_FIRMWARE.values()

    async def scenario():
        board = Probe(tmp_path, HEAP, numbers=NUMBERS[form], program="every_call", form=form, is_frozen=is_frozen)
        async with asyncio.timeout(WALL_S), board:
            (port,) = free_ports(1)
            ear = Ear()
            member = Node(str(tmp_path / "member"), board.membership, Profile(), host=HOST, port=port)
            member.register(ear)
            async with member:

                async def ask_back(caller, payload):
                    return await member.request(caller, "twice", payload)

                async def hear():
                    async for message in member.subscribe("mesh/reading"):
                        readings.append((bytes(message.payload), message.is_proven))

                async def say():
                    while True:
                        await member.publish("mesh/word", b"on")
                        await asyncio.sleep(0.5)

                readings: list[tuple[bytes, bool]] = []
                member.handle("ask-back", ask_back)
                member.handle("/echo/1.0.0", echo)
                member.log("is asked")
                others = [asyncio.create_task(hear()), asyncio.create_task(say())]
                said = await board.ask(f"{HOST}:{port} {member.id.hex()}")
                for other in others:
                    other.cancel()
        came = said["came"]
        assert set(came) == {line.rpartition(".")[2] for line in LATE.read_text().splitlines()}
        assert came == {
            **dict.fromkeys(("handle", "log", "keep", "send", "protect", "ban")),
            "request": "abab",
            "subscribe": "mesh/word",
            "publish": 1,
            "open_stream": "back",
            "read_log": "is asked\n",
            "read_stats": 1,
            "gateway": "no gateway",
            "disconnect": True,
        }
        assert (ear.heard, readings) == ([b"a reading"], [(b"21", True)])
        assert said["fault"] == "None" and not said["stats"]["faults"] and not said["stats"]["handler_faults"]

    asyncio.run(scenario())
