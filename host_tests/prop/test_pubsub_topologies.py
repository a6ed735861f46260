"""Publish/subscribe on random topologies that change meanwhile: nobody hears a message twice, or one that it did not
subscribe to, and all hear it who have a chain of subscribers."""

from __future__ import annotations

import random

from fake_peers import Publishers, heard
from hypothesis import given, settings
from hypothesis import strategies as st

NODES = 6
TOPICS = ("a/x", "a/y", "b")
FILTERS = ("a/x", "a/+", "#", "b", "+")
HEARD_BY = {"a/x": {"a/x", "a/+", "#"}, "a/y": {"a/+", "#"}, "b": {"b", "#", "+"}}

pair = st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)).filter(lambda p: p[0] != p[1])
step = st.one_of(
    st.tuples(st.just("publish"), st.integers(0, NODES - 1), st.sampled_from(TOPICS)),
    st.tuples(st.sampled_from(["connect", "cut", "slow"]), pair, st.integers(1, 3)),
    st.tuples(st.just("pass"), st.integers(1, 12000), st.none()),
    st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), st.integers(0, NODES - 1), st.sampled_from(FILTERS)),
)


class Mesh(Publishers):
    """Nodes that note what they heard, and what they might have heard."""

    def __init__(self, wanted):
        super().__init__()
        self.wanted = [set(filters) for filters in wanted]  # all filters that a node ever had
        self.members = [self.node(*filters, seen=64) for filters in wanted]
        self.heard: list[list] = [[] for _ in wanted]
        self.published = 0

    def step(self, what, which, more):
        if what == "publish":
            self.publish(self.members[which], more, b"%d" % self.published)
            self.published += 1
        elif what == "pass":
            self.pass_ms(which)
        elif what == "subscribe":
            self.wanted[which].add(more)
            self.subscribe(self.members[which], more)
        elif what == "unsubscribe":
            self.unsubscribe(self.members[which], more)
        else:
            a, b = (self.members[i] for i in which)
            is_open = b.number in a.peers
            if what == "connect" and not is_open:
                self.connect(a, b, more)
            elif what == "cut" and is_open:
                self.cut(a, b)
            elif what == "slow" and is_open:
                a.peers[b.number].is_slow = not a.peers[b.number].is_slow
                self.settle()
        for i, node in enumerate(self.members):
            self.heard[i] += heard(node)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sets(st.sampled_from(FILTERS), max_size=3), min_size=NODES, max_size=NODES), st.lists(step, max_size=40))
def test_each_message_is_heard_at_most_once_and_only_by_who_wants_it(wanted, steps):
    mesh = Mesh(wanted)
    for each in steps:
        mesh.step(*each)
    for i, events in enumerate(mesh.heard):
        payloads = [payload for _, payload, _, _ in events]
        assert len(payloads) == len(set(payloads))
        for topic, _, origin, _ in events:
            assert origin != i
            assert HEARD_BY[topic] & mesh.wanted[i]
        state = mesh.members[i].reactors[0]
        assert len(state._kept) == 8 and len(state._queue) <= 8 and len(state.peers) == len(mesh.members[i].peers)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(pair, min_size=NODES - 1, max_size=14),
    st.lists(st.booleans(), min_size=NODES, max_size=NODES),
    st.lists(st.tuples(st.integers(0, NODES - 1), st.integers(0, 300)), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_who_has_a_chain_of_subscribers_hears_all_even_over_sessions_that_stall_or_begin_late(edges, wants, sent, chance):
    mesh = Mesh([{"#"} if each else set() for each in wants])
    edges = {tuple(sorted(each)) for each in edges}
    for a, b in edges:
        if chance.random() < 0.7:
            mesh.step("connect", (a, b), 2)
            for node in (a, b):
                mesh.members[node].peers[a + b - node].is_slow = chance.random() < 0.5
    for node, ms in sent:
        mesh.step("publish", node, "b")
        mesh.pass_ms(ms)
    for a, b in edges:
        if mesh.members[b].number not in mesh.members[a].peers:
            mesh.step("connect", (a, b), 2)
        for node in (a, b):
            mesh.members[node].peers[a + b - node].is_slow = False
    mesh.settle()
    for _ in range(40):
        mesh.step("pass", 200, None)
    for i, (origin, _) in enumerate(sent):
        reached = {origin}
        todo = [origin]
        while todo:
            node = todo.pop()
            for a, b in edges:
                if node in (a, b) and (other := a + b - node) not in reached and wants[other]:
                    reached.add(other)
                    todo.append(other)
        for node in range(NODES):
            times = sum(event[1] == b"%d" % i for event in mesh.heard[node])
            assert times == (node in reached - {origin}), (i, node)


def random_mesh(n: int, degree: int, chance: random.Random) -> Publishers:
    """A mesh in which every node dialed others until it had `degree` sessions, as far as they had room."""
    world = Publishers()
    nodes = [world.node("#", seen=64) for _ in range(n)]
    for _ in range(60 * n):
        a, b = chance.sample(nodes, 2)
        if b.number not in a.peers and len(a.peers) < degree and len(b.peers) < degree:
            world.connect(a, b)
    return world


def test_the_hop_limit_reaches_everybody_in_a_mesh_of_fifty_with_few_sessions_each():
    """In any order of arrival, of which few are the shortest ways: a lower limit leaves some out."""
    chance = random.Random(4)
    for _ in range(10):
        world = random_mesh(50, 3, chance)
        pubsub = world.nodes[0].reactors[0]
        pubsub.publish(pubsub.compose("t", b"x"), world.now)
        while queues := [peer for node in world.nodes for peer in node.peers.values() if peer.queue]:
            peer = chance.choice(queues)
            channel, data = peer.queue.pop(0)
            peer.other.hand_over(peer.back, channel, data, world.now)
        component, todo = {0}, [0]
        while todo:
            for other in world.nodes[todo.pop()].peers:
                if other not in component:
                    component.add(other)
                    todo.append(other)
        assert len(component) > 40
        for node in world.nodes[1:]:
            assert len(heard(node)) == (node.number in component), node.number
