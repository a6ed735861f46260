"""Whole nodes in virtual time: messages arrive under loss and power cuts, sessions join a mesh, and the same seed twice."""

import gc
import os
from collections import Counter
from statistics import median

import pytest
from picoswarm_tools.sim.clock import MINUTE, SECOND
from picoswarm_tools.sim.delivery import Delivery
from picoswarm_tools.sim.mesh import BOOTSTRAP
from picoswarm_tools.sim.network import Conditions
from picoswarm_tools.sim.newcomers import Newcomers
from picoswarm_tools.sim.swarm_node import SwarmMesh, time_to_one_piece
from picoswarm_tools.sim.visits import Visits

LONG = os.environ.get("PICOSWARM_LONG") == "1"


def mesh_of(n, seed=1, **more):
    """A bootstrap node and `n` - 1 boards, after a minute."""
    mesh = SwarmMesh(seed, **more)
    for number in range(n):
        mesh.add(know=mesh.nodes[:1], profile={} if number else BOOTSTRAP, start_us=number * SECOND // 10)
    mesh.clock.run_for(MINUTE)
    return mesh


def test_published_messages_arrive_under_loss_and_power_cuts():
    """publish.delivery, short: at least 0.99 of what is due within 10 s, and nothing twice."""
    # One message that nobody hears is 1 % of a short run: so three of them.
    runs = [Delivery(nodes=50 if LONG else 30, seed=seed) for seed in ((3,) if LONG else (1, 2, 3))]
    for run in runs:
        run.run(minutes=20 if LONG else 3)
        assert run.published >= 90 and run.due > 1000 and run.repeated == 0
    missed = [(when_us / SECOND, str(a), str(b), n) for run in runs for when_us, a, b, n in run.missed]
    assert len(missed) <= 0.01 * sum(run.due for run in runs), missed


@pytest.mark.parametrize("nodes", [12, 30, 50] if LONG else [12, 30])
def test_nodes_whose_links_are_all_taken_reach_each_other_and_stay_one_mesh(nodes):
    """swarm.visits: of random requests, one a minute of each node, more than 99 % are answered within 10 s."""
    runs = [Visits(nodes, MINUTE, seed) for seed in range(1, 7 if LONG else 3)]
    for run in runs:
        run.run(minutes=10 if LONG else 3)
        # A visit may take a node's last link; then it has another one after a dial's wait of 3 s and a set-up.
        assert max(run.apart_s, default=0) <= 5 and min(run.links) > 3
        # Both ends of a session for each, and few others: some visits end a way down, which is then sought anew.
        assert run.opened < 2.6 * run.asked + nodes
    looks = sum((run.pieces for run in runs), Counter())
    assert looks[1] >= 0.995 * looks.total(), looks
    assert sum(run.ends["answered"] for run in runs) >= 0.99 * sum(run.asked for run in runs), [run.ends for run in runs]


def test_sessions_that_ended_leave_nothing_behind_that_only_a_garbage_collection_would_find():
    gc.collect()
    gc.disable()
    try:
        mesh = mesh_of(10, profile={"links": 2})  # most dials are refused
        mesh.clock.run_for(MINUTE)
        assert mesh.tcp.sent_n > 100
        assert gc.collect() < 100
    finally:
        gc.enable()


def test_without_loss_everything_arrives():
    run = Delivery(nodes=20, loss=0.0, every_us=0, seed=1)
    run.run(minutes=2, gap_us=SECOND // 2)
    assert run.delivered == run.due > 1000 and run.repeated == 0


@pytest.mark.parametrize("nodes", [12, 30, 100] if LONG else [12, 30])
def test_sessions_join_a_mesh_of_boards_to_one_piece(nodes):
    for seed in range(1, 11 if LONG else 3):
        assert time_to_one_piece(nodes, seed, 10 * MINUTE) <= 5 * MINUTE, seed


@pytest.mark.parametrize("links", [2, 3, 4])
def test_small_meshes_with_few_links_are_one_piece_and_take_newcomers_in_at_once(links):
    """swarm.first: without ways down a third of these stood in pieces, and newcomers waited for a minute and more."""
    waits = []
    for seed in range(1, 101) if LONG else (1, 2, 3, 4, 5, 6, 84):  # 84: two rings for two minutes, with links=2
        run = Newcomers(seed, links)
        run.run((60, 120))
        assert len(run.pieces[120]) == 1, (seed, run.pieces)
        waits += run.waits_s
    assert sorted(waits)[len(waits) * 19 // 20] <= 10, sorted(waits)[-8:]


def test_a_mesh_of_boards_with_two_links_each_comes_to_rest():
    """Room for one is made by another's link, but the ids of a node's links only fall: this comes to an end."""
    run = Newcomers(6, 2)
    run.run((60,))
    events = []
    for node in run.mesh.nodes:
        node.on_swarm_event = lambda _node, event: events.append(event)
    run.run((300,))
    assert run.pieces[300] == [len(run.mesh.nodes)] and len(events) <= 4


def test_boards_with_two_links_are_joined_by_one_node_that_has_more():
    mesh = SwarmMesh(1, profile={"links": 2})
    for number in range(16):
        hub = {**BOOTSTRAP, "links": 16, "outbound": 8, "inbound": 8, "dials": 4}
        mesh.add(know=mesh.nodes[:1], profile={} if number else hub, start_us=number * SECOND // 10)
    mesh.clock.run_for(3 * MINUTE)
    assert mesh.components() == [16]


def test_a_mesh_whose_nodes_have_lost_all_power_comes_back():
    mesh = mesh_of(20)
    for node in mesh.nodes:
        node.power_off()
    mesh.clock.run_for(10 * SECOND)
    for node in mesh.nodes:
        node.power_on()
    mesh.clock.run_for(3 * MINUTE)
    assert mesh.components() == [20]


def test_the_same_seed_gives_the_same_sessions():
    seen = []
    for seed in (5, 5, 6):
        mesh = mesh_of(10, seed, conditions=Conditions(20, 20, loss=0.1))
        seen.append([[other.name for other in mesh.neighbors(node)] for node in mesh.nodes] + [mesh.clock.events])
    assert seen[0] == seen[1] != seen[2]


def test_a_node_that_goes_without_a_word_is_missed_within_a_minute_and_joins_again():
    mesh = mesh_of(8)
    gone = mesh.nodes[3]
    gone.power_off()
    mesh.clock.run_for(52 * SECOND)
    assert not any(gone.id in node.swarm.peers for node in mesh.live())
    gone.power_on()
    mesh.clock.run_for(MINUTE)
    assert mesh.neighbors(gone)


def test_a_peer_that_reboots_at_once_is_back_long_before_it_was_missed():
    mesh = mesh_of(4)
    node = mesh.nodes[2]
    node.power_off()
    node.power_on()
    mesh.clock.run_for(25 * SECOND)
    assert mesh.components() == [4] and mesh.neighbors(node)


def test_a_partition_that_heals_is_one_mesh_again():
    """The two halves lose their sessions to each other by keepalive, and find each other again."""
    mesh = mesh_of(16)
    for node in mesh.nodes[8:]:
        node.tcp_host.side = 1
    mesh.partition(mesh.nodes[:8], mesh.nodes[8:])
    mesh.clock.run_for(3 * MINUTE)
    assert max(mesh.components()) <= 8
    for node in mesh.nodes:
        node.tcp_host.side = 0
    mesh.network.heal()
    mesh.clock.run_for(10 * MINUTE)
    assert mesh.components() == [16]


def test_two_that_dial_each_other_at_the_same_time_agree_on_one_session():
    for seed in range(40 if LONG else 12):
        mesh = SwarmMesh(seed, profile={"links": 4})
        a, b = mesh.add(), mesh.add()
        mesh.clock.run_for(SECOND)
        a.want(b)
        b.want(a)
        mesh.clock.run_for(8 * SECOND)
        ours, theirs = a.session(b), b.session(a)
        assert ours is not None and theirs is not None and ours.is_outbound != theirs.is_outbound
        assert a.end_of(ours).other is b.end_of(theirs)
        assert len(a.swarm.sessions) == len(b.swarm.sessions) == 1


def test_a_slow_processor_joins_later_and_its_sessions_open_later():
    """A key agreement of 200 ms: a few of them stand before a node's table is full and before its first session."""
    seconds = {}
    for key_ms in (0.0, 200.0):
        mesh = SwarmMesh(3, key_ms=key_ms)
        first = mesh.add(profile=BOOTSTRAP, key_ms=0.0)
        nodes = [mesh.add(know=[first], start_us=SECOND) for _ in range(6)]
        joined, opened = {}, {}
        while len(joined) < 6 or len(opened) < 6:
            mesh.clock.run_for(SECOND // 20)
            assert mesh.clock.now_us < 5 * MINUTE
            for node in nodes:
                if node.has_joined:
                    joined.setdefault(node, mesh.clock.now_us)
                if node.is_on and any(node.session(other) for other in mesh.nodes if other is not node):
                    opened.setdefault(node, mesh.clock.now_us)
        seconds[key_ms] = median(joined.values()) / SECOND, median(opened.values()) / SECOND
    assert seconds[200.0][0] > seconds[0.0][0] + 0.4
    assert seconds[200.0][1] > seconds[0.0][1] + 0.4
