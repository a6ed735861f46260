"""Sessions between nodes on real sockets: what an application can do with them, and what is left when they end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from mesh import Mesh
from picoswarm import Channel, Node, Profile, Reactor
from picoswarm.failures import HandlerFailed, NoMethod, RequestError, StreamError, TimedOut, TooLong, Unreachable
from picoswarm.membership import Membership
from picoswarm.store import Store
from picoswarm_tools.keyfolder import new_network_key, save
from picoswarm_tools.swarm import HOST, free_ports

FAST = {"start_ms": 0, "revalidate_s": 1}


class Nodes:
    """CPython nodes on loopback that know the first of them; `own`: the class of a reactor that each has."""

    def __init__(self, folder: Path, count: int, own: type[Reactor] | None = None, **numbers: int) -> None:
        membership = Membership(new_network_key())
        self.ports = free_ports(count)
        self.nodes = []
        for i in range(count):
            store = Store(str(folder / f"n{i}"))
            save(store, membership)
            profile = Profile(**{**FAST, "bootstrap": int(i == 0), **numbers})
            known = [f"{HOST}:{self.ports[0]}"] if i else []
            self.nodes.append(Node(store, profile=profile, host=HOST, port=self.ports[i], bootstrap=known, name=f"n{i}"))
            if own:
                self.nodes[-1].register(own())
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> list[Node]:
        for node in self.nodes:
            await self._stack.enter_async_context(node)
        await until(lambda: all(node.sessions() for node in self.nodes))
        await asyncio.sleep(0.5)  # of two that dialed each other at once one is left
        await until(lambda: all(node.sessions() for node in self.nodes))
        return self.nodes

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def echo(stream) -> None:
    while data := await stream.read():
        await stream.write(data)


def run(folder: Path, count: int, scenario, own: type[Reactor] | None = None, **numbers: int) -> None:
    """Run `scenario(*nodes)`; afterwards no node has a fault."""

    async def whole() -> None:
        async with Nodes(folder, count, own, **numbers) as nodes:
            await scenario(*nodes)
            for node in nodes:
                assert not node.stats().get("faults"), repr(node.fault)

    asyncio.run(whole())


class Collector(Reactor):
    """Keeps what it hears, for all nodes of a test."""

    channels = (Channel(40, 3, 8, 4096, 700),)
    heard: list[bytes] = []

    def receive(self, peer, channel, view):
        self.heard.append(bytes(view))


def test_what_a_node_sends_before_it_leaves_arrives(tmp_path):
    async def scenario(a, b):
        Collector.heard.clear()
        for i in range(40):
            await a.send(b.id, 40, bytes((i,)) * 700)
        await a.close()
        await until(lambda: len(Collector.heard) == 40, 10)
        assert [data[0] for data in Collector.heard] == list(range(40))
        await until(lambda: not b.sessions(), 10)
        kinds = [event[0] async for event in a.events]  # they end, once all is told
        assert kinds[-1] == "disconnected"

    run(tmp_path, 2, scenario, Collector)


def test_a_node_leaves_though_its_peer_takes_nothing(tmp_path):
    async def scenario(a, b):
        links = b._services.links
        for link in list(links._links.values()):
            link.reader.cancel()  # which is how it looks when a program holds the processor
        with pytest.raises(TimedOut):
            while True:
                await a.send(b.id, 40, bytes(700), 1000)
        began = asyncio.get_running_loop().time()
        await a.close()
        assert asyncio.get_running_loop().time() - began < 10

    run(tmp_path, 2, scenario, Collector)


def test_a_request_is_answered_by_a_function_or_a_coroutine(tmp_path):
    async def slow(caller, payload):
        await asyncio.sleep(0.05)
        return payload[::-1]

    async def scenario(a, b):
        a.handle("sum", lambda caller, payload: bytes([sum(payload)]))
        a.handle("slow", slow)
        a.handle("who", lambda caller, payload: caller)
        assert await b.request(a.id, "sum", b"\1\2\3") == b"\6"
        assert await b.request(a.id, "slow", b"abc") == b"cba"
        assert await b.request(a.id, "who") == b.id
        answers = await asyncio.gather(*(b.request(a.id, "sum", bytes([i])) for i in range(20)))
        assert answers == [bytes([i]) for i in range(20)]

    run(tmp_path, 2, scenario)


def test_a_request_that_fails_says_how(tmp_path):
    async def never(caller, payload):
        await asyncio.sleep(30)

    async def scenario(a, b):
        a.handle("fails", lambda caller, payload: 1 // 0)
        a.handle("long", lambda caller, payload: bytes(1000))
        a.handle("never", never)
        with pytest.raises(NoMethod):
            await b.request(a.id, "nothing")
        with pytest.raises(HandlerFailed, match="division"):
            await b.request(a.id, "fails")
        with pytest.raises(TooLong):
            await b.request(a.id, "long")
        with pytest.raises(TimedOut):
            await b.request(a.id, "never", timeout_ms=300)
        with pytest.raises(Unreachable):
            await b.request(bytes(31) + b"\7", "sum", timeout_ms=2000)
        assert a.stats()["handler_faults"] == 1 and issubclass(TimedOut, RequestError)

    run(tmp_path, 2, scenario)


def test_a_stream_carries_more_than_its_window_both_ways_and_ends(tmp_path):
    async def scenario(a, b):
        a.handle("/echo/1.0.0", echo)
        data = os.urandom(20_000)
        async with await b.open_stream(a.id, "/echo/1.0.0") as stream:
            writer = asyncio.create_task(stream.write(data))
            back = b""
            while len(back) < len(data):
                back += await stream.read()
            await writer
            stream.close()
            assert await stream.read() == b""
        assert back == data

    run(tmp_path, 2, scenario)


def test_streams_come_and_go_without_leaving_anything(tmp_path):
    async def scenario(a, b):
        a.handle("/echo/1.0.0", echo)
        for i in range(30):
            stream = await b.open_stream(a.id, "/echo/1.0.0")
            await stream.write(b"%d" % i)
            assert await stream.read() == b"%d" % i
            if i % 3:
                stream.close()
                assert await stream.read() == b""
            else:
                stream.reset()
        await until(lambda: not a._services._streams and not b._services._streams)

    run(tmp_path, 2, scenario)


def test_a_protocol_that_nobody_serves_is_refused(tmp_path):
    async def scenario(a, b):
        stream = await b.open_stream(a.id, "/nothing/1.0.0")
        with pytest.raises(StreamError):
            while True:
                await stream.write(b"x")
                await asyncio.sleep(0.01)

    run(tmp_path, 2, scenario)


def test_a_slow_reader_holds_its_own_stream_and_nothing_else(tmp_path):
    async def scenario(a, b):
        got = []
        go_on = asyncio.Event()

        async def lazy(stream):
            await go_on.wait()
            while data := await stream.read():
                got.append(data)

        a.handle("/lazy/1.0.0", lazy)
        a.handle("sum", lambda caller, payload: bytes([sum(payload)]))
        stream = await b.open_stream(a.id, "/lazy/1.0.0")
        writer = asyncio.create_task(stream.write(bytes(5000)))
        await asyncio.sleep(0.2)
        assert not writer.done()
        assert await b.request(a.id, "sum", b"\1\1") == b"\2"
        go_on.set()
        await writer
        stream.close()
        await until(lambda: sum(map(len, got)) == 5000)

    run(tmp_path, 2, scenario)


def test_what_was_published_says_whether_its_origin_is_proven(tmp_path):
    async def scenario(*nodes):
        heard = [[] for _ in nodes]

        async def hear(i):
            async for message in nodes[i].subscribe("t/#"):
                heard[i].append(message)

        tasks = [asyncio.create_task(hear(i)) for i in range(len(nodes))]
        # Each has heard from each of its peers what that one wants.
        await until(lambda: all(state[1] for node in nodes for state in node._services.pubsub.peers.values()))
        await nodes[1].publish("t/plain", b"1")
        await nodes[1].publish("other", b"2")
        await until(lambda: all(len(heard[i]) == 1 for i in (0, 2, 3)))
        direct = {peer for peer, *_ in nodes[1].sessions()}
        for i in (0, 2, 3):
            message = heard[i][0]
            assert (message.topic, message.payload, message.origin) == ("t/plain", b"1", nodes[1].id)
            assert not message.is_proven or nodes[i].id in direct
        assert not heard[1]
        for task in tasks:
            task.cancel()

    run(tmp_path, 4, scenario)


def test_only_signed_messages_reach_who_asked_for_them_and_they_are_proven_everywhere(tmp_path):
    async def scenario(a, b, c):
        heard = []

        async def hear():
            async for message in c.subscribe("s", signed=True):
                heard.append(message)

        task = asyncio.create_task(hear())
        async with asyncio.timeout(60):
            while not heard:  # which takes until the others know what it wants
                await b.publish("s", b"signed", signed=True)
                await asyncio.sleep(0.2)
        assert heard[0].payload == b"signed" and heard[0].is_proven and heard[0].origin == b.id
        task.cancel()

    run(tmp_path, 3, scenario)


def test_another_node_tells_its_log_and_its_counters(tmp_path):
    async def scenario(a, b):
        a.log("the first line")
        a.log("the second")
        text, position = await b.read_log(a.id)
        assert text == "the first line\nthe second\n" and position == len(text)
        a.log("more")
        assert (await b.read_log(a.id, position))[0] == "more\n"
        told, own = await b.read_stats(a.id), a.stats()
        assert told["key_agreements"] == own["key_agreements"] >= 1 and told["drop_forged"] == 0

    run(tmp_path, 2, scenario)


def test_want_of_memory_in_a_handler_costs_its_peer_only(tmp_path):
    async def scenario(a, b, c):
        def fails(caller, payload):
            raise MemoryError

        a.handle("fails", fails)
        a.handle("works", lambda caller, payload: b"yes")
        await until(lambda: len(a.sessions()) == 2)
        before = {peer for peer, *_ in a.sessions()}
        with pytest.raises(RequestError):
            await b.request(a.id, "fails", timeout_ms=2000)
        assert {peer for peer, *_ in a.sessions()} >= before - {b.id}
        assert await c.request(a.id, "works") == b"yes"
        assert await b.request(a.id, "works", timeout_ms=30000) == b"yes"  # and it comes back

    run(tmp_path, 3, scenario)


def test_sockets_and_tasks_are_given_back(tmp_path):
    def held() -> tuple[int, int]:
        return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))

    async def scenario():
        for round_trip in range(3):
            folder = tmp_path / str(round_trip)
            folder.mkdir()
            swarm = Nodes(folder, 4)  # whose ports this program holds, for other programs not to be given them
            before = held()
            async with swarm as nodes:
                nodes[0].handle("/echo/1.0.0", echo)
                stream = await nodes[1].open_stream(nodes[0].id, "/echo/1.0.0")
                await stream.write(b"x")
                assert await stream.read() == b"x"
                events = [node.events for node in nodes]
                assert all(event is not None for event in events)
            await until(lambda before=before: held() == before)

    asyncio.run(scenario())


def test_a_closed_node_says_goodbye_and_its_peers_hear_why(tmp_path):
    async def scenario(a, b):
        told = []

        async def listen():
            async for event in a.events:
                told.append(event)

        task = asyncio.create_task(listen())
        await b.close()
        await until(lambda: ("disconnected", b.id, 0) in told)
        task.cancel()

    run(tmp_path, 2, scenario)


def test_boards_and_a_computer_stream_and_publish_to_each_other(tmp_path):
    async def scenario():
        async with Mesh(tmp_path, 3) as mesh:
            hub = mesh.bootstrap
            hub.handle("/echo/1.0.0", echo)
            heard = []

            async def hear():
                async for message in hub.subscribe("sensors/#"):
                    heard.append(message)

            task = asyncio.create_task(hear())
            await mesh.until(lambda: all(node.state.get("sessions") for node in mesh.nodes), 60)
            for node in mesh.nodes:
                node.talk(300)
            first, second, _ = mesh.nodes
            first.echo(second.id)
            second.echo(hub.id.hex())
            await mesh.until(lambda: len({message.origin for message in heard}) == 3 and first.echoes and second.echoes, 60)
            assert first.echoes[0]["ok"] and second.echoes[0]["ok"]
            await mesh.until(lambda: all(node.total("heard") > 3 and node.total("answered") for node in mesh.nodes), 60)
            for node in mesh.nodes:
                answer = await hub.request(bytes.fromhex(node.id), "about")
                end = 1 + answer[0]
                assert answer[1:end].startswith(b"picoswarm ") and b"MicroPython" in answer[1:end]
                sessions = int.from_bytes(answer[end : end + 2], "big")
                told = {answer[at + 1 : at + 33]: answer[at] for at in range(end + 2, len(answer), 33)}
                assert len(told) == sessions and told[hub.id] & 0xE == 8 | 2  # the hub: relay and gateway
            mesh.assert_nodes_are_sound()
            task.cancel()

    asyncio.run(scenario())


def test_a_node_bans_a_peer_and_takes_it_back(tmp_path):
    async def scenario(a, b):
        a.protect(b.id, value=3)
        await a.keep(b.id)
        a.ban(b.id)
        await until(lambda: not a.sessions() and not b.sessions())
        a.ban(b.id, minutes=0)
        b.handle("sum", lambda caller, payload: bytes([sum(payload)]))
        assert await a.request(b.id, "sum", b"\1\2", 30_000) == b"\3"
        assert a.disconnect(b.id, reason=5) and not a.disconnect(b.id)

    run(tmp_path, 2, scenario)


def test_a_node_with_a_gate_has_no_session_with_whom_it_keeps_out(tmp_path):
    asked = []

    def allow(stage, id32, ip):
        asked.append((stage, ip))
        return False

    async def whole() -> None:
        membership = Membership(new_network_key())
        ports = free_ports(2)
        nodes = []
        for i in range(2):
            store = Store(str(tmp_path / f"n{i}"))
            save(store, membership)
            known = [] if i else [f"{HOST}:{ports[1]}"]
            profile = Profile(**FAST, bootstrap=1)
            gate = allow if i else None
            nodes.append(Node(store, profile=profile, host=HOST, port=ports[i], bootstrap=known, allow=gate))
        async with nodes[0], nodes[1]:
            await until(lambda: nodes[0].contact(nodes[1].id))
            with pytest.raises(Unreachable):
                await nodes[0].request(nodes[1].id, "about", timeout_ms=3000)
            assert not nodes[0].sessions() and not nodes[1].sessions()
        assert {ip for _, ip in asked} == {HOST} and {stage for stage, _ in asked} <= {"accept", "dial"}

    asyncio.run(whole())
