"""Pubsub between two of the gateway's libp2p hosts whose streams come late, are reset, or not opened at all."""

from __future__ import annotations

from picoswarm_gateway.families.libp2p import pubsub
from picoswarm_tools.libp2p.pairs import TOPIC, Ours
from small_mesh import until
from two_hosts import connected, run


def knows(one: Ours, other: Ours) -> bool:
    """Whether one host knows what the other hears."""
    known = one.pubsub.router.peers.get(other.host.id)
    return bool(known and TOPIC in known.topics)


async def talk(one: Ours, other: Ours) -> None:
    """Messages come through both ways, once each side knows of the other."""
    await until(lambda: knows(one, other) and knows(other, one))
    one.pubsub.publish(TOPIC, b"from one")
    other.pubsub.publish(TOPIC, b"from other")
    await until(lambda: b"from one" in other.heard and b"from other" in one.heard)


def test_topics_that_a_peer_tells_before_there_is_a_stream_to_it_are_known():
    async def story(one, other):
        one.host.on_connected.clear()  # it opens its stream late
        here, _ = await connected(one, other)
        await until(lambda: knows(one, other))
        assert not knows(other, one)
        one.pubsub._connected(here)
        await talk(one, other)

    run(story)


def test_what_waits_for_a_peer_that_does_not_read_is_bounded_in_bytes():
    async def story(one, other):
        await connected(one, other)
        await talk(one, other)
        other.host.connections[0].reader.cancel()
        for _ in range(60):
            one.pubsub.publish(TOPIC, bytes(500_000))
        assert one.pubsub._queues[other.host.id].held < pubsub.QUEUE_MOST + 600_000
        assert one.pubsub.router.counts["unsent"] > 40

    run(story)


def test_a_stream_that_the_peer_resets_is_opened_again(monkeypatch):
    monkeypatch.setattr(pubsub, "AGAIN_S", 0.05)

    async def story(one, other):
        _, there = await connected(one, other)
        await talk(one, other)
        spoken = other.pubsub._inbound[one.host.id]
        spoken.reset()
        await until(lambda: other.pubsub._inbound.get(one.host.id) not in (None, spoken))
        one.heard.clear()
        other.heard.clear()
        await talk(one, other)
        assert there.is_open and one.host.id in other.pubsub.router.mesh[TOPIC]

    run(story)


def test_a_peer_that_stays_silent_is_told_who_we_are(monkeypatch):
    monkeypatch.setattr(pubsub, "SILENT_S", 0.05)

    async def story(one, other):
        other.host.on_connected.clear()  # it knows of nobody who speaks pubsub
        _, there = await connected(one, other)
        await until(lambda: there.link.identified)
        assert pubsub.MESH_NAMES[0] in there.link.identified.protocols
        other.pubsub._connected(there)
        await talk(one, other)

    run(story)


def test_a_lost_connection_leaves_nothing_of_its_peer():
    async def story(one, other):
        here, _ = await connected(one, other)
        await talk(one, other)
        here.close()
        for each in (one, other):
            await until(lambda each=each: not each.pubsub.router.peers and not each.pubsub._inbound)
            assert not each.pubsub._tasks and not each.pubsub._queues and not each.pubsub.router.mesh[TOPIC]

    run(story)
