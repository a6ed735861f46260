"""The gateway and boards among real libp2p nodes: go-libp2p, js-libp2p and py-libp2p."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from picoswarm_tools import mpy, runtimes
from picoswarm_tools.cli import main
from picoswarm_tools.keyfolder import save
from picoswarm_tools.libp2p import pairs
from picoswarm_tools.libp2p.peers import KINDS, Peer, command
from picoswarm_tools.swarm import free_ports

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gateway"))
from picoswarm.failures import RequestError, StreamError  # noqa: E402
from picoswarm.p2pgateway import Peers  # noqa: E402
from picoswarm.p2plink import P2pLink  # noqa: E402
from picoswarm_gateway.config import HttpTable  # noqa: E402
from picoswarm_gateway.families.libp2p.table import Libp2pTable  # noqa: E402
from picoswarm_gateway.gateway import Gateway  # noqa: E402
from small_mesh import HOST, SmallMesh, free_port  # noqa: E402

LONG = os.environ.get("PICOSWARM_LONG") == "1"
EXAMPLES = runtimes.ROOT / "examples"


@pytest.fixture(autouse=True)
def peers():
    """Real nodes must be there: `make full-nodes` builds those that are wanted here."""
    try:
        for kind in KINDS:
            command(kind)
    except runtimes.Missing as missing:
        if os.environ.get("PICOSWARM_STRICT") == "1":
            raise
        pytest.skip(str(missing))


def all_of(marks: dict[str, bool]) -> None:
    assert all(marks.values()), marks


@pytest.mark.parametrize("kind", KINDS)
def test_the_gateway_dials(kind):
    all_of(asyncio.run(pairs.gateway_dials(kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_gateway_is_dialed(kind):
    all_of(asyncio.run(pairs.gateway_listens(kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_board_dials(kind):
    all_of(asyncio.run(pairs.board_dials(kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_board_is_dialed(kind):
    all_of(asyncio.run(pairs.board_listens(kind)))


@pytest.mark.parametrize("key", ["rsa", "ecdsa", "secp256k1"])
def test_peers_with_other_kinds_of_keys_are_verified(key):
    async def story():
        async with Peer("go", key) as peer, pairs.Ours() as ours:
            connection = await ours.host.dial(peer.address)
            assert connection.peer == peer.id
            assert (await connection.identify()).public_key[:1] == b"\x08"
            assert (await peer.do("ping", peer=ours.host.peer_id, count=1)).get("good") == 1

    asyncio.run(story())


def test_floodsub_goes_both_ways():
    all_of(asyncio.run(pairs.gateway_dials("go", "ed25519", "floodsub")))


@pytest.mark.skipif(not LONG, reason="waits for a dozen seconds; PICOSWARM_LONG=1")
def test_a_go_node_that_asked_in_vain_who_we_are_has_topics_with_us_all_the_same(monkeypatch):
    async def story():
        async with Peer("go") as peer, pairs.Ours() as ours:
            await peer.do("subscribe", topic=pairs.TOPIC)
            with monkeypatch.context() as silent:  # before the dial: it asks at once
                silent.setattr(P2pLink, "_tell", lambda link, stream: None)
                await ours.host.dial(peer.address)
                await asyncio.sleep(8)  # it waits for 5 s, from when it asks
                assert not (await peer.do("identify", peer=ours.host.peer_id))["protocols"]
            marks = dict.fromkeys(("pubsub to it", "pubsub from it"), False)
            await pairs.talk(marks, ours, peer)
            all_of(marks)

    asyncio.run(story())


def test_a_board_has_streams_and_topics_through_the_gateway_and_is_a_peer_itself(tmp_path):
    async def echo(stream):
        while data := await stream.read():
            await stream.write(data)
        stream.close()

    async def story():
        mesh = SmallMesh(tmp_path)
        async with Peer("go") as peer:
            table = Libp2pTable(enabled=True, listen=f"{HOST}:{free_port()}", peers=[peer.address], boards=HOST)
            async with Gateway(mesh.config(libp2p=table)) as gateway, mesh.node("board", gateway) as node:
                family = await node.gateway("libp2p", 30000)
                through = Peers(node, family)
                stream = await through.open_stream(peer.address, "/echo/1.0.0")
                await stream.write(b"hello")
                assert await stream.read() == b"hello"
                stream.close()
                assert await stream.read() == b""
                with pytest.raises(StreamError, match="no such protocol"):
                    await through.open_stream(peer.id, "/nope/1.0.0")
                node.handle("/board/1.0.0", echo)
                (address,) = await through.serve("/board/1.0.0")
                own = address.rpartition("/")[2]
                assert (await peer.do("dial", addr=address)).get("peer") == own
                assert "/board/1.0.0" in (await peer.do("identify", peer=own))["protocols"]
                echoed = await peer.do("echo", peer=own, proto="/board/1.0.0", size=50_000)
                assert echoed.get("sent") == echoed["got"] and echoed["bytes"] == 50_000
                assert "error" in await peer.do("echo", peer=own, proto="/other/1.0.0", size=1)
                subscription = family.subscribe("t")
                await peer.do("subscribe", topic="t")
                heard = asyncio.create_task(anext(aiter(subscription)))
                for _ in range(60):
                    await peer.do("publish", topic="t", data="to the board")
                    await asyncio.sleep(0.25)
                    if heard.done():
                        break
                assert (await heard).payload == b"to the board"
                await family.publish("t", b"from the board")
                assert await peer.heard("from the board")

    asyncio.run(story())


def test_boards_find_peers_and_content_in_a_dht_of_go_nodes_and_are_found_there(tmp_path):
    async def echo(stream):
        await stream.write(await stream.read())
        stream.close()

    async def story():
        mesh = SmallMesh(tmp_path)
        async with contextlib.AsyncExitStack() as stack:
            target = await stack.enter_async_context(Peer("go"))  # in no table; the last server is connected to it
            servers = [await stack.enter_async_context(Peer("go", "ed25519", "gossipsub", "dht")) for _ in range(5)]
            for one, next_one in itertools.pairwise([*servers, target]):
                assert (await one.do("dial", addr=next_one.address)).get("peer")
            for server in servers:
                async with asyncio.timeout(60):
                    while len((await server.do("table"))["peers"]) < 2:
                        await asyncio.sleep(0.2)
            table = Libp2pTable(enabled=True, listen=f"{HOST}:{free_port()}", peers=[servers[0].address], boards=HOST)
            gateway = await stack.enter_async_context(Gateway(mesh.config(libp2p=table, http=HttpTable(port=0))))
            node = await stack.enter_async_context(mesh.node("board", gateway))
            through = Peers(node, await node.gateway("libp2p", 30000))
            host = gateway.families["libp2p"].host
            async with asyncio.timeout(60):
                while not host.connections:
                    await asyncio.sleep(0.1)
            assert target.address in await through.find(target.id)
            stream = await through.open_stream(target.id, "/echo/1.0.0")
            await stream.write(b"found")
            assert await stream.read() == b"found"
            assert await through.find(pairs.Ours().host.peer_id) == []
            content = (await servers[-1].do("provide", data="content"))["cid"]
            assert servers[-1].address in await through.providers(content)
            with pytest.raises(RequestError, match="lend first"):
                await through.provide(content)

            async def find(what: str, status: int = 0) -> str:
                url = f"http://{HOST}:{gateway.operations.http.port}"
                done = await asyncio.to_thread(CliRunner().invoke, main, ["find", what, "--url", url])
                assert done.exit_code == status, done.output
                return done.output

            assert f"{target.address}\n" in await find(target.id)
            assert f"{servers[-1].address}\n" in await find(content)
            assert "nobody tells" in await find(pairs.Ours().host.peer_id, 1)
            assert "neither a peer id nor a CID" in await find("nonsense", 1)
            node.handle("/board/1.0.0", echo)
            (address,) = await through.serve("/board/1.0.0")
            own = address.rpartition("/")[2]
            await through.provide((await servers[0].do("providers", data="a reading"))["cid"])
            assert (await servers[2].do("providers", data="a reading"))["peers"] == [own]
            echoed = await servers[2].do("echo", peer=own, proto="/board/1.0.0", size=100)
            assert echoed.get("sent") == echoed["got"]

    asyncio.run(story())


async def _said(process: asyncio.subprocess.Process, *wanted: str) -> str:
    text = ""
    async with asyncio.timeout(90):
        while not all(each in text for each in wanted):
            line = (await process.stdout.readline()).decode()
            assert line, text
            text += line
    return text


def test_the_echo_example_prints_who_the_peer_is(tmp_path):
    async def story():
        mesh = SmallMesh(tmp_path)
        mesh.store("board")
        program = tmp_path / "libp2p_echo.py"
        program.write_text(mpy.translate((EXAMPLES / "libp2p_echo.py").read_text(), "x86", 3))
        async with Peer("go") as peer:
            process = await asyncio.create_subprocess_exec(
                *(str(runtimes.find("micropython")), "-X", f"heapsize={pairs.BOARD_HEAP_KB}k", str(program)),
                *(str(tmp_path / "board"), peer.address, str(free_ports(1)[0])),
                stdout=-1,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, "MICROPYPATH": f"{mpy.compile_library('x86', 3)}:.frozen"},
            )
            try:
                await _said(process, peer.id, "it serves /echo/1.0.0", "back: hello from a board")
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()

    asyncio.run(story())


def test_the_sensor_example_is_heard_and_can_be_asked(tmp_path):
    async def story():
        mesh = SmallMesh(tmp_path)
        save(mesh.store("sensor"), mesh.membership)
        async with Peer("go") as peer:
            table = Libp2pTable(enabled=True, listen=f"{HOST}:{free_port()}", peers=[peer.address], boards=HOST)
            async with Gateway(mesh.config(libp2p=table)) as gateway:
                await peer.do("subscribe", topic="sensors")
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-u", str(EXAMPLES / "libp2p_sensor.py"), str(tmp_path / "sensor")),
                    *(f"{HOST}:{gateway.config.mesh.port}", str(free_port())),
                    stdout=-1,
                    stderr=asyncio.subprocess.STDOUT,
                    env={**os.environ, "PYTHONPATH": str(runtimes.ROOT / "lib")},
                )
                try:
                    said = await _said(process, "peers reach it at")
                    assert (await peer.do("dial", addr=said.split()[-1])).get("peer")
                    async with asyncio.timeout(60):
                        while not any(event.get("topic") == "sensors" for event in peer.events):
                            await asyncio.sleep(0.1)
                finally:
                    process.kill()
                    await process.wait()

    asyncio.run(story())
