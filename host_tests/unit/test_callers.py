"""What callers of a node may rely on: that a text is sent as such, and that a session which was closed is had again."""

import asyncio

from serving import Serving, raised
from swarming import BUSY, B

RUNTIMES = ("cpython", "small")


def test_a_text_is_sent_as_utf_8_on_every_runtime():
    async def scenario(world, a, b):
        got = []

        def keep(caller, payload):
            got.append(payload)
            return "né"

        async def read(stream):
            data = await stream.read()
            while data:
                got.append(data)
                data = await stream.read()

        b.services.handle("keep", keep)
        b.services.handle("/read/1", read)
        assert await a.services.request(B.id, "keep", "21 °C", 5000) == "né".encode()
        # What a reactor sends, here a request with the id 7.
        a.member.swarm.peers[B.id].try_send(3, "\0\0\7\4keepé")
        await world.until(lambda: len(got) == 2)
        stream = await a.services.open_stream(B.id, "/read/1", 5000)
        await stream.write("é" * 130)
        await world.until(lambda: len(b"".join(got[2:])) == 260)
        assert got[:2] == ["21 °C".encode(), "é".encode()] and b"".join(got[2:]) == "é".encode() * 130
        for wrong in (7, ["x"]):
            assert isinstance(await raised(a.services.request(B.id, "keep", wrong, 5000)), TypeError)
        assert len(got) > 2 and not b.services.faults

    Serving().play(scenario)


def test_who_waits_for_a_permanent_peer_that_is_busy_has_a_session_once_there_is_a_place():
    """Whether it says so or gives no answer; not after the back-off of a permanent peer, 5 s and more."""

    async def scenario(world, a, b):
        b.services.handle("now", lambda caller, payload: b"yes")
        a.member.needs(b.member)
        manager = b.member.swarm.manager
        verdict, may_enter = manager._verdict, manager.may_enter
        for is_told in (True, False):
            if is_told:
                manager._verdict = lambda link, id32, now: BUSY
            else:
                manager.may_enter = lambda ip, is_visit=False, now=0: False
            a.member.swarm.peers[B.id].close()
            await world.until(lambda: not a.member.swarm.peers and not b.member.swarm.peers)
            n = a.member.ends(BUSY)
            answer = asyncio.create_task(a.services.request(B.id, "now", b"", 8000))
            await world.until(lambda n=n: a.member.ends(BUSY) > n)
            manager._verdict = verdict
            manager.may_enter = may_enter
            await world.until(answer.done, 2500)
            assert await answer == b"yes"

    Serving().play(scenario)


def test_who_waits_has_a_session_again_at_once_however_often_it_was_closed():
    """Nobody dials for its own sake for a minute or more, at either end: a session was closed for a reason."""

    async def scenario(world, a, b):
        b.services.handle("now", lambda caller, payload: b"yes")
        for i in range(4):
            place, other = (a, b)[i & 1], (a, b)[1 - (i & 1)]
            place.member.swarm.peers[other.id].close()
            await world.until(lambda: not a.member.swarm.peers and not b.member.swarm.peers)
            assert await a.services.request(B.id, "now", b"", 5000) == b"yes"

    Serving().play(scenario)
