"""Two halves of a mesh that did not hear each other for half an hour are one mesh again (issue 7)."""

import os

import pytest
from picoswarm_tools.sim.clock import MINUTE, SECOND
from picoswarm_tools.sim.mesh import BOOTSTRAP
from picoswarm_tools.sim.swarm_node import SwarmMesh

LONG = os.environ.get("PICOSWARM_LONG") == "1"
HALF = 12


def halves(seed: int) -> SwarmMesh:
    """A settled mesh of boards, the first a bootstrap node, that falls into two halves for 30 minutes."""
    mesh = SwarmMesh(seed)
    for number in range(2 * HALF):
        mesh.add(know=mesh.nodes[:1], profile={} if number else BOOTSTRAP, start_us=number * SECOND // 10)
    mesh.clock.run_for(5 * MINUTE)
    assert mesh.components() == [2 * HALF]
    cut(mesh, 1)
    mesh.clock.run_for(30 * MINUTE)
    assert len(mesh.components()) >= 2
    return mesh


def cut(mesh: SwarmMesh, side: int) -> None:
    """Put the second half on a side of its own, or (0) back."""
    for node in mesh.nodes[HALF:]:
        node.set_side(side)


def known(mesh: SwarmMesh) -> int:
    """How many nodes of the other half all tables hold."""
    ids = {node.id: place // HALF for place, node in enumerate(mesh.nodes)}
    return sum(
        ids[id32] != place // HALF
        for place, node in enumerate(mesh.nodes)
        if node.is_on
        for id32, _address, is_live in node.entries()
        if is_live
    )


@pytest.mark.parametrize("has_bootstrap", [False, True] if LONG else [False], ids=lambda has: f"bootstrap {has}")
@pytest.mark.parametrize("seed", range(1, 21 if LONG else 2))
def test_two_halves_are_one_mesh_two_minutes_after_they_hear_each_other_again(seed, has_bootstrap):
    mesh = halves(seed)
    if not has_bootstrap:  # nobody is left whom all ask for the mesh
        mesh.nodes[0].power_off()
    nodes = 2 * HALF - (not has_bootstrap)
    before = known(mesh)
    cut(mesh, 0)
    begun = mesh.clock.now_us
    while mesh.components() != [nodes]:
        mesh.clock.run_for(5 * SECOND)
        assert mesh.clock.now_us - begun <= 2 * MINUTE, (mesh.components(), before, known(mesh))
    mesh.clock.run_for(5 * MINUTE)  # and stay one
    assert mesh.components() == [nodes]
    assert known(mesh) > nodes * nodes // 4
