"""Bootstrap nodes that are given by name (row B10)."""

from __future__ import annotations

import asyncio

import pytest
from mesh import Mesh
from picoswarm import LocalError, Node, names, net
from picoswarm.membership import Membership, NetworkKey
from picoswarm_gateway.profile import gateway_profile
from picoswarm_tools.demo.mesh import FAST
from picoswarm_tools.swarm import HOST, free_ports

KEY = bytes(range(32))
NUMBERS = {**FAST, "beacon": 0}  # only the name leads to the others


class Resolver:
    """Stands for the DNS: what is not in `addresses` has no address now."""

    def __init__(self) -> None:
        self.addresses: dict[str, bytes] = {}
        self.asked = 0

    async def __call__(self, name: str) -> bytes:
        self.asked += 1
        if name not in self.addresses:
            raise OSError(-2, "Name or service not known")
        return self.addresses[name]


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)


def test_a_micropython_node_joins_by_the_name_of_its_bootstrap_node(tmp_path):
    async def scenario() -> None:
        mesh = Mesh(tmp_path, 1, {"start_ms": 0, "beacon": 0})
        mesh.bootstrap_at = f"localhost:{mesh.bootstrap_port}"
        async with mesh:
            await mesh.until(lambda: mesh.bootstrap.id.hex()[:8] in mesh.nodes[0].peers, 60)
            assert mesh.nodes[0].stat("unresolved") == 0
            mesh.assert_nodes_are_sound()

    asyncio.run(scenario())


def test_a_name_is_asked_for_until_it_leads_to_somebody_and_its_anchor_moves_with_it(tmp_path, monkeypatch):
    resolver = Resolver()
    monkeypatch.setattr(names, "resolve", resolver)
    monkeypatch.setattr(names, "_FIRST_MS", 50)
    monkeypatch.setattr(net, "_CHECK_MS", 50)
    ports = free_ports(2)

    async def scenario() -> None:
        network = Membership(NetworkKey(KEY, 0))
        first = Node(str(tmp_path / "a"), network, gateway_profile(**NUMBERS), HOST, ports[0])
        second = Node(str(tmp_path / "b"), KEY, NUMBERS, HOST, ports[1], [f"gateway.lan:{ports[0]}"])
        async with first, second:
            await until(lambda: second.stats()["unresolved"] == 1 and resolver.asked > 1)
            assert second.peers() == []
            resolver.addresses["gateway.lan"] = bytes((127, 0, 0, 2))  # nobody is there
            await until(lambda: second._discovery.anchors)
            assert second.stats()["unresolved"] == 0
            resolver.addresses["gateway.lan"] = bytes((127, 0, 0, 1))
            await until(lambda: [peer.id for peer in second.peers()] == [first.id])
            assert len(second._discovery.anchors) == 1
            asked = resolver.asked
            await asyncio.sleep(0.5)
            assert resolver.asked == asked, "who knows somebody asks no resolver"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "text", ["10.0.0.300:7340", "10.0.0:7340", "gate way:1", "-a.lan:1", "a..lan:1", "gateway.lan:", "a_b:1"]
)
def test_a_mistyped_bootstrap_address_is_no_name(text, tmp_path):
    with pytest.raises(LocalError, match="not an address"):
        Node(str(tmp_path), KEY, bootstrap=[text])


def test_the_own_address_is_no_name(tmp_path):
    with pytest.raises(LocalError, match="not a name"):
        Node(str(tmp_path), KEY, host="gateway.lan")
