"""Twenty boards get another network key in virtual time: nothing is lost but who was revoked."""

from __future__ import annotations

import asyncio
import os
import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from picoswarm import RequestError
from picoswarm.changes import HELD, OLDER, REVOKE, ROTATE, UNORDERED, Change, signed_text
from picoswarm.rekey import change_keys
from picoswarm_tools.sim import tasks
from picoswarm_tools.sim.clock import MINUTE, SECOND
from picoswarm_tools.sim.mesh import BOOTSTRAP
from picoswarm_tools.sim.network import Conditions
from picoswarm_tools.sim.served_node import ServedMesh, ServedNode

OPERATOR = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
GATEWAY = {**BOOTSTRAP, "gateway": 1, "relay": 1, "links": 16, "inbound": 12, "outbound": 4}
LONG = os.environ.get("PICOSWARM_LONG") == "1"
TOPIC = "house/warm"
EPOCH, DUPLICATE, TRIMMED, REVOKED = 9, 6, 17, 22


def change(serial: int, epoch: int, kind: int = ROTATE, revoked: tuple[bytes, ...] = (), signer=OPERATOR) -> Change:
    unsigned = bytes((kind,)) + serial.to_bytes(4) + bytes((epoch,)) + secrets.token_bytes(32) + bytes((len(revoked),))
    unsigned += b"".join(id32[:16] for id32 in revoked)
    return Change(unsigned + signer.sign(signed_text(unsigned)))


def understood_by(node: ServedNode) -> int:
    """How many datagrams a node received that were under a key of its own."""
    stats = node.engine.stats()
    return stats["received"] - stats["drop_version"]


class World:
    """A mesh in one piece, its first node a gateway. `ended`: reasons of the sessions that ended since."""

    def __init__(self, count: int = 20, seed: int = 1, board: dict[str, int] | None = None) -> None:
        conditions = Conditions(latency_ms=20, jitter_ms=20, loss=0.02)
        self.mesh = mesh = ServedMesh(OPERATOR.public_key().public_bytes_raw(), seed, conditions)
        self.clock = mesh.clock
        self.ended: list[int] = []
        self.got: dict[bytes, set[ServedNode]] = {}
        for number in range(count):
            profile = (board or {}) if number else GATEWAY
            node: ServedNode = mesh.add(know=mesh.nodes[:1], profile=profile, start_us=number * SECOND // 10)  # type: ignore
            node.filters.append(TOPIC)
            node.on_message = self._heard
            first = node.on_swarm_event
            node.on_swarm_event = lambda node, event, first=first: (self._note(event), first(node, event))
        self.nodes = mesh.nodes
        self.gateway = mesh.nodes[0]

    def _note(self, event) -> None:
        if event[0] == 4:  # CLOSED
            self.ended.append(event[2])

    def _heard(self, node, message) -> None:
        self.got[bytes(message[1])].add(node)

    def lost_sessions(self) -> list[int]:
        """Reasons of those that ended, but for what a mesh does all day."""
        return [reason for reason in self.ended if reason not in (DUPLICATE, TRIMMED)]

    async def settle(self) -> None:
        while self.mesh.components() != [len(self.nodes)]:
            await asyncio.sleep(5)
            assert self.clock.now_us < 5 * MINUTE
        await asyncio.sleep(10)
        self.ended.clear()

    async def publish(self, seconds: int) -> None:
        """One node after another publishes, each half second."""
        for number in range(2 * seconds):
            node = self.nodes[number % len(self.nodes)]
            payload = secrets.token_bytes(4)
            self.got[payload] = {node}
            node.publish(TOPIC, payload)
            await asyncio.sleep(0.5)

    def missed(self, but: tuple[ServedNode, ...] = ()) -> int:
        """How often a node did not hear what was published."""
        return sum(node not in got and node not in but for got in self.got.values() for node in self.nodes)

    async def begin(self, node: ServedNode, made: Change) -> int:
        code, _ = await change_keys(node.services._node, made.text)
        return code

    def serving(self, node: ServedNode) -> list[ServedNode]:
        """Who has an open session with a node. One that has yet to hear that it is refused has none."""
        return [other for other in self.mesh.live() if other.session(node) or node.session(other)]

    def epochs(self) -> set[tuple[int, int | None]]:
        held = [node.keys for node in self.mesh.live()]
        return {(keys.highest.epoch, keys.lower.epoch if keys.lower else None) for keys in held}

    def run(self, scenario) -> None:
        async def main() -> None:
            await self.settle()
            await scenario()
            for node in self.mesh.live():
                assert not node.swarm.faults and not node.services.faults, (node.swarm.fault, node.services.fault)

        tasks.run(self.clock, main)


@pytest.fixture(autouse=True)
def _operator_nodes(monkeypatch):
    """`change_keys` asks a Node for its Services."""
    from picoswarm_tools.sim import served_node

    monkeypatch.setattr(served_node._Owner, "_sessions", lambda owner: owner._node.services, raising=False)


def test_a_rotation_loses_no_session_and_no_message():
    world = World()

    async def scenario():
        talking = asyncio.create_task(world.publish(30))
        await asyncio.sleep(5)
        began_us = world.clock.now_us
        assert await world.begin(world.nodes[7], change(1, 1)) == HELD
        while world.epochs() != {(1, 0)}:
            await asyncio.sleep(0.1)
            assert world.clock.now_us - began_us < 30 * SECOND
        await talking
        await asyncio.sleep(10)
        assert world.missed() == 0 and not world.lost_sessions()
        assert all(session.epoch == 1 for node in world.nodes for session in node.swarm.peers.values())

    world.run(scenario)


def test_forty_rotations_in_a_row_go_around_the_epochs_more_than_twice():
    world = World(20 if LONG else 6)

    async def scenario():
        for serial in range(1, 41):
            assert await world.begin(world.nodes[serial % len(world.nodes)], change(serial, serial % 16)) == HELD
            began_us = world.clock.now_us
            while world.epochs() != {(serial % 16, (serial - 1) % 16)}:
                await asyncio.sleep(0.5)
                assert world.clock.now_us - began_us < 30 * SECOND
            await asyncio.sleep(1)  # who told it has the answer
        assert not world.lost_sessions()
        await world.publish(10)
        await asyncio.sleep(10)
        assert world.missed() == 0

    world.run(scenario)


def test_a_revocation_silences_a_lost_board_within_a_minute():
    world = World()
    lost = world.nodes[5]

    async def scenario():
        others = [node for node in world.nodes if node is not lost]
        assert await world.begin(world.gateway, change(1, 1, REVOKE, (lost.id,))) == HELD
        await asyncio.sleep(30)
        assert {(node.keys.highest.epoch, node.keys.lower) for node in others} == {(1, None)}
        assert lost.keys.highest.epoch == 0 and not lost.swarm.peers
        understood = understood_by(lost)
        await world.publish(10)
        await asyncio.sleep(20)
        assert understood_by(lost) == understood  # nobody says a word to it
        assert not lost.swarm.peers and lost.id not in {id32 for node in others for id32 in node.live_ids()}
        assert world.missed(but=(lost,)) <= 10 * 2  # what the lost board itself published
        assert [reason for reason in world.lost_sessions() if reason not in (REVOKED, EPOCH)] == []

    world.run(scenario)


@pytest.mark.parametrize("has_book", [True, False])
@pytest.mark.parametrize("seed", range(1, 40 if LONG else 4))
def test_who_slept_through_a_revocation_gets_the_new_key_from_a_gateway_and_serves_the_lost_board_no_more(has_book, seed):
    """It visits the gateway that is its bootstrap node, or stands in its book, whoever else answers it."""
    world = World(10, seed)
    lost, sleeper = world.nodes[5], world.nodes[9]

    async def scenario():
        sleeper.want(world.gateway)  # which brings back only whom it knew
        await asyncio.sleep(5)
        sleeper.power_off()
        if not has_book:
            sleeper._book_file = b""
        await asyncio.sleep(60)
        await world.begin(world.nodes[3], change(1, 1, REVOKE, (lost.id,)))
        await asyncio.sleep(60)
        sleeper.power_on()
        assert sleeper.keys.highest.epoch == 0
        began_us = world.clock.now_us
        while sleeper.keys.highest.epoch == 0:
            await asyncio.sleep(0.5)
            assert world.clock.now_us - began_us < MINUTE
        assert sleeper.keys.lower is None and sleeper.keys.find(0) is None
        await asyncio.sleep(120)
        assert not world.serving(lost)
        assert sleeper.swarm.peers and len(sleeper.live_ids()) >= 7
        sleeper.power_off()
        await asyncio.sleep(5)
        sleeper.power_on()
        assert (sleeper.keys.highest.epoch, sleeper.keys.lower, sleeper.keys.serial) == (1, None, 1)
        assert lost.id[:16] in sleeper.keys.revoked

    world.run(scenario)


@pytest.mark.parametrize("seed", range(1, 21 if LONG else 3))
def test_boards_that_slept_together_get_the_new_key_although_they_have_all_the_links_that_they_want(seed):
    world = World(14, seed, {"links": 3, "inbound": 2, "outbound": 1})
    lost, sleepers = world.nodes[3], world.nodes[4:]

    async def scenario():
        for sleeper in sleepers:
            sleeper.want(world.gateway)
        await asyncio.sleep(20)
        for sleeper in sleepers:
            sleeper.power_off()
            sleeper._book_file = b""
        await asyncio.sleep(10)
        await world.begin(world.gateway, change(1, 1, REVOKE, (lost.id,)))
        await asyncio.sleep(60)
        for sleeper in sleepers:
            sleeper.power_on()
        began_us = world.clock.now_us
        while {sleeper.keys.highest.epoch for sleeper in sleepers} != {1}:
            await asyncio.sleep(0.5)
            assert world.clock.now_us - began_us < 2 * MINUTE  # whose door is full twice comes again after 70 s
        await asyncio.sleep(30)
        assert not world.serving(lost)

    world.run(scenario)


def test_the_lost_board_gets_nothing_from_the_gateway_under_the_old_key():
    world = World(8)
    lost = world.nodes[5]

    async def scenario():
        await world.begin(world.gateway, change(1, 1, REVOKE, (lost.id,)))
        await asyncio.sleep(30)
        for _ in range(3):
            link = lost.want(world.gateway)
            await asyncio.sleep(20)
            assert not lost.swarm.peers
        assert link.reason == REVOKED
        assert lost.keys.highest.epoch == 0

    world.run(scenario)


def test_who_was_away_during_a_rotation_is_told_by_whoever_it_meets():
    world = World(8)
    away = world.nodes[6]

    async def scenario():
        away.power_off()
        await asyncio.sleep(60)
        await world.begin(world.nodes[3], change(1, 1))
        await asyncio.sleep(60)
        world.gateway.power_off()  # no gateway is needed for that
        away.power_on()
        await asyncio.sleep(120)
        assert (away.keys.highest.epoch, away.keys.lower.epoch) == (1, 0)
        assert away.swarm.peers

    world.run(scenario)


def test_what_is_no_change_changes_nothing():
    world = World(6)
    teller, taker = world.nodes[1], world.nodes[2]
    made = change(5, 3)
    impostor = Ed25519PrivateKey.from_private_bytes(bytes(32))

    async def scenario():
        async def tell(text: bytes) -> int:
            teller.want(taker)
            return (await teller.services.request(taker.id, "keys", text, 60_000))[0]

        assert await tell(b"") == HELD  # a question
        await tell(made.text)
        await asyncio.sleep(30)
        assert world.epochs() == {(3, 0)}  # it reached everybody
        key = taker.keys.highest.key
        assert await tell(made.text) == HELD  # a repeat
        assert await tell(change(4, 4).text) == OLDER
        assert await tell(change(5, 4).text) == OLDER  # another one of the same serial
        for epoch in (3, 2, 0, 11, 12):
            assert await tell(change(6, epoch).text) == UNORDERED
        assert await tell(b"\x01" + bytes(102)) == 4
        world.ended.clear()
        with pytest.raises(RequestError):  # who tells a forged one loses the session
            await tell(change(6, 4, signer=impostor).text)
        assert 11 in world.ended
        await asyncio.sleep(200)
        flipped = bytearray(change(6, 4).text)
        flipped[10] ^= 1
        with pytest.raises(RequestError):
            await tell(bytes(flipped))
        assert taker.keys.highest.key == key and world.epochs() == {(3, 0)}

    world.run(scenario)


def test_the_lower_key_goes_after_a_day_and_takes_no_session_with_it():
    world = World(6)

    async def scenario():
        await world.begin(world.nodes[1], change(1, 1))
        await asyncio.sleep(30)
        for node in world.nodes:
            lower = node.keys.lower
            assert node.keys.expire(node.engine.uptime + 86400)
            node.services.end_epoch(lower.epoch)
        await asyncio.sleep(60)
        assert not world.lost_sessions() and world.epochs() == {(1, None)}

    world.run(scenario)
