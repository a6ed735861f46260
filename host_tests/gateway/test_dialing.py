"""The gateway finds and keeps the connections that a family wants; time is the test's own."""

from __future__ import annotations

import asyncio
from collections import Counter

import structlog
from picoswarm_gateway.families import Family, Unreachable
from picoswarm_gateway.families.dialing import LONGEST_WAIT_S, Dialing
from picoswarm_gateway.loops import Loops
from small_mesh import until


class Peers(Family):
    """A family whose peers are there or not."""

    name = "peers"

    def __init__(self, wanted: int, answers: dict[str, bool]) -> None:
        super().__init__()
        self.wanted = wanted
        self.answers = answers  # by address
        self.dialed: Counter[str] = Counter()
        self.connected: set[str] = set()
        self.goodbyes: list[str] = []
        self.hang_up = asyncio.Event()

    async def discover(self) -> list[str]:
        return list(self.answers)

    async def dial(self, address: str) -> None:
        self.dialed[address] += 1
        if not self.answers[address]:
            raise Unreachable(address)
        assert address not in self.connected
        self.connected.add(address)
        try:
            await self.hang_up.wait()
        except asyncio.CancelledError:
            self.goodbyes.append(address)
            raise
        finally:
            self.connected.discard(address)


def run(story, wanted: int = 2, kind: type[Peers] = Peers, **answers: bool) -> None:
    async def framed() -> None:
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            await asyncio.sleep(0)

        family = kind(wanted, answers)
        dialing = Dialing(family, Loops(structlog.get_logger("test")), sleep)
        dialing.start()
        try:
            await story(family, waits)
        finally:
            await dialing.stop()
        assert not family.connected, "with the gateway its connections end"

    asyncio.run(framed())


def test_as_many_peers_are_connected_as_a_family_wants_whoever_else_is_dead():
    async def story(family: Peers, waits: list[float]) -> None:
        await until(lambda: family.connected == {"c", "d"})
        assert family.dialed["a"] <= 1 and family.dialed["b"] <= 1, "who failed once waits behind those never tried"

    run(story, a=False, b=False, c=True, d=True)


def test_a_connection_that_ended_comes_back_after_a_second_or_another_in_its_place():
    async def story(family: Peers, waits: list[float]) -> None:
        await until(lambda: len(family.connected) == 2)
        assert not waits
        for _ in range(3):
            family.hang_up.set()
            await until(lambda: not family.connected)
            family.hang_up.clear()
            await until(lambda: len(family.connected) == 2)
        assert waits and max(waits) <= 1.25

    run(story, a=True, b=True)


def test_who_never_answers_is_dialed_ever_more_seldom_and_never_given_up():
    async def story(family: Peers, waits: list[float]) -> None:
        await until(lambda: family.dialed["a"] > 9)
        for i, wait in enumerate(waits[:9]):
            middle = min(LONGEST_WAIT_S, 2.0**i)
            assert 0.75 * middle <= wait <= 1.25 * middle
        family.answers["a"] = True
        await until(lambda: family.connected == {"a"})

    run(story, wanted=1, a=False)


def test_addresses_that_are_found_later_are_dialed():
    async def story(family: Peers, waits: list[float]) -> None:
        await until(lambda: len(waits) > 2)
        family.answers["late"] = True
        await until(lambda: family.connected == {"late"})

    run(story)


def test_a_connection_can_say_goodbye_when_the_gateway_ends():
    seen: list[Peers] = []

    async def story(family: Peers, waits: list[float]) -> None:
        seen.append(family)
        await until(lambda: len(family.connected) == 2)

    run(story, a=True, b=True)
    assert sorted(seen[0].goodbyes) == ["a", "b"]


def test_a_family_that_dials_by_itself_is_left_alone():
    async def story(family: Peers, waits: list[float]) -> None:
        await asyncio.sleep(0.05)
        assert not family.dialed and not waits

    run(story, wanted=0, a=True)


def test_nobody_else_takes_the_place_of_who_is_always_dialed():
    class Static(Peers):
        def __init__(self, wanted: int, answers: dict[str, bool]) -> None:
            super().__init__(wanted, answers)
            self.always = ["mine"]

    async def story(family: Peers, waits: list[float]) -> None:
        await until(lambda: len(family.connected) == 1 and family.dialed["mine"] > 5)
        family.answers["mine"] = True
        await until(lambda: "mine" in family.connected and len(family.connected) == 2)

    run(story, wanted=1, kind=Static, mine=False, a=True, b=True)
