"""Nodes that cannot connect to each other have a session through a gateway (docs/protocol.md 7.6): here all on CPython."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from picoswarm import Node, Profile
from picoswarm.failures import SessionLost, StreamError, Unreachable
from picoswarm.membership import Membership
from picoswarm.store import Store
from picoswarm_gateway.profile import gateway_profile
from picoswarm_gateway.relay import Limits, Relay
from picoswarm_tools.provision import new_network_key, save
from picoswarm_tools.swarm import HOST, free_ports

FAST = {"start_ms": 0, "revalidate_s": 1}


async def until(condition: Callable[[], object], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


class Meshed:
    """`gateways` with their `relays`, and `boards` that take no connections."""

    def __init__(self, folder: Path, boards: int, gateways: int = 1, limits: Limits | None = None, **numbers: int) -> None:
        membership = Membership(new_network_key())
        ports = free_ports(boards + gateways)
        known = [f"{HOST}:{port}" for port in ports[:gateways]]
        self._limits = limits
        self.nodes = []
        for i, port in enumerate(ports):
            store = Store(str(folder / f"n{i}"))
            save(store, membership)
            own = Profile(**{**FAST, "listen": 0, **numbers})
            profile = gateway_profile(**FAST) if i < gateways else own
            self.nodes.append(Node(store, profile=profile, host=HOST, port=port, bootstrap=known, name=f"n{i}"))
        self.gateways = self.nodes[:gateways]
        self.boards = self.nodes[gateways:]
        self.relays: list[Relay] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Meshed:
        for node in self.nodes:
            await self._stack.enter_async_context(node)
        self.relays = [Relay(node, self._limits) for node in self.gateways]
        ids = {gateway.id for gateway in self.gateways}
        await until(lambda: all(ids & {peer[0] for peer in board.sessions()} for board in self.boards))
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()


def run(folder: Path, boards: int, scenario, **more: object) -> None:
    async def whole() -> None:
        async with Meshed(folder, boards, **more) as mesh:
            await scenario(mesh, *mesh.boards)
            for node in mesh.nodes:
                assert not node.stats().get("faults") and node.fault is None, repr(node.fault)

    asyncio.run(whole())


def session_of(node: Node, id32: bytes):
    return node._services.swarm.peers.get(id32)


def test_a_request_reaches_a_node_that_takes_no_connections(tmp_path):
    async def scenario(mesh, a, b):
        a.handle("who", lambda caller, payload: caller + payload)
        b.handle("who", lambda caller, payload: caller + payload)
        assert await a.request(b.id, "who", b"x") == a.id + b"x"
        assert await b.request(a.id, "who", b"y") == b.id + b"y"
        ips = {peer[0]: peer[1] for peer in a.sessions()}
        assert ips[b.id].startswith("0.") and len(ips) == 2
        assert mesh.relays[0].state()["connections"] == 1

    run(tmp_path, 2, scenario)
