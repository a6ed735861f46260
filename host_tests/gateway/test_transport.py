"""The gateway's sockets: real ones on 127.0.0.1, on both event loops."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from itertools import pairwise

import pytest
import uvloop
from picoswarm import Reactor
from picoswarm.channel import Channel
from picoswarm.compat import ticks_ms
from picoswarm.keys import load_membership
from picoswarm_gateway import swarm, transport
from picoswarm_gateway.node import HostNode
from picoswarm_gateway.profile import gateway_profile
from picoswarm_gateway.transport import WRITE
from picoswarm_tools.load import CHANNEL, CHANNELS, Crowd, Member
from small_mesh import HOST, PATIENCE_S, SmallMesh, free_port, until

IP = socket.inet_aton(HOST)
RUNS = [pytest.param(asyncio.run, id="asyncio"), pytest.param(uvloop.run, id="uvloop")]


UNHURRIED = 33  # a channel whose messages wait for others to go with them


class Unhurried(Member):
    """A member that has that one too."""

    channels = (*CHANNELS, Channel(UNHURRIED, 1, 64, 16384, 400))


class Talker(Reactor):
    """Sends back what comes, and keeps its peers."""

    channels = Unhurried.channels

    def __init__(self) -> None:
        self.peers = []

    def add_peer(self, peer):
        self.peers.append(peer)

    def remove_peer(self, peer, reason):
        self.peers.remove(peer)

    def receive(self, peer, channel, view):
        peer.try_send(channel, bytes(view))


class Gate:
    """A gateway's node and members that dial it, in one loop."""

    def __init__(self, node: HostNode, talker: Talker, store) -> None:
        self.node, self.talker = node, talker
        self.links = node._services.links
        self.swarm = node._services.swarm
        self.port = node._driver.port
        self.crowd = Crowd(Member, self.port, 0)
        self.crowd.key, self.crowd.node_id = load_membership(store).highest, node.id

    async def join(self, kind: type[Member] = Member) -> Member:
        """A member that has a session."""
        member = kind(self.crowd, 0)
        await asyncio.get_running_loop().create_connection(lambda: member, HOST, self.port)
        await until(lambda: member in self.crowd.up)
        member._flush()
        await until(lambda: len(self.swarm.peers) >= len(self.crowd.up))
        return member

    async def echo(self, member: Member, count: int = 1) -> None:
        """Messages go there and back."""
        before = len(member.times)
        member.say(count)
        await until(lambda: len(member.times) == before + count)


@asynccontextmanager
async def gate(mesh: SmallMesh, **numbers: int) -> AsyncIterator[Gate]:
    store, talker = mesh.store("gate"), Talker()
    node = HostNode(store, profile=gateway_profile(**numbers), host=HOST, port=free_port())
    node.register(talker)
    async with node:
        yield Gate(node, talker, store)


@pytest.fixture(params=RUNS)
def play(request: pytest.FixtureRequest, mesh: SmallMesh) -> Callable:
    """Run a story with a gate."""

    def run(story: Callable, **numbers: int) -> None:
        async def told() -> None:
            async with gate(mesh, **numbers) as at:
                await story(at)

        request.param(told())

    return run


def test_bursts_come_back_whole_and_in_order(play):
    async def story(at: Gate) -> None:
        member = await at.join()
        heard = []
        member.mux.on_message = lambda channel, view: heard.append(bytes(view))
        texts = [b"%d" % i * (1 + i % 60) for i in range(200)]
        for i in range(0, 200, 40):
            for text in texts[i : i + 40]:
                assert member.mux.try_send(CHANNEL, text)
            member.mux.flush()
            member._flush()
            await until(lambda i=i: len(heard) == i + 40)
        assert heard == texts

    play(story)


def test_many_that_speak_at_once_are_all_answered_and_so_is_what_waits_for_more(play, monkeypatch):
    monkeypatch.setattr(transport, "AT_ONCE", 2)

    async def story(at: Gate) -> None:
        members = [await at.join() for _ in range(7)]
        slow = await at.join(Unhurried)
        heard = []
        slow.mux.on_message = lambda channel, view: heard.append(bytes(view))
        for i in range(10):
            slow.mux.try_send(UNHURRIED, b"%d" % i)
            slow.mux.flush()
            slow._flush()
            for member in members:
                member.say(1)
            await until(lambda: not any(member.owed for member in members))
        await until(lambda: len(heard) == 10)
        assert heard == [b"%d" % i for i in range(10)]
        assert {len(member.times) for member in members} == {10}
        assert at.links.faults == 0

    play(story)


def test_a_peer_that_reads_nothing_costs_little_memory_and_nobody_else_waits(play):
    async def story(at: Gate) -> None:
        deaf, other = await at.join(), await at.join()
        (peer,) = [peer for peer in at.talker.peers if at.links._links[peer].sock.getpeername() == local(deaf)]
        link = at.links._links[peer]
        link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        deaf.prepare(1, 0)  # from now on it does not look at what comes
        deaf.transport.pause_reading()
        for _ in range(2000):  # it gives all the credit that there is, again and again
            if peer.mux._rows[peer.mux._row(CHANNEL) + 1] < 0x800 and not link.is_full:
                deaf.transport.write(deaf.sealer.seal(bytes((0, 0x10, 4, 3, CHANNEL, 0x20, 0))))
                await asyncio.sleep(0.002)
            while peer.try_send(CHANNEL, bytes(400)):
                pass
            at.links.turn()
            await asyncio.sleep(0)
            if link.is_full and not peer.can_send(CHANNEL):
                break
        assert link.is_full and not peer.can_send(CHANNEL)
        assert link.transport.get_write_buffer_size() <= WRITE + 1024
        await at.echo(other)
        deaf.transport.resume_reading()
        await until(lambda: not link.is_full)  # what is left may wait for credit
        assert len(at.talker.peers) == 2

    play(story)


def test_a_session_has_its_turn_while_the_datagrams_of_strangers_wait(play):
    async def story(at: Gate) -> None:
        member = await at.join()
        driver = at.node._driver
        before = driver.received
        with socket.socket(type=socket.SOCK_DGRAM) as stranger:
            for _ in range(200):
                stranger.sendto(bytes(60), (HOST, at.port))
        member.say(1)
        while member.owed:
            await asyncio.sleep(0)
        assert driver.received - before < 150
        await until(lambda: driver.received - before == 200)

    play(story)


def knocks(at: Gate, count: int) -> ExitStack:
    """So many connections that say nothing, which end with this stack."""
    stack = ExitStack()
    for _ in range(count):
        stack.enter_context(socket.create_connection((HOST, at.port)))
    return stack


def test_who_connects_comes_in_a_few_at_a_time_and_others_have_their_turn(play):
    async def story(at: Gate) -> None:
        loop = asyncio.get_running_loop()
        counts = [0]  # who came in, by the turns of the loop
        accepted = at.swarm.accepted

        def count(*address: object) -> object:
            counts[-1] += 1
            return accepted(*address)

        def turn() -> None:
            counts.append(0)
            if sum(counts) < 100:
                loop.call_soon(turn)

        at.swarm.accepted = count
        turn()
        with knocks(at, 100):
            await until(lambda: sum(counts) == 100)
        assert max(counts) <= 4

    play(story)


def test_who_finds_no_place_waits_outside_until_there_is_one(play, monkeypatch):
    monkeypatch.setattr(swarm, "MERE_SOCKETS", 2)

    async def story(at: Gate) -> None:
        with socket.create_connection((HOST, at.port)) as first, knocks(at, 5):
            await until(lambda: len(at.swarm.sessions) == 2)
            await at.echo(await at.join())
            assert at.crowd.lost == 0
            first.settimeout(PATIENCE_S)
            assert await asyncio.to_thread(first.recv, 1) == b""  # it made room
        await until(lambda: len(at.swarm.sessions) == 1 and not at.links.faults)

    play(story)


def test_where_all_wait_for_a_place_others_have_their_turn_between_two_that_come_in(play, monkeypatch):
    monkeypatch.setattr(swarm, "MERE_SOCKETS", 16)
    monkeypatch.setattr(swarm, "DISPLACED_MS", 100)

    async def story(at: Gate) -> None:
        times: list[float] = []
        accepted = at.swarm.accepted
        at.swarm.accepted = lambda *address: times.append(time.perf_counter()) or accepted(*address)
        with knocks(at, 48):
            await until(lambda: len(times) == 48)
        assert min(b - a for a, b in pairwise(times[16:])) > 0.001

    play(story)


class Hesitant(Member):
    """A member whose first message comes in two pieces."""

    def _greet(self) -> None:
        while self.handshake.work():
            pass
        n = self.handshake.to_send(self.out)
        self.pieces = bytes(self.out[: n // 2]), bytes(self.out[n // 2 : n])
        self._greet = super()._greet


def test_a_socket_costs_no_transport_before_its_first_message_is_whole(play):
    async def story(at: Gate) -> None:
        member = Hesitant(at.crowd, 0)
        await asyncio.get_running_loop().create_connection(lambda: member, HOST, at.port)
        with knocks(at, 1):
            for byte in member.pieces[0]:
                member.transport.write(bytes((byte,)))
                await asyncio.sleep(0.002)
            await until(lambda: len(at.swarm.sessions) == 2)
            await asyncio.sleep(0.1)
            assert [link.transport or link.opening for link in at.links._links.values()] == [None, None]
        await until(lambda: len(at.swarm.sessions) == len(at.links._links) == 1)  # who goes has no session for longer
        member.transport.write(member.pieces[1])
        await until(lambda: member in at.crowd.up)
        member._flush()
        await at.echo(member)

    play(story)


def test_where_each_byte_wakes_the_loop_a_member_comes_in_as_well(play, monkeypatch):
    monkeypatch.setattr(transport, "FIRST", 1)

    async def story(at: Gate) -> None:
        member = Hesitant(at.crowd, 0)
        await asyncio.get_running_loop().create_connection(lambda: member, HOST, at.port)
        member.transport.write(member.pieces[0])
        await until(lambda: any(link.transport for link in at.links._links.values()))
        member.transport.write(member.pieces[1])
        await until(lambda: member in at.crowd.up)
        member._flush()
        await at.echo(member)

    play(story)


def local(member: Member) -> tuple:
    """Its own address."""
    return member.transport.get_extra_info("sockname")


def test_a_socket_whose_peer_reads_nothing_is_cut_soon_after_its_session_ended(play, monkeypatch):
    monkeypatch.setattr(transport, "LINGER_S", 0.05)

    async def story(at: Gate) -> None:
        member = await at.join()
        (peer,) = at.talker.peers
        link = at.links._links[peer]
        link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        member.transport.pause_reading()
        while not link.is_full:
            link.transport.write(bytes(8192))
            await asyncio.sleep(0)
        closed = asyncio.Event()
        end = link.connection_lost
        link.connection_lost = lambda error: (end(error), closed.set())
        at.swarm.lost(peer, ticks_ms())
        at.links.turn()
        await until(lambda: not at.links._links)
        await until(lambda: link.transport.is_closing() and not link.transport.get_write_buffer_size())

    play(story)


def test_wrong_bytes_end_that_session_alone(play):
    async def story(at: Gate) -> None:
        first, second = await at.join(), await at.join()
        first.transport.write(b"\0\x20" + bytes(32))
        await until(lambda: len(at.swarm.peers) == 1)
        await at.echo(second)
        assert at.links.faults == 0 and len(at.links._links) == 1

    play(story)


def test_a_reactor_that_raises_costs_that_session_only(play):
    async def story(at: Gate) -> None:
        first, second = await at.join(), await at.join()
        at.talker.receive = lambda peer, channel, view: 1 / 0
        first.say(1)
        await until(lambda: len(at.swarm.peers) == 1)
        del at.talker.receive
        await at.echo(second)
        assert at.links.faults == 1

    play(story)


def test_an_error_while_sending_costs_that_session_only(play):
    async def story(at: Gate) -> None:
        await at.join()
        (broken,) = at.talker.peers
        second, third = await at.join(), await at.join()
        lost = at.swarm.lost

        def fail(session: object, now: int) -> None:
            at.swarm.lost = lost
            raise ValueError("the end of a session")

        def send(out: bytearray, now: int) -> bytes:
            raise ValueError("what it has to send")

        at.swarm.lost = fail  # the end of it fails too, once
        broken.to_send = send
        for peer in at.talker.peers:  # all three have something to send in one round
            peer.try_send(CHANNEL, b"text")
        at.links.turn()
        await until(lambda: len(at.talker.peers) == 2 and broken not in at.links._links)
        assert str(at.links.fault) == "the end of a session"
        await until(lambda: second.times and third.times)  # what was for them came
        await at.echo(second)

    play(story)


def test_a_dial_that_nobody_takes_fails(play):
    async def story(at: Gate) -> None:
        link = at.swarm.manager.want(bytes(31) + b"\1", IP, free_port(), ticks_ms())
        at.links.turn()
        await until(lambda: link.state == 1 and not at.links._links and not at.swarm.sessions)

    play(story)


def test_a_dial_that_is_given_up_leaves_no_socket(play):
    async def story(at: Gate) -> None:
        with socket.socket() as deaf:
            deaf.bind((HOST, 0))
            deaf.listen(1)
            link = at.swarm.manager.want(bytes(31) + b"\1", IP, deaf.getsockname()[1], ticks_ms())
            await until(lambda: link.state == 3)
            at.swarm.manager.cancel(link)
            await until(lambda: not at.swarm.sessions and not at.links._links)

    play(story)


def test_after_the_address_changed_it_listens_anew(play):
    async def story(at: Gate) -> None:
        await at.join()
        at.links.restart()
        await until(lambda: at.links._listening and not at.swarm.sessions and not at.links._links)
        at.crowd.up.clear()
        await at.echo(await at.join())

    play(story)


def test_it_listens_again_when_no_file_was_left(play, monkeypatch):
    monkeypatch.setattr(transport, "AGAIN_S", 0.05)

    async def story(at: Gate) -> None:
        accept = at.links._accept_one

        def fail(*connection: object) -> None:
            connection[0].close()
            at.links._accept_one = accept
            raise OSError(errno.EMFILE, "Too many open files")

        at.links._accept_one = fail
        with socket.create_connection((HOST, at.port)) as lost:
            lost.settimeout(PATIENCE_S)
            assert await asyncio.to_thread(lost.recv, 1) == b""
        await at.echo(await at.join())

    play(story)


def test_the_end_closes_every_socket(play):
    async def story(at: Gate) -> None:
        member = await at.join()
        waiting = socket.create_connection((HOST, at.port))
        await until(lambda: len(at.swarm.sessions) == 2)
        await at.node.close()
        await until(lambda: member.crowd.lost == 1)
        waiting.settimeout(PATIENCE_S)
        assert await asyncio.to_thread(waiting.recv, 1) == b""
        waiting.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, at.port))

    play(story)
