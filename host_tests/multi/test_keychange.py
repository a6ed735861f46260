"""What the operator's commands do to a running mesh, on nodes in this process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from picoswarm import Node, Profile, StoreError
from picoswarm.changes import ROTATE
from picoswarm.keys import load_membership
from picoswarm.membership import Membership
from picoswarm.slots import NETWORK, OPERATOR
from picoswarm.store import Store
from picoswarm_gateway import keychange
from picoswarm_gateway.keychange import NobodyThere, Operator, Refused, create_operator, run_change
from picoswarm_tools.keyfolder import new_network_key, save
from picoswarm_tools.swarm import HOST, free_ports


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    """Three nodes are met at once; and nobody comes late."""
    monkeypatch.setattr(keychange, "_LOOK_S", 2)
    monkeypatch.setattr(keychange, "_IDLE_S", 2)


FAST = {"start_ms": 0, "revalidate_s": 1}


class Nodes:
    """CPython nodes on loopback that know the first of them, and an operator's folder."""

    def __init__(self, folder: Path, count: int) -> None:
        membership = Membership(new_network_key())
        self.ports = free_ports(count)
        self.folder = folder / "operator"
        self.stores = [Store(str(folder / f"n{i}")) for i in range(count)]
        create_operator(Store(str(self.folder)), *self.stores)
        for store in (Store(str(self.folder)), *self.stores):
            save(store, membership)
        self.at = f"{HOST}:{self.ports[0]}"
        self.nodes = [self.make(i) for i in range(count)]

    def make(self, i: int) -> Node:
        profile = Profile(**FAST, bootstrap=1, inbound=4, links=6)
        return Node(self.stores[i], None, profile, HOST, self.ports[i], [self.at] if i else [], f"n{i}")

    async def change(self, nodes, seconds=40, **options):
        return await run_change(Operator(self.folder), nodes, [self.at], HOST, seconds=seconds, **options)

    def epochs(self) -> list[tuple[int, int | None]]:
        held = [load_membership(store) for store in self.stores]
        return [(keys.highest.epoch, keys.lower.epoch if keys.lower else None) for keys in held]


def run(folder: Path, count: int, scenario) -> None:
    async def whole() -> None:
        mesh = Nodes(folder, count)
        for node in mesh.nodes:
            await node.start()
        try:
            async with asyncio.timeout(200):
                while not all(node.sessions() for node in mesh.nodes):
                    await asyncio.sleep(0.02)
                await scenario(mesh)
            for node in mesh.nodes:
                assert not node.stats().get("faults"), repr(node.fault)
        finally:
            for node in mesh.nodes:
                await node.close()

    asyncio.run(whole())


def test_a_member_that_missed_a_revocation_is_told_when_it_is_handed_out_again(tmp_path):
    """In a mesh without a gateway."""

    async def scenario(mesh):
        await mesh.nodes[2].close()
        report = await mesh.change([mesh.nodes[1].id.hex()], 8)
        assert report.confirmed == [mesh.nodes[0].id.hex()]
        assert mesh.epochs() == [(1, None), (0, None), (0, None)]
        await mesh.nodes[0].close()  # as if it had slept as well, or the sleeper would find nobody
        mesh.nodes[2] = mesh.make(2)
        await mesh.nodes[2].start()
        mesh.at = f"{HOST}:{mesh.ports[2]}"
        report = await mesh.change((), 20, again=True)
        assert report.confirmed == [mesh.nodes[2].id.hex()] and report.serial == 1
        assert mesh.epochs() == [(1, None), (0, None), (1, None)]

    run(tmp_path, 3, scenario)


def test_who_follows_no_operator_is_named_as_missing(tmp_path):
    async def scenario(mesh):
        stubborn = mesh.nodes[2]
        report = await mesh.change(None, 8)
        assert report.missing == [stubborn.id.hex()] and report.kind == "rotate"
        assert set(report.confirmed) == {node.id.hex() for node in mesh.nodes[:2]}
        assert mesh.epochs() == [(1, 0), (1, 0), (0, None)]

    before = Nodes.make
    try:

        def make(self, i):
            if i == 2:
                self.stores[2].remove(OPERATOR)
            return before(self, i)

        Nodes.make = make
        run(tmp_path, 3, scenario)
    finally:
        Nodes.make = before


@pytest.mark.parametrize("kind", [OPERATOR, NETWORK], ids=["the change", "the key"])
def test_a_mesh_does_not_move_to_a_key_that_the_operator_could_not_save(tmp_path, monkeypatch, kind):
    async def scenario(mesh):
        write = Store.write

        def full(store, what, payload):
            if store._folder == str(mesh.folder) and what is kind:
                raise StoreError("no space left on the device")
            write(store, what, payload)

        with monkeypatch.context() as patch, pytest.raises(StoreError, match="no space"):
            patch.setattr(Store, "write", full)
            await mesh.change(None)
        assert mesh.epochs() == [(0, None)] * 2
        report = await mesh.change(None)
        assert report.epoch == 1 and report.missing == [] and mesh.epochs() == [(1, 0)] * 2

    run(tmp_path, 2, scenario)


def test_a_change_that_was_cut_off_before_anybody_heard_of_it_can_be_handed_out(tmp_path):
    async def scenario(mesh):
        operator = Operator(mesh.folder)
        operator.keep(operator.make(ROTATE))
        with pytest.raises(NobodyThere, match="--again"):
            await mesh.change(None, 0)
        report = await mesh.change(None, 20, again=True)
        assert len(report.confirmed) == 2 and mesh.epochs() == [(1, 0)] * 2

    run(tmp_path, 2, scenario)


def test_what_cannot_be_meant_changes_nothing(tmp_path):
    async def scenario(mesh):
        for nodes, word in ((["abcdef01"], "no member"), (["nobody"], "no member"), ([bytes(32).hex()] * 17, "At most 16")):
            with pytest.raises(Refused, match=word):
                await mesh.change(nodes)
        await mesh.nodes[1].close()
        await mesh.nodes[0].close()
        with pytest.raises(NobodyThere):
            await run_change(Operator(mesh.folder), None, [mesh.at], HOST, seconds=1)
        assert mesh.epochs() == [(0, None)] * 2 and Operator(mesh.folder).last is None

    run(tmp_path, 2, scenario)
