"""A gateway's publish/subscribe finds those who want a message by its topic: it sends what the library's would."""

from __future__ import annotations

from random import Random

import pytest
from picoswarm.profile import Profile
from picoswarm.pubsub import PubSub
from picoswarm_gateway.pubsub import HostPubSub

TOPICS = ("a", "a/b", "a/c", "b/c", "b")
FILTERS = (*TOPICS, "#", "+", "a/#", "+/c", "b/+")
CHANNEL = 2
PROFILE = Profile(relay=1, recent=4, filters=3, publish_burst=100, publish_ms=1)


class Peer:
    """A session whose queue has room now and then."""

    class hello:
        publish_max = PROFILE.publish_max

    def __init__(self, number: int) -> None:
        self.id = bytes((number,)) * 32
        self.sent: list[bytes] = []
        self.has_room = True

    def try_send(self, channel: int, text: bytes) -> bool:
        assert channel == CHANNEL
        if self.has_room:
            self.sent.append(bytes(text))
        return self.has_room


def told(filters: list[str]) -> bytes:
    return b"\x10" + b"".join(bytes((len(text),)) + text.encode() for text in filters)


def life(kind: type[PubSub], seed: int) -> tuple[list[list[bytes]], list[int], list[tuple[int, int]]]:
    """What each peer was sent, the counters, and what is known of each peer at the end."""
    draws = Random(seed)
    now = 1000
    node = kind(bytes(32), PROFILE, Random(1).randbytes, now)
    peers = [Peer(number) for number in range(1, 9)]
    there: list[Peer] = []
    for _ in range(400):
        peer = draws.choice(peers)
        what = draws.choice(("come", "go", "tell", "tell", "fill", "publish", "publish", "pass", "time"))
        node.now = now
        if what == "come" and peer not in there:
            there.append(peer)
            node.init_peer(peer)
            node.add_peer(peer)
        elif what == "go" and peer in there and draws.random() < 0.3:
            there.remove(peer)
            node.remove_peer(peer, 0)
        elif what == "tell" and peer in there:
            assert not node.receive(peer, CHANNEL, memoryview(told(draws.sample(FILTERS, draws.randrange(4)))))
        elif what == "fill":
            peer.has_room = not peer.has_room
        elif what == "publish":
            node.publish(node.compose(draws.choice(TOPICS), draws.randbytes(3)), now)
        elif what == "pass" and peer in there:
            topic = draws.choice(TOPICS).encode()
            text = b"\0" + draws.randbytes(4) + bytes((len(topic),)) + topic + b"payload"
            assert not node.receive(peer, CHANNEL, memoryview(text))
        elif what == "time":
            now += draws.choice((1, 25, 300, 4000))
        due = node.next_time()
        if due is not None and due <= now:
            node.tick(now)
    return [peer.sent for peer in peers], node.counts, [(state[2], state[3]) for state in node.peers.values()]


@pytest.mark.parametrize("seed", range(20))
def test_a_gateway_sends_what_the_library_would(seed: int) -> None:
    sent, counts, known = life(PubSub, seed)
    assert life(HostPubSub, seed) == (sent, counts, known)
    assert sum(map(len, sent)) > 50  # the life had something in it


def test_messages_go_only_to_peers_that_may_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    offer = PubSub._offer
    monkeypatch.setattr(PubSub, "_offer", lambda self, state, slots: (asked.append(state[0]), offer(self, state, slots))[1])
    node = HostPubSub(bytes(32), PROFILE, Random(1).randbytes, 0)
    peers = [Peer(number) for number in range(1, 101)]
    for peer in peers:
        node.init_peer(peer)
        node.receive(peer, CHANNEL, memoryview(told([f"node/{peer.id[0]}"])))
    asked.clear()
    assert node.publish(node.compose("node/7", b"21 C"), 0) == 1
    assert asked == [peers[6]]
