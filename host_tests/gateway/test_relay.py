"""Nodes that cannot connect to each other have a session through a gateway (docs/protocol.md 7.7): here all on CPython."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from picoswarm import Node, Profile, connmgr, seeking
from picoswarm import relay as relay_of_boards
from picoswarm.compat import ticks_add, ticks_ms
from picoswarm.crypto import run as run_job
from picoswarm.failures import SessionLost, StreamError, Unreachable
from picoswarm.keys import LoadOrCreate, gather
from picoswarm.membership import Membership
from picoswarm.reasons import name
from picoswarm.store import Store
from picoswarm.streams import Stream
from picoswarm_gateway.node import HostNode
from picoswarm_gateway.profile import gateway_profile
from picoswarm_gateway.relay import Limits, Relay
from picoswarm_tools.keyfolder import new_network_key, save
from picoswarm_tools.swarm import HOST, free_ports

DUPLICATE, TRIMMED, LOST, FORGED = 6, 17, 20, 21  # see reasons.py
FAST = {"start_ms": 0, "revalidate_s": 1}


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    """Nobody waits a random while before a dial, nor long for a direct one."""
    monkeypatch.setattr(seeking, "_DIRECT_MS", 300)
    monkeypatch.setattr(connmgr, "_START_MS", 20)
    monkeypatch.setattr(relay_of_boards, "_KEEP_MS", 100)


async def until(condition: Callable[[], object], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


class Meshed:
    """`gateways` with their `relays`, and `boards` that take no connections."""

    def __init__(
        self,
        folder: Path,
        boards: int,
        gateways: int = 1,
        limits: Limits | None = None,
        gateway_numbers: dict[str, int] | None = None,
        **numbers: int,
    ) -> None:
        membership = Membership(new_network_key())
        ports = free_ports(boards + gateways)
        known = [f"{HOST}:{port}" for port in ports[:gateways]]
        self._limits = limits
        self.nodes = []
        for i, port in enumerate(ports):
            store = Store(str(folder / f"n{i}"))
            save(store, membership)
            own = Profile(**{**FAST, "listen": 0, **numbers})
            profile = gateway_profile(**FAST, **(gateway_numbers or {})) if i < gateways else own
            kind = HostNode if i < gateways else Node
            self.nodes.append(kind(store, profile=profile, host=HOST, port=port, bootstrap=known, name=f"n{i}"))
        self.gateways = self.nodes[:gateways]
        self.boards = self.nodes[gateways:]
        self.relays: list[Relay] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Meshed:
        for node in self.nodes:
            await self._stack.enter_async_context(node)
        self.relays = [Relay(node, self._limits) for node in self.gateways]
        for board in self.boards:
            for gateway in self.gateways:
                await until(lambda board=board, id32=gateway.id: board.contact(id32))
                await board._services.session(gateway.id, 30_000, True)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()


async def echo(stream: Any) -> None:
    while data := await stream.read():
        await stream.write(data)


async def there_and_back(node: Node, id32: bytes, data: bytes) -> bytes:
    """What the other node's /echo/1 gives back."""
    back = b""
    async with await node.open_stream(id32, "/echo/1") as stream:
        writer = asyncio.create_task(stream.write(data))
        while len(back) < len(data) and (part := await stream.read()):
            back += part
        await writer
    return back


def run(folder: Path, boards: int, scenario, **more: object) -> None:
    async def whole() -> None:
        async with Meshed(folder, boards, **more) as mesh:
            await scenario(mesh, *mesh.boards)
            for node in mesh.nodes:
                assert not node.stats().get("faults") and node.fault is None, repr(node.fault)

    asyncio.run(whole())


def session_of(node: Node, other: Node) -> Any:
    return node._services.swarm.peers.get(other.id)


def is_relayed(node: Node, other: Node) -> bool:
    return any(peer[0] == other.id and peer[1].startswith("0.") for peer in node.sessions())


def held_by(*nodes: Node) -> list[list[int]]:
    """The values of the peers that each node holds on to."""
    return [list(node._services.swarm.manager.values.values()) for node in nodes]


async def until_busy(node: Node, other: Node, is_enough: Callable[[], object]) -> None:
    """Ask for a session until the answer is that there is no room, and something else is so."""
    why = ""
    async with asyncio.timeout(90):
        while "busy" not in why or not is_enough():
            with pytest.raises(Unreachable) as failed:
                await node.request(other.id, "same", b"x", 4000)
            why = str(failed.value)


def streams_of(node: Node) -> list[Any]:
    """The streams of a node, the closed ones too that the other side has not let go."""
    return list(node._services._streams)


async def ended(node: Node, other: Node) -> int:
    """The reason for which a session with another node ended."""
    async with asyncio.timeout(40):
        async for event in node.events:
            if event[:2] == ("disconnected", other.id):
                return event[2]


def test_a_request_reaches_a_node_that_takes_no_connections(tmp_path):
    async def scenario(mesh, a, b):
        for node in (a, b):
            node.handle("who", lambda caller, payload: caller + payload)
        assert await a.request(b.id, "who", b"x") == a.id + b"x"
        assert await b.request(a.id, "who", b"y") == b.id + b"y"
        assert is_relayed(a, b) and is_relayed(b, a) and len(a.sessions()) == len(b.sessions()) == 2
        assert mesh.relays[0].state() == {"connections": 1, "asked": 1, "opened": 1}

    run(tmp_path, 2, scenario)


def test_a_request_made_as_the_node_starts_waits_until_it_has_joined(tmp_path):
    async def whole():
        mesh = Meshed(tmp_path, 1, listen=1)
        (gateway,), (board,) = mesh.gateways, mesh.boards
        store = Store(str(tmp_path / "n0"))
        of_gateway = run_job(LoadOrCreate(store, gather(store))).id
        async with board:
            early = asyncio.create_task(board.request(of_gateway, "who", b"x", 20_000))
            await asyncio.sleep(1)
            async with gateway:
                gateway.handle("who", lambda caller, payload: caller + payload)
                assert await early == board.id + b"x"
                begun = ticks_ms()
                with pytest.raises(Unreachable, match="no such node"):  # in a mesh: long before its time is up
                    await board.request(b"n" * 32, "who", b"", 20_000)
                assert ticks_ms() - begun < 15_000

    asyncio.run(whole())


def test_a_node_that_nobody_answers_over_udp_asks_its_gateway_at_once(tmp_path, monkeypatch):
    async def scenario(mesh, a, b):
        b.handle("who", lambda caller, payload: caller + payload)
        monkeypatch.setattr(seeking, "_DIRECT_MS", 30_000)
        engine = a._discovery
        engine.receive = lambda *datagram: False
        engine.table.pool[:] = bytes(len(engine.table.pool))
        engine.table.entries = 0
        engine.upkeep.is_joined = False
        assert await a.request(b.id, "who", b"x", 10_000) == a.id + b"x" and is_relayed(a, b)

    run(tmp_path, 2, scenario)


def test_a_request_outlives_a_dial_that_ended_for_a_passing_reason_where_no_gateway_is_known(tmp_path):
    async def scenario(mesh, a):
        a.handle("who", lambda caller, payload: caller + payload)
        (gateway,) = mesh.gateways
        session_of(gateway, a).close()
        manager = gateway._services.swarm.manager
        await until(lambda: not manager.links)
        wish, begun = manager.want, ticks_ms()

        def refused_at_first(id32, ip, port, now, callers=1):
            """As while the other side dials and does not come through."""
            if now - begun > 1000:
                return wish(id32, ip, port, now, callers)
            link = connmgr.Link(id32, ip, port, True)
            link.reason = DUPLICATE
            return link

        manager.want = refused_at_first
        assert await gateway.request(a.id, "who", b"x", 20_000) == gateway.id + b"x"

    run(tmp_path, 1, scenario, listen=1, links=1)


def test_streams_and_published_messages_go_through_it_and_it_frees_what_it_took(tmp_path):
    async def scenario(mesh, a, b):
        b.handle("/echo/1", echo)
        data = os.urandom(20_000)
        assert await there_and_back(a, b.id, data) == data
        heard = b.subscribe("news")
        await until(lambda: any(of.id == b.id and wants for of, wants, *_ in a._services.pubsub.peers.values()))
        await a.publish("news", b"today")
        message = await anext(heard)
        assert (message.payload, message.origin, message.is_proven) == (b"today", a.id, True)
        session_of(a, b).close()
        a._services.links.turn()
        assert await ended(b, a) == 0  # bye: the last record came through, too
        await until(lambda: not any(map(streams_of, mesh.nodes)))
        await until(lambda: mesh.relays[0].counts["ended_done"] == 1)
        assert mesh.relays[0].counts["bytes"] > 2 * len(data)
        await until(lambda: held_by(a, b) == [[256], [256]])  # the gateway is held on to as before

    run(tmp_path, 2, scenario, gateway_numbers={"relay": 0})


def test_a_stream_that_nobody_reads_holds_back_no_other(tmp_path):
    async def scenario(mesh, a, b):
        async def idle(stream):
            await asyncio.sleep(3600)

        b.handle("/idle/1", idle)
        b.handle("/echo/1", echo)
        stuck = await a.open_stream(b.id, "/idle/1")
        writer = asyncio.create_task(stuck.write(bytes(5000)))
        assert await there_and_back(a, b.id, bytes(2000)) == bytes(2000) and not writer.done()
        writer.cancel()

    run(tmp_path, 2, scenario)


def _spy(mesh: Meshed, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes]) -> list[bytes]:
    """All that the gateway reads of streams is noted, and changed."""
    seen: list[bytes] = []
    real = Stream.read

    async def read(self: Any, n: int = 256) -> bytes:
        data = await real(self, n)
        if self._services is mesh.gateways[0]._services:
            seen.append(data)
            data = change(data)
        return data

    monkeypatch.setattr(Stream, "read", read)
    return seen


def test_the_gateway_cannot_read_what_it_passes_on(tmp_path, monkeypatch):
    async def scenario(mesh, a, b):
        seen = _spy(mesh, monkeypatch, lambda data: data)
        b.handle("secret-method", lambda caller, payload: payload + b" and the answer to it")
        assert await a.request(b.id, "secret-method", b"a plain text") == b"a plain text and the answer to it"
        passed = b"".join(seen)
        assert len(passed) > 400
        for text in (b"plain", b"secret", b"answer", b.id[:8]):
            assert text not in passed.replace(b.id, b"", 1)  # the id by which it was asked
        assert a.id not in passed

    run(tmp_path, 2, scenario)


def test_a_byte_that_the_gateway_changes_ends_the_session_as_forged_and_nobody_is_banned(tmp_path, monkeypatch):
    async def scenario(mesh, a, b):
        b.handle("same", lambda caller, payload: payload)
        is_evil = [False]

        def change(data: bytes) -> bytes:
            return data[:-1] + bytes([data[-1] ^ 1]) if is_evil[0] and data else data

        _spy(mesh, monkeypatch, change)
        for _ in range(6):  # five of them would ban a peer that does so itself
            assert await a.request(b.id, "same", b"x") == b"x"
            session = session_of(b, a)
            is_evil[0] = True
            with pytest.raises(SessionLost):
                await a.request(b.id, "same", b"y")
            assert session.reason == FORGED
            is_evil[0] = False
            await until(lambda: not is_relayed(a, b) and not is_relayed(b, a))

    run(tmp_path, 2, scenario)


def test_a_gateway_says_why_it_does_not_relay(tmp_path):
    async def scenario(mesh, a, b, c):
        gateway, other_gateway = mesh.gateways
        relay = mesh.relays[0]
        with pytest.raises(Unreachable, match="absent"):
            await a.request(bytes(31) + b"\7", "x")
        for target, word in ((a.id, "self"), (gateway.id, "self"), (other_gateway.id, "absent")):
            stream = a._services.stream(session_of(a, gateway), "/relay/1")
            await stream.write(target)
            with pytest.raises(StreamError) as failed:
                await stream.read()
            assert name(failed.value.reason) == word
        short = a._services.stream(session_of(a, gateway), "/relay/1")
        await short.write(b"half an id")
        short.close()
        with pytest.raises(StreamError):
            await short.read()
        await until(lambda: relay.counts["refused_stream"] == 1)
        assert not relay.splices

    run(tmp_path, 3, scenario, gateways=2)


def test_a_board_is_brought_to_by_gateways_only_and_nothing_is_relayed_twice(tmp_path):
    async def scenario(mesh, a, b, c):
        b.handle("same", lambda caller, payload: payload)
        assert await a.request(b.id, "same", b"x") == b"x"
        near = session_of(a, b)  # goes through the gateway
        for protocol, word in (("/relayed/1", "stream"), ("/relay/1", "unserved")):  # the latter by gateways only
            stream = a._services.stream(near, protocol)
            await stream.write(c.id)
            with pytest.raises(StreamError) as failed:
                await stream.read()
            assert name(failed.value.reason) == word
        session_of(mesh.gateways[0], a).port = 0  # as if that went through a second gateway
        with pytest.raises(Unreachable, match="stream"):
            await a.request(c.id, "same", b"x")

    run(tmp_path, 3, scenario)


def test_limits_of_the_relay(tmp_path):
    async def scenario(mesh, a, b, c):
        relay = mesh.relays[0]
        for node in (b, c):
            node.handle("same", lambda caller, payload: payload)
            node.handle("/echo/1", echo)
        assert await a.request(b.id, "same", b"x") == b"x"
        await until_busy(a, c, lambda: relay.counts["refused_busy"] > 1)  # it is asked again
        # one connection with too many bytes ends, and there may be another
        with pytest.raises(StreamError):
            await there_and_back(a, b.id, bytes(10_000))
        await until(lambda: relay.counts["ended_bytes"] == 1)
        assert await a.request(b.id, "same", b"x") == b"x"

    run(tmp_path, 3, scenario, limits=Limits(per_peer=1, bytes_each=8000))


def test_a_connection_on_which_nothing_goes_ends(tmp_path):
    async def scenario(mesh, a, b):
        b.handle("same", lambda caller, payload: payload)
        assert await a.request(b.id, "same", b"x") == b"x"
        await until(lambda: mesh.relays[0].counts["ended_idle"] == 1)
        await until(lambda: not any(map(streams_of, mesh.nodes)) and not is_relayed(a, b) and not is_relayed(b, a))

    run(tmp_path, 2, scenario, limits=Limits(idle_s=0.5))


def test_a_relay_passes_on_no_more_in_a_second_than_it_may(tmp_path):
    async def scenario(mesh, a, b):
        b.handle("/echo/1", echo)
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await there_and_back(a, b.id, bytes(8000)) == bytes(8000)
        passed = mesh.relays[0].splices[0].bytes
        assert passed > 16_000 and loop.time() - began > passed / 8000 - 1.1

    run(tmp_path, 2, scenario, limits=Limits(bytes_per_s=8000))


def test_sessions_through_a_gateway_take_links_and_the_gateway_stays(tmp_path):
    async def scenario(mesh, a, b, c):
        for node in (a, b, c):
            node.handle("same", lambda caller, payload: payload)
        assert await a.request(b.id, "same", b"x") == b"x"  # both links of both are taken now
        await until_busy(c, b, lambda: True)
        assert is_relayed(b, a) and session_of(b, mesh.gateways[0]) and len(session_of(b, a).swarm.manager.links) == 2
        # who wants somebody else itself lets the less valuable one go, which is never that with the gateway
        session_of(a, b).link.at = ticks_add(ticks_ms(), -70_000)
        session_of(a, mesh.gateways[0]).link.at = ticks_add(ticks_ms(), -61_000)  # the younger one goes first
        assert await a.request(c.id, "same", b"x") == b"x"
        assert is_relayed(a, c) and not is_relayed(a, b) and session_of(a, mesh.gateways[0])
        assert await ended(b, a) == TRIMMED

    run(tmp_path, 3, scenario, links=2)


def test_where_no_connection_can_be_had_the_gateway_is_asked_and_a_later_connection_takes_the_place(tmp_path):
    async def scenario(mesh, a, b):
        b.handle("same", lambda caller, payload: payload)
        gateway = mesh.gateways[0]
        links = b._services.links
        links._listener.cancel()
        links._listening.close()  # as behind a router: it says that it listens, and cannot be connected to
        await a._services.session(gateway.id, 9000, True)
        await b._services.session(gateway.id, 9000, True)
        while not (a.contact(b.id) and a.contact(b.id)[2]):
            await a.lookup(b.id)
        for one, other in ((a, b), (b, a)):
            if session_of(one, other):
                await one._services.session(other.id, 9000)
                session_of(one, other).close()
                await until(lambda: not session_of(a, b) and not session_of(b, a))
        assert await a.request(b.id, "same", b"x") == b"x"
        assert is_relayed(a, b) and session_of(b, a).link.port == 0  # nobody is dialed where a gateway stands
        # now it can
        links._listening = None
        links._listener = asyncio.create_task(links._listen())
        await a.keep(b.id)
        await until(lambda: session_of(a, b) and not is_relayed(a, b) and session_of(b, a) and not is_relayed(b, a))
        assert await a.request(b.id, "same", b"x") == b"x"
        await until(lambda: not mesh.relays[0].splices)

    run(tmp_path, 2, scenario, listen=1, inbound=3, outbound=1, links=4)


def test_a_peer_that_is_banned_is_not_let_in_through_a_gateway(tmp_path):
    async def scenario(mesh, a, b):
        b.ban(a.id)
        with pytest.raises(Unreachable, match="banned"):
            await a.request(b.id, "same", b"x")
        a.ban(b.id)
        with pytest.raises(Unreachable, match="banned"):
            await a.request(b.id, "same", b"x")

    run(tmp_path, 2, scenario)


def test_without_the_gateway_the_session_is_lost_and_the_next_one_goes_through_another(tmp_path):
    async def scenario(mesh, a, b):
        b.handle("same", lambda caller, payload: payload)
        assert await a.request(b.id, "same", b"x") == b"x"
        i = next(i for i in range(2) if mesh.relays[i].splices)
        lost = asyncio.create_task(ended(a, b))
        await mesh.gateways[i].close()
        assert await lost == LOST
        left = mesh.gateways[1 - i]
        await until(lambda: b.id in [peer[0] for peer in left.sessions()])
        assert await a.request(b.id, "same", b"x", 15_000) == b"x"
        assert len(mesh.relays[1 - i].splices) == 1

    run(tmp_path, 2, scenario, gateways=2)


def test_who_gives_up_waiting_leaves_nothing_behind(tmp_path):
    async def scenario(mesh, a, b):
        b.handle("same", lambda caller, payload: payload)
        await until(lambda: all(node._services.swarm.manager.values for node in (a, b)))
        for seconds in (0.01, 0.05, 0.1, 0.15, 0.2):
            asking = asyncio.create_task(a.request(b.id, "same", b"x"))
            await asyncio.sleep(seconds)
            asking.cancel()
            await asyncio.wait([asking])
            for node in (a, b):
                session = session_of(node, b if node is a else a)
                if session:
                    session.close()
                    node._services.links.turn()
            await until(lambda: not any(map(streams_of, mesh.nodes)))
            await until(lambda: len(a._services.swarm.manager.links) == len(b._services.swarm.manager.links) == 1)
            await until(lambda: held_by(a, b) == [[256], [256]])

    run(tmp_path, 2, scenario)


def test_a_gateway_itself_reaches_a_board_through_another_gateway(tmp_path):
    async def scenario(mesh, a):
        near, far = mesh.gateways
        a.handle("same", lambda caller, payload: payload)
        a.handle("/echo/1", echo)
        far.handle("same", lambda caller, payload: payload)
        session_of(far, a).close()
        far._services.links.turn()
        a.ban(far.id)  # the board does not connect to it by itself
        await until(lambda: not session_of(a, far) and not session_of(far, a))
        a.ban(far.id, 0)
        await far._services.session(near.id, 9000, True)
        assert await far.request(a.id, "same", b"x") == b"x"
        assert is_relayed(far, a) and is_relayed(a, far)
        data = os.urandom(20_000)
        assert await there_and_back(far, a.id, data) == data
        assert await a.request(far.id, "same", b"y") == b"y"
        session_of(a, far).close()
        a._services.links.turn()
        assert await ended(far, a) == 0
        await until(lambda: not any(map(streams_of, mesh.nodes)) and not far._services.swarm.manager.values)

    run(tmp_path, 1, scenario, gateways=2)
