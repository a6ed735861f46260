"""Messages of a program on the channel of a reactor of its own, where it waits for room (row T13)."""

import asyncio

from picoswarm.compat import ticks_diff, ticks_ms
from picoswarm.errors import LocalError
from picoswarm.failures import SessionLost, TimedOut
from picoswarm.waiting import send
from serving import Serving, raised
from swarming import CHANNEL, B, Recorder

RUNTIMES = ("cpython", "small")


def _heard(place):
    return [more for what, _, more in place.member.swarm._by_channel[CHANNEL].told if what == "message"]


def test_more_messages_than_a_queue_holds_come_all_and_in_order():
    async def scenario(world, a, b):
        for i in range(20):
            await send(a, B.id, CHANNEL, bytes((i,)) * 200)
        await send(a, B.id, CHANNEL, "the last one")
        await world.until(lambda: len(_heard(b)) == 21)
        assert [data[0] for data in _heard(b)[:20]] == list(range(20)) and _heard(b)[20] == b"the last one"

    Serving(Recorder).play(scenario)


def test_a_peer_that_takes_nothing_is_waited_for_a_while():
    async def scenario(world, a, b):
        a.member.session(b.member).mux.fill = lambda out, at, end, now: at  # nothing leaves any more
        while a.member.session(b.member).try_send(CHANNEL, bytes(200)):
            pass
        began = ticks_ms()
        error = await raised(send(a, B.id, CHANNEL, bytes(200), 500))
        assert isinstance(error, TimedOut) and ticks_diff(ticks_ms(), began) >= 500

    Serving(Recorder).play(scenario)


def test_who_waits_hears_that_the_session_ended():
    async def scenario(world, a, b):
        a.member.session(b.member).mux.fill = lambda out, at, end, now: at
        while a.member.session(b.member).try_send(CHANNEL, bytes(200)):
            pass
        waiting = asyncio.create_task(raised(send(a, B.id, CHANNEL, bytes(200))))
        await asyncio.sleep(0.1)
        b.member.session(a.member).close()
        assert isinstance(await waiting, SessionLost)

    Serving(Recorder).play(scenario)


def test_a_channel_that_nobody_serves_and_too_long_a_message_are_refused():
    async def scenario(world, a, b):
        for channel, size in ((CHANNEL + 1, 1), (CHANNEL, 301), (0, 1), (128, 1), (256, 1), (-1, 1)):
            assert isinstance(await raised(send(a, B.id, channel, bytes(size))), LocalError)

    Serving(Recorder).play(scenario)


def test_a_node_that_there_is_no_session_with_is_dialed():
    async def scenario(world, a, b):
        a.member.session(b.member).close()
        await world.until(lambda: not (a.member.swarm.sessions or b.member.swarm.sessions))
        await send(a, B.id, CHANNEL, b"hello again")
        await world.until(lambda: _heard(b) == [b"hello again"])

    Serving(Recorder).play(scenario)
