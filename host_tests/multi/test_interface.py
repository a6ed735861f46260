"""A running node whose interface goes, comes back and gets another address; and starts that do not work at once."""

from __future__ import annotations

import asyncio
import socket

import pytest
from picoswarm import LocalError, Node, boot, net, node
from picoswarm.slots import NODES
from picoswarm.store import Store
from picoswarm_tools.demo.mesh import FAST
from picoswarm_tools.swarm import HOST, free_ports

NETWORK = bytes(range(32))
SERVES = {**FAST, "bootstrap": 1}


# Each of these once let a node start that then failed at what others sent, or never had a session.
_UNUSABLE = (
    {"deliveries": 0},
    {"requests": 0},
    {"seen": 0},
    {"streams": -1},
    {"stream_queue": 255},
    {"stream_window": 65_536},
    {"log_bytes": -1},
    {"publish_max": 65_536},
    {"request_max": 65_536},
    {"proven_per_second": 0},
    {"stranger_per_second": 0},
    {"inbound_keys": 0},
    {"deferred": 0},
    {"links": 2.5},
    {"links": "2"},
)


class Interface:
    """What a node takes for its own address."""

    def __init__(self, monkeypatch, ip: bytes) -> None:
        self.ip = ip
        for module in (boot, node):
            monkeypatch.setattr(module, "own_ip", lambda: self.ip)


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


def test_a_new_address_gets_a_new_socket_and_the_mesh_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(net, "_CHECK_MS", 50)
    interface = Interface(monkeypatch, b"\x0a\x09\x08\x07")
    port = free_ports(1)[0]

    async def scenario():
        async with Node(str(tmp_path / "moves"), NETWORK, SERVES, port=port) as moves:
            other = Node(str(tmp_path / "other"), NETWORK, SERVES, HOST, free_ports(1)[0], [f"{HOST}:{port}"])
            async with other:
                await until(lambda: moves.id in [peer.id for peer in other.peers()])
                interface.ip = bytes(4)  # gone: one waits
                await asyncio.sleep(0.3)
                assert moves.stats()["reopened"] == 0 and moves._discovery.site.ip == b"\x0a\x09\x08\x07"
                interface.ip = b"\x0a\x09\x08\x63"
                await until(lambda: moves.stats()["reopened"] == 1)
                assert moves._discovery.site.ip == interface.ip
                heard = moves.stats()["received"]
                await until(lambda: moves.stats()["received"] > heard + 3)
                assert moves.stats()["reopened"] == 1 and moves.fault is None and other.fault is None

    asyncio.run(scenario())


def test_a_socket_that_breaks_is_replaced_while_the_node_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(net, "_CHECK_MS", 50)
    port = free_ports(1)[0]

    async def scenario():
        async with Node(str(tmp_path / "breaks"), NETWORK, SERVES, HOST, port) as breaks:
            other = Node(str(tmp_path / "other"), NETWORK, SERVES, HOST, free_ports(1)[0], [f"{HOST}:{port}"])
            async with other:
                await until(lambda: breaks.id in [peer.id for peer in other.peers()])
                breaks._driver._sock.close()  # sends fail now; nobody says so to the reader
                breaks._driver._is_broken = True
                await until(lambda: breaks.stats()["reopened"] == 1)
                heard = breaks.stats()["received"]
                await until(lambda: breaks.stats()["received"] > heard + 3)
                assert breaks.fault is None

    asyncio.run(scenario())


def test_a_start_that_found_its_port_taken_may_be_tried_again(tmp_path):
    port = free_ports(1)[0]

    async def scenario():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
            squatter.bind((HOST, port))
            late = Node(str(tmp_path / "late"), NETWORK, host=HOST, port=port)
            with pytest.raises(OSError, match=f"UDP port {port}"):
                await late.start()
            assert late.id is None and late.peers() == []
        async with late:
            assert len(late.id) == 32 and late.fault is None
            with pytest.raises(LocalError):
                await late.start()

    asyncio.run(scenario())


def test_a_start_that_ran_out_of_memory_over_its_last_file_may_be_tried_again(tmp_path):
    class Full(Store):
        """Has no memory for the node database, once."""

        tries = 0

        def read(self, kind):
            if kind is NODES:
                self.tries += 1
                if self.tries == 1:
                    raise MemoryError
            return super().read(kind)

    async def scenario():
        late = Node(Full(str(tmp_path / "late")), NETWORK, host=HOST, port=free_ports(1)[0])
        with pytest.raises(MemoryError):
            await late.start()
        async with late:
            assert len(late.id) == 32 and late.fault is None

    asyncio.run(scenario())


def test_arguments_that_cannot_be_right_are_refused_before_anything_is_made(tmp_path):
    for arguments in (
        {"host": "nowhere"},
        {"bootstrap": ["10.0.0.1:many"]},
        {"bootstrap": ["10.0.0:1"]},
        {"profile": {"k": 0}},
        {"profile": {"shoe_size": 44}},
        {"network": bytes(32)},
        {"network": bytes(31)},
        {"network": "k" * 32},
        {"port": -1},
        {"port": 70_000},
        {"port": "20742"},
        {"folder": None},
        *({"profile": numbers} for numbers in _UNUSABLE),
    ):
        with pytest.raises(LocalError):
            Node(**{"folder": str(tmp_path / "none"), "network": NETWORK, **arguments})
    assert not (tmp_path / "none").exists()


def test_a_folder_may_be_a_path(tmp_path):
    async def scenario():
        async with Node(tmp_path / "node", NETWORK, host=HOST, port=free_ports(1)[0]) as node:
            own = node.id
        again = Node(str(tmp_path / "node"), NETWORK, host=HOST, port=free_ports(1)[0])
        async with again:
            assert again.id == own

    asyncio.run(scenario())


def test_a_change_of_address_that_could_not_be_followed_is_followed_later(tmp_path, monkeypatch):
    monkeypatch.setattr(net, "_CHECK_MS", 50)
    interface = Interface(monkeypatch, b"\x0a\x09\x08\x07")

    async def scenario():
        async with Node(str(tmp_path / "moves"), NETWORK, SERVES, port=free_ports(1)[0]) as moves:
            links = moves._services.links
            real, links.restart = links.restart, lambda: (_ for _ in ()).throw(MemoryError)
            interface.ip = b"\x0a\x09\x08\x63"
            await until(lambda: moves.stats()["out_of_memory"])
            links.restart = real
            await until(lambda: moves.stats()["reopened"] == 1 and links._listening)
            assert moves.fault is None

    asyncio.run(scenario())
