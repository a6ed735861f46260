"""Lookups against the truth: the wanted id is found, the full rule gives the 8 closest live nodes, whoever lies."""

import os

import pytest
from picoswarm_tools.sim import runs
from picoswarm_tools.sim.fork import futures
from picoswarm_tools.sim.liar import Lie
from picoswarm_tools.sim.measure import mean

LONG = os.environ.get("PICOSWARM_LONG") == "1"
NODES = 250 if LONG else 60
LOOKUPS = 300 if LONG else 60


@pytest.fixture(scope="module")
def mesh():
    """A mesh grown by the protocol itself from one bootstrap node. Tests work in forked copies of it."""
    return runs.grow(NODES, seed=11)


def in_a_copy(mesh, *changes, is_full=False):
    """Kill a fifth of the nodes, apply `changes`, run the lookups."""

    def work():
        runs.kill(mesh)
        for change in changes:
            change(mesh)
        return runs.look_up(mesh, LOOKUPS, is_full)

    return next(futures([work], jobs=1))


def share(figures):
    return mean([figure.is_right for figure in figures])


def test_everybody_joined_and_nobody_holds_a_node_that_never_was(mesh):
    ids = {node.id for node in mesh.nodes}
    assert all(node.has_joined for node in mesh.nodes)
    assert all(node.live_ids() <= ids for node in mesh.nodes)
    assert all(node.id not in node.live_ids() for node in mesh.nodes)


def test_a_live_id_is_found_among_dead_entries(mesh):
    figures = in_a_copy(mesh)
    assert share(figures) >= 0.99
    assert max(figure.queries for figure in figures) <= 24
    assert mean([figure.cold_bytes for figure in figures]) <= 2253


def test_a_live_id_is_found_at_ten_percent_loss(mesh):
    assert share(in_a_copy(mesh, runs.lossy)) >= 0.95


@pytest.mark.parametrize("lie", list(Lie))
def test_a_live_id_is_found_though_a_tenth_lies(mesh, lie):
    assert share(in_a_copy(mesh, lambda mesh: runs.corrupt(mesh, lie))) >= 0.95


def test_d19_the_full_rule_gives_the_true_closest_live_nodes(mesh):
    assert share(in_a_copy(mesh, is_full=True)) >= 0.95


def test_a_dead_id_is_never_found(mesh):
    def work():
        runs.kill(mesh)
        dead = [node for node in mesh.nodes if not node.is_on]
        searches = [mesh.nodes[i + 1].find(node.id) for i, node in enumerate(dead[:10]) if mesh.nodes[i + 1].is_on]
        mesh.clock.run_for(180_000_000)
        return [(search.is_done, search.found) for search in searches]

    results = next(futures([work], jobs=1))
    assert len(results) >= 5
    assert all(result == (True, False) for result in results)


def test_invented_ids_are_told_but_never_enter_a_table(mesh):
    def work():
        liars = runs.corrupt(mesh, Lie.INVENTED, Lie.FAR)
        runs.look_up(mesh, 4 * LOOKUPS, False)
        ids = {node.id for node in mesh.nodes}
        return [liar.lies for liar in liars], all({id32 for id32, _, _ in node.entries()} <= ids for node in mesh.nodes)

    lies, is_clean = next(futures([work], jobs=1))
    assert len(lies) >= NODES // 20
    assert sum(lies) >= LOOKUPS // 5 and sum(told > 0 for told in lies) >= len(lies) // 2
    assert is_clean
