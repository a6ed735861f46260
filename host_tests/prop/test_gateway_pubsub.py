"""A gateway's publish/subscribe finds those who want a message by its topic: it sends what the library's would."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace

import pytest
from picoswarm.profile import Profile
from picoswarm.pubsub import PubSub
from picoswarm_gateway.pubsub import GIVEN, OWED, TOLD, HostPubSub, filters

TOPICS = ("a", "a/b", "a/c", "b/c", "b", "x" * 64)
FILTERS = (*TOPICS, "#", "+", "a/#", "+/c", "b/+", "a/b/#")
OWN_FILTERS = (b"", b"\1#", b"\1a", b"\x81a")
ORIGINS = (0, 1, 2, 3, 99)  # the node itself, peers, a stranger
CHANNEL = 2
LEAF, RELAY = (Profile(relay=relay, recent=4, filters=3, publish_burst=100, publish_ms=1) for relay in range(2))
WHAT = ("come", "go", "tell", "tell", "mistell", "hear", "fill", "publish", "publish", "pass", "pass", "time")
SIGNED, HAS_ORIGIN = 0x80, 0x40


class Peer:
    """A session whose queue has room now and then."""

    def __init__(self, number: int, publish_max: int = RELAY.publish_max) -> None:
        self.id = bytes((number,)) * 32
        self.hello = SimpleNamespace(publish_max=publish_max)
        self.sent: list[bytes] = []
        self.has_room = True

    def try_send(self, channel: int, text: bytes) -> bool:
        assert channel == CHANNEL
        if self.has_room:
            self.sent.append(bytes(text))
        return self.has_room


def told(filters: list[str], signed: int = 0) -> bytes:
    """FILTERS; `signed`: bit set for those that take signed messages only."""
    texts = enumerate(text.encode() for text in filters)
    return b"\x10" + b"".join(bytes((len(text) | (signed >> number & 1) << 7,)) + text for number, text in texts)


def passed_on(draws: Random) -> bytes:
    """A message as a peer sends it: signed or not, of itself or of another, now and then for no topic at all."""
    topic = b"a/+" if draws.random() < 0.1 else draws.choice(TOPICS).encode()
    signed, has_origin = draws.random() < 0.3, draws.random() < 0.5
    flags = SIGNED * signed | HAS_ORIGIN * has_origin | draws.choice((0, 0, 1, 15))
    origin = bytes((draws.choice(ORIGINS),)) * 32 if has_origin else b""
    return bytes((flags,)) + origin + draws.randbytes(4) + bytes((len(topic),)) + topic + b"payload" + bytes(64 * signed)


def check_index(node: HostPubSub) -> None:
    """What the gateway remembers beside the library is what the library knows."""
    peers = node.peers
    found: dict[bytes, set[Peer]] = {}
    for peer, state in peers.items():
        for text in filters(state[TOLD]):
            found.setdefault(text, set()).add(peer)
    topics = {text for text in found if b"+" not in text and b"#" not in text}
    assert {text: set(those) for text, those in node._by_topic.items()} == {text: found[text] for text in topics}
    assert set(node._patterns) == set().union(*(found[text] for text in set(found) - topics))
    for slot, holders in enumerate(node._holders):
        assert set(holders) == {peer for peer, state in peers.items() if (state[OWED] | state[GIVEN]) >> slot & 1}
    assert {peer for peer, state in peers.items() if state[OWED]} <= set(node._behind) <= set(peers)


def life(kind: type[PubSub], seed: int) -> tuple[list[list[bytes]], list[int], list[list[int]], list[int]]:
    """What each peer was sent, the counters, what is known of each peer at the end, and why peers had to go."""
    draws = Random(seed)
    now = 1000
    node = kind(bytes(32), RELAY if seed & 1 else LEAF, Random(1).randbytes, now)
    peers = [Peer(number, 60 if number == 3 else RELAY.publish_max) for number in range(1, 9)]
    there: list[Peer] = []
    reasons = []
    for _ in range(500):
        peer = draws.choice(peers)
        what = draws.choice(WHAT)
        node.now = now
        if what == "come" and peer not in there:
            there.append(peer)
            node.init_peer(peer)
            node.add_peer(peer)
        elif what == "go" and peer in there and draws.random() < 0.3:
            there.remove(peer)
            node.remove_peer(peer, 0)
        elif what == "tell" and peer in there:  # more than it may, now and then
            text = told(draws.sample(FILTERS, draws.randrange(6)), draws.choice((0, 0, draws.getrandbits(6))))
            reasons.append(node.receive(peer, CHANNEL, memoryview(text)))
        elif what == "mistell" and peer in there:
            reasons.append(node.receive(peer, CHANNEL, memoryview(b"\x10" + draws.randbytes(draws.randrange(6)))))
        elif what == "hear":
            node.set_filters(draws.choice(OWN_FILTERS), now)
        elif what == "fill":
            peer.has_room = not peer.has_room
        elif what == "publish":
            node.publish(node.compose(draws.choice(TOPICS), draws.randbytes(3), draws.random() < 0.3), now)
        elif what == "pass" and peer in there:
            reasons.append(node.receive(peer, CHANNEL, memoryview(passed_on(draws))))
        elif what == "time":
            now += draws.choice((1, 25, 300, 4000))
        due = node.next_time()
        if due is not None and due <= now:
            node.tick(now)
        if isinstance(node, HostPubSub):
            check_index(node)
    return [peer.sent for peer in peers], node.counts, [state[2:4] + state[5:] for state in node.peers.values()], reasons


@pytest.mark.parametrize("seed", range(40))
def test_a_gateway_sends_what_the_library_would(seed: int) -> None:
    ours = life(PubSub, seed)
    assert life(HostPubSub, seed) == ours
    assert sum(map(len, ours[0])) > 50  # the life had something in it


def test_a_peer_costs_no_memory_for_messages_that_it_does_not_get() -> None:
    node = HostPubSub(bytes(32), RELAY, Random(1).randbytes, 0)
    for number in range(1, 9):
        peer = Peer(number)
        node.init_peer(peer)
        node.add_peer(peer)
        assert not node.receive(peer, CHANNEL, memoryview(told([f"node/{number}"])))
    node.tick(0)
    assert not any(node._holders)
    assert not node._behind
    node.publish(node.compose("node/7", b"21 C"), 0)
    assert [len(holders) for holders in node._holders].count(1) == 1
    assert sum(map(len, node._holders)) == 1


def test_a_peer_that_went_by_an_exception_is_found_no_more() -> None:
    node = HostPubSub(bytes(32), RELAY, Random(1).randbytes, 0)
    peer = Peer(1)
    node.init_peer(peer)
    node.receive(peer, CHANNEL, memoryview(told(["a", "b/+"])))
    node.publish(node.compose("b", b"kept"), 0)
    peer.try_send = lambda channel, text: 1 // 0
    with pytest.raises(ZeroDivisionError):
        node.receive(peer, CHANNEL, memoryview(told(["b"])))
    check_index(node)
    node.remove_peer(peer, 0)
    check_index(node)
    assert node.publish(node.compose("a", b"21 C"), 0) == 0


def test_messages_go_only_to_peers_that_may_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    offer = PubSub._offer
    monkeypatch.setattr(PubSub, "_offer", lambda self, state, slots: (asked.append(state[0]), offer(self, state, slots))[1])
    node = HostPubSub(bytes(32), RELAY, Random(1).randbytes, 0)
    peers = [Peer(number) for number in range(1, 101)]
    for peer in peers:
        node.init_peer(peer)
        node.receive(peer, CHANNEL, memoryview(told([f"node/{peer.id[0]}"])))
    asked.clear()
    assert node.publish(node.compose("node/7", b"21 C"), 0) == 1
    assert asked == [peers[6]]
