"""What goes wrong in programs that use a node: each mistake is named at once, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import socket

import pytest
from picoswarm import Channel, LocalError, Node, Reactor, node
from picoswarm.failures import HandlerFailed, NoMethod, SessionLost, StreamError, Unreachable
from picoswarm_tools.swarm import HOST, free_ports
from test_sessions import echo, run, until

NETWORK = bytes(range(32))


def test_a_stream_that_was_closed_takes_nothing_more(tmp_path):
    async def scenario(a, b):
        a.handle("/echo/1.0.0", echo)
        async with await b.open_stream(a.id, "/echo/1.0.0") as stream:
            stream.close()
            with pytest.raises(LocalError, match="closed"):
                await asyncio.wait_for(stream.write(b"late"), 60)

    run(tmp_path, 2, scenario)


@pytest.mark.parametrize("ends_by", ["close", "reset"])
def test_who_waits_to_write_hears_that_another_task_gave_the_stream_up(tmp_path, ends_by):
    async def idle(stream):
        await asyncio.sleep(3600)

    async def scenario(a, b):
        a.handle("/idle/1.0.0", idle)
        stream = await b.open_stream(a.id, "/idle/1.0.0")
        writer = asyncio.create_task(stream.write(bytes(5000)))
        await asyncio.sleep(0.2)
        assert not writer.done()
        getattr(stream, ends_by)()
        with pytest.raises((LocalError, StreamError)):
            await asyncio.wait_for(writer, 60)

    run(tmp_path, 2, scenario)


def test_who_waits_to_read_hears_that_another_task_gave_the_stream_up(tmp_path):
    async def idle(stream):
        await asyncio.sleep(3600)

    async def scenario(a, b):
        a.handle("/idle/1.0.0", idle)
        stream = await b.open_stream(a.id, "/idle/1.0.0")
        reader = asyncio.create_task(stream.read())
        await asyncio.sleep(0.2)
        stream.reset()
        with pytest.raises(StreamError):
            await asyncio.wait_for(reader, 60)

    run(tmp_path, 2, scenario)


def test_streams_that_were_not_read_to_their_end_do_not_use_up_the_places(tmp_path):
    async def says_hello_only(stream):
        await stream.write(b"hello")

    async def scenario(a, b):
        a.handle("/hello/1.0.0", says_hello_only)
        for _ in range(12):  # three times as many as there may be at once
            async with await b.open_stream(a.id, "/hello/1.0.0") as stream:
                await stream.write(b"nobody reads this")
            await until(lambda: not a._services._streams and not b._services._streams)

    run(tmp_path, 2, scenario)


def test_a_stream_may_have_any_name_and_reaches_protocols_only(tmp_path):
    called = []

    async def scenario(a, b):
        a.handle("method", lambda *arguments: called.append(arguments) or b"")
        session = b._services.swarm.peers[a.id]
        for name in (b"/\xff\xfe", b"method"):
            channel = session.mux.open(name, 5)
            told = []
            b._services.links._on_event = told.append
            b._services.touch(session)
            await until(lambda: (9, session, channel, 25) in told)  # noqa: B023
        assert not called and a.stats()["handler_faults"] == 0

    run(tmp_path, 2, scenario)


def test_a_method_that_returns_a_number_is_a_mistake_and_no_zeros(tmp_path):
    async def scenario(a, b):
        a.handle("number", lambda caller, payload: 5)
        with pytest.raises(HandlerFailed, match="bytes"):
            await b.request(a.id, "number")

    run(tmp_path, 2, scenario)


def test_one_filter_is_not_subscribed_to_both_ways(tmp_path):
    async def scenario(a, b):
        first = a.subscribe("alarm", signed=True)
        with pytest.raises(LocalError, match="signed"):
            a.subscribe("alarm")
        first.close()
        a.subscribe("alarm").close()
        with pytest.raises(LocalError):
            a.subscribe("x" * 300)

    run(tmp_path, 2, scenario)


def test_names_that_nobody_can_call_and_ids_of_another_length_are_refused(tmp_path):
    async def scenario(a, b):
        for name in ("", "x" * 65, "/" + "x" * 60):
            with pytest.raises(LocalError):
                a.handle(name, echo)
        for id32 in (b.id.hex(), b.id[:31]):
            with pytest.raises(LocalError, match="32 bytes"):
                await a.request(id32, "sum")

    run(tmp_path, 2, scenario)


@pytest.mark.parametrize("no_id", ["x" * 32, None, 5, list(range(32)), b"x" * 31, b"x" * 33, ""])
def test_what_is_no_id_is_refused_everywhere_and_stops_no_lookup(tmp_path, no_id):
    async def scenario(a, b):
        for call in (a.contact, a.protect, a.disconnect, a.ban):
            with pytest.raises(LocalError, match="32 bytes"):
                call(no_id)
        calls = [a.lookup, lambda wrong: a.open_stream(wrong, "/x"), lambda wrong: a.request(wrong, "x")]
        for call in [*calls, a.read_log, a.read_stats, *([] if isinstance(no_id, str) else [a.keep])]:
            with pytest.raises(LocalError, match="32 bytes"):
                await asyncio.wait_for(call(no_id), 20)
        for _ in range(3):  # more than there may be at once
            with pytest.raises(TypeError):
                a._discovery.find(None, a._discovery.now)
        for id32 in (b.id, bytearray(b.id), memoryview(b.id)):
            assert (await asyncio.wait_for(a.lookup(id32), 60))[0].id == b.id
            assert a.contact(id32)

    run(tmp_path, 2, scenario)


def test_a_node_that_does_not_run_or_has_no_such_service_says_so(tmp_path):
    async def scenario():
        node = Node(str(tmp_path / "node"), NETWORK, {"pubsub": 0, "rpc": 0}, HOST, free_ports(1)[0])
        assert node.contact(bytes(32)) is None
        with pytest.raises(LocalError):
            await node.publish("t", b"", signed=True)
        async with node:
            for use in (lambda: node.subscribe("t"), lambda: node.handle("m", echo)):
                with pytest.raises(LocalError, match="profile"):
                    use()
            for use in (lambda: node.publish("t", b""), lambda: node.request(bytes(32), "m")):
                with pytest.raises(LocalError, match="profile"):
                    await use()
        with pytest.raises(LocalError, match="not running"):
            node.subscribe("t")
        with pytest.raises(LocalError, match="not running"):
            await node.publish("t", b"", signed=True)

    asyncio.run(scenario())


class _Unservable(Reactor):
    channels = (Channel(40, 0, 4, 512, 300),)


class _OfStreams(Reactor):
    channels = (Channel(200, 3, 4, 512, 300),)


class _BeyondAll(Reactor):
    channels = (Channel(256, 3, 4, 512, 300),)


class _Many(Reactor):
    channels = tuple(Channel(i, 3, 4, 512, 300) for i in range(40, 90))


# The last one lacks its brackets: it would never be told of a peer.
@pytest.mark.parametrize("reactor", [_Unservable(), _OfStreams(), _BeyondAll(), _Many(), _Unservable])
def test_a_reactor_that_no_session_could_serve_is_refused_at_the_start(tmp_path, reactor):
    async def scenario():
        node = Node(str(tmp_path / "node"), NETWORK, host=HOST, port=free_ports(1)[0])
        node.register(reactor)
        with pytest.raises(LocalError):
            await node.start()

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["x" * 17, "küche"])
def test_a_name_that_no_peer_would_take_is_refused_at_the_start(tmp_path, name):
    async def scenario():
        with pytest.raises(LocalError, match="name"):
            await Node(str(tmp_path / "node"), NETWORK, host=HOST, port=free_ports(1)[0], name=name).start()

    asyncio.run(scenario())


def test_numbers_and_addresses_that_cannot_be_are_refused(tmp_path):
    for arguments in (
        {"bootstrap": ["10.0.0.1:99999"]},
        {"profile": {"record": 63}},
        {"profile": {"stream_window": 255}},
    ):
        with pytest.raises(LocalError):
            Node(str(tmp_path / "none"), NETWORK, **arguments)


def test_a_start_that_found_its_tcp_port_taken_may_be_tried_again(tmp_path):
    port = free_ports(1)[0]

    async def scenario():
        with socket.socket() as squatter:
            squatter.bind((HOST, port))
            squatter.listen()
            late = Node(str(tmp_path / "late"), NETWORK, host=HOST, port=port)
            with pytest.raises(OSError, match=f"TCP port {port}") as trouble:
                await late.start()
        async with late:
            assert late.fault is None and trouble

    asyncio.run(scenario())


def test_who_waits_for_a_session_hears_that_the_node_was_closed(tmp_path):
    async def scenario():
        node = Node(str(tmp_path / "node"), NETWORK, host=HOST, port=free_ports(1)[0])
        async with node:
            node.contact = lambda id32: (b"\x7f\0\0\1", 0, 2000)  # known, but not dialed yet when the node is closed
            waiting = asyncio.create_task(node.request(bytes(31) + b"\7", "m", timeout_ms=600_000))
            await asyncio.sleep(0)
        with pytest.raises(LocalError, match="not running"):
            await asyncio.wait_for(waiting, 60)

    asyncio.run(scenario())


def test_every_lookup_hears_that_the_node_was_closed_running_or_not(tmp_path):
    async def scenario():
        node = Node(str(tmp_path / "node"), NETWORK, host=HOST, port=free_ports(1)[0])
        async with node:
            lookups = [asyncio.create_task(node.lookup(bytes([i] * 32))) for i in range(1, 6)]
            await asyncio.sleep(0)
            assert 0 < len(node._lookups) < 5  # the others wait until one of these ends
        for lookup in lookups:
            with pytest.raises(LocalError, match="not running"):
                await asyncio.wait_for(lookup, 60)

    asyncio.run(scenario())


def test_two_tasks_may_read_the_log_of_one_node_which_may_have_any_letters(tmp_path):
    async def scenario(a, b):
        text = "".join(f"Wärme {i} °C, größer als früher\n" for i in range(20))
        for line in text.splitlines():
            a.log(line)

        async def whole():
            position, found = 0, ""
            while len(found) < len(text):
                part, position = await b.read_log(a.id, position)
                found += part
            return found

        assert await asyncio.wait_for(asyncio.gather(whole(), whole()), 60) == [text, text]

    run(tmp_path, 2, scenario, log_bytes=2048)


def test_a_lookup_whose_result_finds_no_memory_says_so(tmp_path, monkeypatch):
    def full(*fields):
        raise MemoryError

    async def scenario(a, b):
        monkeypatch.setattr(node, "Peer", full)
        with pytest.raises(MemoryError):
            await asyncio.wait_for(a.lookup(b.id), 60)

    run(tmp_path, 2, scenario)


def test_a_time_beyond_what_ticks_tell_is_long_and_not_over(tmp_path):
    async def scenario(a, b):
        a.handle("yes", lambda caller, payload: b"yes")
        a.handle("/echo/1.0.0", echo)
        for ms in (2**29, 2**30, 2**31, 10**12):
            assert await b.request(a.id, "yes", timeout_ms=ms) == b"yes"
            (await b.open_stream(a.id, "/echo/1.0.0", timeout_ms=ms)).reset()
            assert a.log("line") is None and await b.read_stats(a.id, timeout_ms=ms)
            assert await b.read_log(a.id, timeout_ms=ms)
            assert await a.publish("topic", b"", wait_ms=ms) == 0
        waits = asyncio.create_task(b.request(bytes(31) + b"\7", "yes", timeout_ms=10**12))
        with pytest.raises(Unreachable):  # nobody knows that one; that its time was over nobody says
            await asyncio.wait_for(waits, 60)

    run(tmp_path, 2, scenario)


def test_a_reason_that_is_no_byte_does_not_make_a_peer_of_ill_will(tmp_path):
    async def scenario(a, b):
        a.handle("/echo/1.0.0", echo)
        stream = await b.open_stream(a.id, "/echo/1.0.0")
        await stream.write(b"x")
        assert await stream.read() == b"x"
        stream.reset(300)
        for reason in (300, -1):
            with pytest.raises(LocalError, match="reason"):
                b.disconnect(a.id, reason)
        session = b._services.swarm.peers[a.id]
        await asyncio.sleep(0.5)
        assert a.sessions() and b.sessions() and b._services.swarm.peers[a.id] is session
        told = []
        a.events.put = told.append
        session.close(-1)
        await until(lambda: ("disconnected", b.id, 255) in told)

    run(tmp_path, 2, scenario)


def test_a_failed_request_says_its_name_where_there_is_no_text(tmp_path):
    async def scenario(a, b):
        with pytest.raises(NoMethod, match="NoMethod"):
            await b.request(a.id, "nothing")

    run(tmp_path, 2, scenario)


def test_a_handler_without_memory_is_counted(tmp_path):
    def greedy(caller, payload):
        raise MemoryError

    async def scenario(a, b):
        a.handle("greedy", greedy)
        told = []
        b.events.put = told.append
        with pytest.raises(SessionLost):
            await b.request(a.id, "greedy")
        await until(lambda: ("disconnected", a.id, 16) in told)
        assert a.stats()["out_of_memory"] == 1 and a.fault is None

    run(tmp_path, 2, scenario)


def test_who_asks_itself_is_told_so_at_once(tmp_path):
    async def scenario(a, b):
        sent = a.stats()["sent"]
        for ask in (a.request(a.id, "nothing"), a.open_stream(a.id, "/echo/1.0.0")):
            with pytest.raises(Unreachable, match="itself"):
                await asyncio.wait_for(ask, 0.1)
        assert a.stats()["sent"] == sent  # nobody was asked where it is

    run(tmp_path, 2, scenario)
