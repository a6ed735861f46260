"""The router of gossipsub by itself: who is in the mesh of a topic, what goes to whom, what peers cannot make it hold."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from picoswarm.crypto import run
from picoswarm.ed25519 import PublicKey, Sign
from picoswarm.peerkey import encode_key, peer_id
from picoswarm_gateway.families.libp2p import gossip
from picoswarm_gateway.families.libp2p.gossip import Router
from picoswarm_gateway.families.libp2p.messages import SIGNED, Frames, Message, Rpc, decode_rpc, signed

TOPIC = "sensors"


class World:
    """A router and what it sent, by peer; `now` is its time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sent: dict[bytes, list[Rpc]] = {}
        self.heard: list[bytes] = []
        self.own = b"own"
        self.router = Router(self.own, self._send, lambda message: self.heard.append(message.data))

    def _send(self, peer: bytes, rpc: Rpc) -> None:
        """What goes out can be read."""
        assert [decode_rpc(each) for each in Frames(1 << 24).add(rpc.encode())] == [rpc]
        self.sent.setdefault(peer, []).append(rpc)

    def peers(self, count: int, is_mesh: bool = True, topic: str = TOPIC) -> list[bytes]:
        found = [b"%d peer %d" % (is_mesh, len(self.router.peers) + i) for i in range(count)]
        for peer in found:
            self.router.connected(peer, is_mesh)
            self.says(peer, subscriptions=[(True, topic)])
        return found

    def says(self, peer: bytes, **what) -> list[Rpc]:
        """What the router sends to that peer as an answer."""
        self.sent.pop(peer, None)
        self.router.receive(peer, Rpc(**what), self.now)
        return self.sent.get(peer, [])

    def beat(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += gossip.HEARTBEAT_S
            self.router.heartbeat(self.now)

    @property
    def mesh(self) -> set[bytes]:
        return self.router.mesh[TOPIC]

    def got(self, peer: bytes) -> list[bytes]:
        """Data of messages that were sent to a peer."""
        return [message.data for rpc in self.sent.get(peer, []) for message in rpc.publish]


class Author:
    """Who signs messages."""

    def __init__(self, n: int = 1) -> None:
        self.seed = bytes((n,)) * 32
        self.id = peer_id(encode_key(run(PublicKey(self.seed))))

    def says(self, data: bytes, topic: str = TOPIC) -> Message:
        return signed(self.id, self.seed, topic, data)


@pytest.fixture
def author() -> Author:
    return Author()


@pytest.fixture
def world() -> Iterator[World]:
    random.seed(1)
    world = World()
    world.router.subscribe(TOPIC, world.now)
    return world


def test_a_topic_has_a_mesh_of_some_peers_and_the_others_hear_what_there_was(world, author):
    peers = world.peers(20)
    world.beat()
    assert gossip.MESH_LOW <= len(world.mesh) <= gossip.MESH
    assert all(any(rpc.graft == [TOPIC] for rpc in world.sent[peer]) for peer in world.mesh)
    message = author.says(b"news")
    teller = next(iter(world.mesh))
    world.sent.clear()
    world.says(teller, publish=[message])
    assert world.heard == [b"news"]
    assert {peer for peer in peers if world.got(peer)} == world.mesh - {teller}
    world.sent.clear()
    world.beat()
    told = {peer for peer in peers if any(rpc.ihave == [(TOPIC, [message.id])] for rpc in world.sent.get(peer, []))}
    assert len(told) == gossip.LAZY and not told & world.mesh
    (asker, *_) = told
    (answer,) = world.says(asker, iwant=[message.id])
    assert answer.publish == [message]


def test_a_message_is_given_to_who_asks_three_times_and_for_five_heartbeats(world, author):
    asker, teller = world.peers(2)
    message = author.says(b"news")
    world.says(teller, publish=[message])
    for _ in range(gossip.IWANT_TIMES):
        assert world.says(asker, iwant=[message.id])
    assert not world.says(asker, iwant=[message.id])
    assert world.says(teller, iwant=[message.id])
    world.beat(gossip.HISTORY)
    assert not world.says(teller, iwant=[message.id]) and not world.router.peers[asker].sent


def test_what_a_peer_has_is_asked_for_once_it_is_not_known_and_so_much_in_a_heartbeat(world, author):
    (peer,) = world.peers(1)
    known = author.says(b"known")
    world.says(peer, publish=[known])
    (answer,) = world.says(peer, ihave=[(TOPIC, [known.id, b"new"]), ("other", [b"not ours"])])
    assert answer.iwant == [b"new"]
    ids = [b"%d" % i for i in range(2 * gossip.IWANT_MOST)]
    (answer,) = world.says(peer, ihave=[(TOPIC, ids)])
    assert len(answer.iwant) == gossip.IWANT_MOST - 1 and not world.says(peer, ihave=[(TOPIC, ids)])
    world.beat()
    assert world.says(peer, ihave=[(TOPIC, [b"new"])])


def test_a_message_is_delivered_once_and_only_with_the_signature_of_its_author(world, author):
    peers = world.peers(3)
    message = author.says(b"once")
    for peer in peers:
        world.says(peer, publish=[message])
    forged = Message(message.origin, b"forged", b"12345678", TOPIC, message.signature)
    unsigned = Message(message.origin, b"unsigned", b"12345679", TOPIC)
    foreign = author.says(b"of another topic", "other")
    world.says(peers[0], publish=[forged, unsigned, foreign, Message(world.own, b"mine", b"1", TOPIC, b"x")])
    assert world.heard == [b"once"]
    assert world.router.counts["forged"] == 2 and world.router.counts["unwanted"] == 1
    assert world.router.counts["repeats"] == 3


def test_an_own_message_goes_to_all_who_hear_the_topic_and_comes_back_to_nobody(world, author):
    peers = world.peers(15) + world.peers(2, is_mesh=False)
    others = world.peers(2, topic="other")
    world.sent.clear()
    message = Author(2).says(b"own")
    assert world.router.publish(message, world.now) == len(peers)
    assert all(world.got(peer) == [b"own"] for peer in peers) and not any(world.got(peer) for peer in others)
    world.sent.clear()
    world.says(peers[0], publish=[message])
    assert not world.heard and not world.sent.get(peers[1])


def test_floodsub_peers_get_every_message_and_are_in_no_mesh(world, author):
    (flood, other) = world.peers(2, is_mesh=False)
    (teller,) = world.peers(1)
    world.beat()
    assert world.mesh == {teller}
    world.sent.clear()
    world.says(teller, publish=[author.says(b"news")])
    assert world.got(flood) == world.got(other) == [b"news"]
    assert not world.says(flood, graft=[TOPIC]) and flood not in world.mesh
    world.beat()
    assert not any(rpc.ihave for rpc in world.sent.get(flood, []))


def test_a_peer_is_grafted_until_the_mesh_is_full_and_a_full_one_shrinks(world):
    peers = world.peers(20)
    for peer in peers:
        world.says(peer, graft=[TOPIC])
    assert len(world.mesh) == gossip.MESH_HIGH
    refused = next(peer for peer in peers if peer not in world.mesh)
    (answer,) = world.says(refused, graft=[TOPIC])
    assert answer.prune == [(TOPIC, gossip.BACKOFF_S)]
    world.mesh.add(refused)  # one too many, however that came
    world.sent.clear()
    world.beat()
    assert len(world.mesh) == gossip.MESH
    pruned = [peer for peer in peers if any(rpc.prune for rpc in world.sent.get(peer, []))]
    assert len(pruned) == gossip.MESH_HIGH + 1 - gossip.MESH and not world.mesh.intersection(pruned)


@pytest.mark.parametrize(("told", "seconds"), [(0, gossip.BACKOFF_S), (90, 90), (10**9, gossip.BACKOFF_MOST_S)])
def test_who_pruned_us_is_left_alone_as_long_as_it_said(world, told, seconds):
    (peer,) = world.peers(1)
    assert world.mesh == {peer}
    world.says(peer, prune=[(TOPIC, told)])
    assert not world.mesh
    world.now += seconds - 2
    world.beat()
    assert not world.mesh
    (answer,) = world.says(peer, graft=[TOPIC])  # nor may it come back by itself before that
    assert answer.prune and not world.mesh
    world.now += max(seconds, gossip.BACKOFF_S)
    world.beat()
    assert world.mesh == {peer}


def test_who_leaves_a_topic_prunes_its_mesh_and_hears_nothing_more(world, author):
    peers = world.peers(3)
    world.sent.clear()
    world.router.unsubscribe(TOPIC, world.now)
    for peer in peers:
        assert [rpc.prune for rpc in world.sent[peer] if rpc.prune] == [[(TOPIC, gossip.LEAVE_BACKOFF_S)]]
        assert any(rpc.subscriptions == [(False, TOPIC)] for rpc in world.sent[peer])
    world.says(peers[0], publish=[author.says(b"news")])
    assert not world.heard and not world.says(peers[0], graft=[TOPIC])


def test_a_message_is_known_again_for_two_minutes(world, author):
    (peer,) = world.peers(1)
    message = author.says(b"once")
    world.says(peer, publish=[message])
    world.now += gossip.SEEN_S - 1
    world.says(peer, publish=[author.says(b"other"), message])
    assert world.heard == [b"once", b"other"]
    world.now += 2
    world.says(peer, publish=[author.says(b"third")])
    assert message.id not in world.router._seen


# What peers cannot make it hold


def test_topics_of_a_peer_are_few_and_short(world):
    (peer,) = world.peers(1)
    world.says(peer, subscriptions=[(True, f"{i} {'x' * 5000}") for i in range(100)])
    assert sum(map(len, world.router.peers[peer].topics)) < 1000
    world.says(peer, subscriptions=[(True, f"topic {i}") for i in range(10_000)])
    assert len(world.router.peers[peer].topics) == gossip.TOPICS_MOST


def test_prunes_of_topics_that_are_not_heard_leave_nothing(world):
    (peer,) = world.peers(1)
    world.says(peer, prune=[(f"topic {i}", 3600) for i in range(1000)])
    assert not world.router._backoff


def test_a_graft_that_is_said_a_thousand_times_is_answered_once(world):
    (peer,) = world.peers(1)
    world.says(peer, prune=[(TOPIC, 60)])
    assert len(world.says(peer, graft=[TOPIC] * 1000)) == 1


def test_messages_that_are_kept_for_others_are_bounded_in_bytes(world, author):
    (peer,) = world.peers(1)
    for _ in range(4):
        for _ in range(5):
            world.says(peer, publish=[author.says(bytes(1_000_000))])
        world.beat()
    assert len(world.heard) == 20 and 2 < sum(map(len, world.router._kept)) < 20
    assert sum(len(each.data) for kept in world.router._kept for each in kept.values()) <= gossip.KEPT_MOST


def test_a_message_with_a_long_number_is_none(world, author):
    (peer,) = world.peers(1)
    bare = Message(author.id, b"data", bytes(100_000), TOPIC)
    signature = run(Sign(author.seed, author.id[6:], SIGNED + bare.text()))
    world.says(peer, publish=[Message(bare.origin, bare.data, bare.seqno, TOPIC, signature)])
    assert not world.heard and not world.router._seen
