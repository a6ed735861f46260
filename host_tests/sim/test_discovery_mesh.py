"""Discovery engines in the virtual network: joining, forgetting, partitions, reboots, routers, and the same seed twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from picoswarm.crypto import run
from picoswarm.nodekey import Create
from picoswarm_gateway.profile import with_table
from picoswarm_tools.demo.mesh import FAST
from picoswarm_tools.sim import stream
from picoswarm_tools.sim.clock import DAY, HOUR, MILLISECOND, MINUTE, SECOND
from picoswarm_tools.sim.measure import Exchanges, Trace
from picoswarm_tools.sim.mesh import BOOTSTRAP, Mesh, create_identity
from picoswarm_tools.sim.nat import NatKind
from picoswarm_tools.sim.network import INTERNET, LAN, Conditions, Fate

LONG = os.environ.get("PICOSWARM_LONG") == "1"
LOSSY = Conditions(latency_ms=20, jitter_ms=30, loss=0.3, duplicate=0.05, reorder=0.05)


def mesh_of(n, seed=1, conditions=INTERNET, minutes=5.0):
    """One bootstrap node and `n` others that start within a second, after `minutes`."""
    mesh = Mesh(seed, conditions)
    bootstrap = mesh.add(profile=BOOTSTRAP)
    for i in range(n):
        mesh.add(know=[bootstrap], start_us=SECOND + i * SECOND // n)
    mesh.clock.run_for(int(minutes * MINUTE))
    return mesh


def reach(mesh, start):
    """Every live node that is reached from `start` over live table entries."""
    by_id = {node.id: node for node in mesh.live()}
    reached, todo = {start}, [start]
    while todo:
        for id32 in sorted(todo.pop().live_ids()):
            node = by_id.get(id32)
            if node is not None and node not in reached:
                reached.add(node)
                todo.append(node)
    return reached


def is_one_mesh(mesh):
    return all(len(reach(mesh, node)) == len(mesh.live()) for node in mesh.live())


def holders(mesh, id32):
    """Who would hand out this id."""
    return [node for node in mesh.live() if id32 in node.live_ids()]


def find(mesh, node, wanted):
    search = node.find(wanted.id)
    mesh.clock.run_while(lambda: not search.is_done, 2 * MINUTE)
    return search.found


def test_a_node_that_knows_its_surroundings_looks_no_more_for_itself_while_farther_nodes_join():
    mesh = Mesh(5)
    bootstrap = mesh.add(profile=BOOTSTRAP)
    starts = stream(5, "start")
    boards = [mesh.add(know=[bootstrap], start_us=starts.randrange(180 * SECOND)) for _ in range(60)]
    mesh.clock.run_for(6 * MINUTE)
    assert sum(node.endpoint.sent_n for node in boards) < 160 * len(boards)  # 122 each; 203 if any new neighbour counts
    known = [sum(near.id in node.live_ids() for near in mesh.closest_live(node.id, 8, but=node)) for node in boards]
    assert sum(known) > 7.5 * len(boards)  # of the eight nearest


def turned_away(table, boards=200, minutes=1):
    """How many datagrams boards had no time for while their mesh grew: most of them those who were first."""
    mesh = Mesh(1, key_ms=132)
    bootstrap = mesh.add(profile=BOOTSTRAP | table)
    for i in range(boards):
        mesh.add(know=[bootstrap], start_us=SECOND + i * minutes * MINUTE // boards)
    mesh.clock.run_for(minutes * MINUTE + 10 * SECOND)
    return sum(node.engine.stats()["drop_busy"] for node in mesh.nodes[1:])


def test_a_gateway_s_table_sends_newcomers_to_others_than_those_who_were_first():
    assert turned_away(with_table({})) < turned_away({}) * 2 // 3


def test_the_same_seed_gives_the_same_bytes():
    digests = []
    for seed in (1, 1, 2):
        mesh = Mesh(seed, LOSSY)
        trace = Trace()
        mesh.network.taps.append(trace)
        bootstrap = mesh.add(profile=BOOTSTRAP)
        for i in range(12):
            mesh.add(know=[bootstrap], start_us=i * SECOND)
        mesh.clock.run_for(5 * MINUTE)
        mesh.nodes[3].find(mesh.nodes[7].id)
        mesh.clock.run_for(MINUTE)
        assert trace.entries > 500
        digests.append(trace.hexdigest())
    assert digests[0] == digests[1] != digests[2]


_RUN = """
from picoswarm_tools.sim.clock import MINUTE
from picoswarm_tools.sim.measure import Trace
from picoswarm_tools.sim.mesh import BOOTSTRAP, Mesh, create_identity
mesh = Mesh(5)
trace = Trace()
mesh.network.taps.append(trace)
first = mesh.add(profile={"bootstrap": 1})
for i in range(6):
    mesh.add(know=[first])
mesh.clock.run_for(2 * MINUTE)
print(trace.entries, trace.hexdigest())
"""


def test_the_same_bytes_in_another_process_with_another_hash_seed():
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(str(root / folder) for folder in ("lib", "tools"))
    outputs = [
        subprocess.run(
            [sys.executable, "-c", _RUN],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert int(outputs[0].split()[0]) > 100


@pytest.mark.parametrize(("loss", "seconds"), [(0.0, 10), (0.3, 60)])
@pytest.mark.parametrize("seed", range(10 if LONG else 2))
def test_twelve_nodes_on_loopback_know_their_eight_nearest(seed, loss, seconds):
    """They start within a second and know the address of one bootstrap node."""
    mesh = Mesh(seed)
    loopback = mesh.network.add_lan("127.0.0.0/8", conditions=Conditions(latency_ms=0.2, jitter_ms=0.3, loss=loss))
    bootstrap = mesh.add(segment=loopback, ip="127.0.0.1", port=7000, profile=BOOTSTRAP)
    for i in range(12):
        start_us = i * SECOND // 12
        mesh.add(know=[bootstrap], is_id_known=False, segment=loopback, ip="127.0.0.1", port=7001 + i, start_us=start_us)
    mesh.clock.run_until((seconds + 1) * SECOND)
    for node in mesh.nodes:
        held = {id32 for id32, _, _ in node.entries()}
        assert held >= {other.id for other in mesh.closest_live(node.id, 8, but=node)}


@pytest.mark.parametrize("seed", range(10 if LONG else 2))
def test_a_mesh_forms_at_thirty_percent_loss(seed):
    mesh = mesh_of(20, seed, LOSSY, minutes=4)
    assert all(node.has_joined for node in mesh.nodes)
    assert is_one_mesh(mesh)
    assert all(len(node.live_ids()) >= 8 for node in mesh.nodes)


@pytest.mark.parametrize("seed", range(20 if LONG else 1))
def test_d22_a_silent_node_is_forgotten_within_the_table_entries_and_two_minutes(seed):
    mesh = mesh_of(24, seed, minutes=12)
    gone = mesh.nodes[17]
    known_by = [node for node in mesh.live() if node is not gone and gone.id in node.live_ids()]
    assert len(known_by) >= 5
    gone.power_off()
    begun_us = mesh.clock.now_us
    limit_us = {node: begun_us + (len(node.entries()) + 2) * MINUTE for node in known_by}
    for node in sorted(known_by, key=limit_us.__getitem__):
        mesh.clock.run_until(limit_us[node])
        assert gone.id not in {id32 for id32, _, _ in node.entries()}, f"{node} still has it"
    mesh.clock.run_until(max(limit_us.values()) + HOUR)
    assert holders(mesh, gone.id) == []  # nobody spread it again


@pytest.mark.parametrize("seed", (4, 5, 6, 11))
def test_lookups_do_not_keep_a_silent_node_in_a_small_busy_mesh(seed):
    mesh = Mesh(seed, LAN, profile=FAST)
    bootstrap = mesh.add(profile={**BOOTSTRAP, **FAST})
    nodes = [mesh.add(know=[bootstrap], is_id_known=False, start_us=i * SECOND // 12) for i in range(6)]
    mesh.clock.run_until(9 * SECOND)
    nodes[0].power_off()
    mesh.clock.run_for(25 * SECOND)
    assert [node.name for node in mesh.live() if nodes[0].id in {id32 for id32, _, _ in node.entries()}] == []


@pytest.mark.parametrize("seed", range(5 if LONG else 1))
def test_a_healed_partition_becomes_one_mesh(seed):
    """Both halves lose the other completely; one of the halves has the bootstrap node, which the others keep asking."""
    mesh = mesh_of(20, seed, minutes=20)
    left, right = mesh.nodes[:11], mesh.nodes[11:]
    mesh.partition(left, right)
    mesh.clock.run_for(HOUR)
    halves = [{node.id for node in side} for side in (left, right)]
    for node in mesh.nodes:
        own, other = halves if node in left else halves[::-1]
        assert not node.live_ids() & other
        assert node.live_ids() <= own
    mesh.network.heal()
    mesh.clock.run_for(2 * MINUTE)
    assert is_one_mesh(mesh)
    assert all(find(mesh, a, b) for a, b in zip(left[1:6], right[1:6], strict=True))


def test_the_same_id_comes_back_after_a_reboot():
    mesh = mesh_of(20, minutes=15)
    node = mesh.nodes[9]
    node.power_off()
    mesh.clock.run_for(HOUR)
    assert holders(mesh, node.id) == []
    node.power_on()
    mesh.clock.run_for(2 * MINUTE)
    assert node.has_joined
    assert len(holders(mesh, node.id)) >= 5
    assert find(mesh, mesh.nodes[2], node)


def test_a_quick_reboot_goes_unnoticed_and_heals():
    """The rebooted node has lost every pair key and token; the others still send it 8-byte ids and old tokens."""
    mesh = mesh_of(20, minutes=15)
    node = mesh.nodes[9]
    node.power_off()
    mesh.clock.run_for(2 * SECOND)
    node.power_on()
    mesh.clock.run_for(HOUR)
    assert node.has_joined
    assert len(holders(mesh, node.id)) >= 5
    assert len(node.live_ids()) >= 10


def test_a_node_that_moved_is_found_at_its_new_address():
    mesh = mesh_of(20, minutes=15)
    node = mesh.nodes[9]
    node.move(mesh.network.internet, "21.0.0.1", 7483)
    node.engine.set_address(*node.endpoint.address)
    mesh.clock.run_for(HOUR)
    held = {
        address
        for other in mesh.live()
        if other is not node
        for id32, address, is_live in other.entries()
        if id32 == node.id and is_live
    }
    assert held == {node.endpoint.address}
    assert find(mesh, mesh.nodes[2], node)


def test_after_a_power_cut_of_everybody_the_mesh_forms_again():
    mesh = mesh_of(30, minutes=20)
    for node in mesh.nodes:
        node.power_off()
    mesh.clock.run_for(10 * MINUTE)
    for node in mesh.nodes:
        node.power_on()
    mesh.clock.run_for(MINUTE)
    assert sum(node.has_joined for node in mesh.nodes) >= 0.95 * len(mesh.nodes)
    mesh.clock.run_for(2 * MINUTE)
    assert is_one_mesh(mesh)


@pytest.mark.parametrize("kind", list(NatKind))
def test_nodes_behind_a_router_find_nodes_on_the_internet_and_each_other_at_home(kind):
    mesh = mesh_of(10, minutes=1)
    home = mesh.network.add_lan("192.168.1.0/24", nat=kind, outside_ip="20.200.0.1", mapping_timeout_s=120)
    inside = [
        mesh.add(know=[mesh.nodes[0]], start_us=mesh.clock.now_us + i * SECOND, segment=home, ip=f"192.168.1.{2 + i}")
        for i in range(3)
    ]
    mesh.clock.run_for(5 * MINUTE)
    assert all(node.has_joined for node in inside)
    assert all(find(mesh, node, wanted) for node in inside for wanted in mesh.nodes[1:4])
    outside = mesh.nodes[1:11]
    private = {address[0][:2] for node in outside for _, address, _ in node.entries()} & {b"\xc0\xa8"}
    assert not private  # no LAN address ever travelled to the internet


@pytest.mark.parametrize("kind", [NatKind.FULL_CONE, NatKind.PORT_RESTRICTED])
def test_a_router_that_gives_a_node_another_port_leaves_it_what_it_has(kind):
    """As most do to whoever was silent for a minute or two. It is where it was, and others answer it."""
    mesh = mesh_of(12, minutes=1)
    home = mesh.network.add_lan("192.168.1.0/24", nat=kind, outside_ip="20.200.0.1")
    inside = mesh.add(know=[mesh.nodes[0]], start_us=mesh.clock.now_us, segment=home, ip="192.168.1.2")
    mesh.clock.run_for(10 * MINUTE)
    held = inside.live_ids()
    assert inside.engine._outside.ip and len(held) == 13
    home.nat.reboot()
    assert all(find(mesh, inside, wanted) for wanted in mesh.nodes[:13])
    assert inside.live_ids() == held and inside.engine.stats()["seen_elsewhere"] == 0


@pytest.mark.parametrize("n", [2, 8])
def test_d20_a_lan_without_any_configuration_finds_itself_by_beacon(n):
    mesh = Mesh(3)
    lan = mesh.network.add_lan("192.168.1.0/24")
    for i in range(n):
        mesh.add(segment=lan, ip=f"192.168.1.{10 + i}", start_us=i * SECOND)
    mesh.clock.run_for(3 * MINUTE)
    assert is_one_mesh(mesh)
    assert all(len(node.live_ids()) == n - 1 for node in mesh.nodes)


def test_no_answer_larger_than_its_question_before_proof_and_no_long_datagram():
    mesh = Mesh(4, LOSSY)
    exchanges = Exchanges(mesh.network_key)
    mesh.network.taps.append(exchanges)
    bootstrap = mesh.add(profile=BOOTSTRAP)
    for i in range(20):
        mesh.add(know=[bootstrap], is_id_known=bool(i % 2), start_us=i * SECOND)
    mesh.clock.run_for(5 * MINUTE)
    assert exchanges.kinds[1] > 300
    assert exchanges.largest <= 512
    for exchange in exchanges.all:
        limit = 1 if exchange.kind == 1 else 4
        assert exchange.answer_bytes <= limit * exchange.request_bytes * exchange.heard, exchange


def wrap_mesh(n, first_tick):
    """A small mesh whose members are a minute apart in their ticks, and everybody joined."""
    mesh = Mesh(6)
    bootstrap = mesh.add(first_tick=first_tick, profile=BOOTSTRAP)
    for i in range(n):
        mesh.add(know=[bootstrap], first_tick=first_tick + i * MINUTE // MILLISECOND)
    mesh.clock.run_for(5 * MINUTE)
    return mesh


def assert_steady(mesh, wraps, step_us, steps):
    """Through `steps` of time every node keeps every other, is found, and neither falls silent nor storms."""
    for _ in range(steps):
        ticks = [node.now for node in mesh.nodes]
        sent = [node.endpoint.sent_n for node in mesh.nodes]
        mesh.clock.run_for(step_us)
        wraps -= sum(node.now < before for node, before in zip(mesh.nodes, ticks, strict=True))
        for node, before in zip(mesh.nodes, sent, strict=True):
            assert len(node.live_ids()) == len(mesh.nodes) - 1
            assert 0.5 < (node.endpoint.sent_n - before) * MINUTE / step_us < 6
    assert wraps <= 0
    assert find(mesh, mesh.nodes[1], mesh.nodes[2])


def test_ticks_wrap_inside_the_life_of_a_mesh():
    mesh = wrap_mesh(6, first_tick=2**30 - 30 * MINUTE // MILLISECOND)
    assert_steady(mesh, wraps=7, step_us=10 * MINUTE, steps=6)


@pytest.mark.skipif(not LONG, reason="thirteen virtual days; PICOSWARM_LONG=1")
def test_thirteen_days_in_a_small_mesh():
    mesh = wrap_mesh(4, first_tick=12345)
    assert_steady(mesh, wraps=5, step_us=DAY, steps=13)


def test_strangers_with_another_network_key_are_not_answered():
    mesh, other = mesh_of(5, minutes=2), Mesh("another mesh")
    stranger = other.add(start_us=0, ip="22.0.0.1")
    heard = []
    mesh.network.bind(mesh.network.internet, "22.0.0.1", 7483, lambda *arrival: heard.append(arrival))
    endpoint = mesh.network.internet.endpoints[stranger.endpoint.address]
    sent = []
    other.network.taps.append(lambda _us, fate, _a, _b, datagram: fate is Fate.SENT and sent.append(datagram))
    stranger.know = [(node.id, node.endpoint.address) for node in mesh.nodes]
    other.clock.run_for(5 * MINUTE)
    assert len(sent) >= 10
    for datagram in sent:
        for node in mesh.nodes:
            endpoint.send(datagram, *node.endpoint.address)
    before = [node.entries() for node in mesh.nodes]
    mesh.clock.run_for(SECOND)
    assert heard == []
    assert [node.entries() for node in mesh.nodes] == before


def test_a_lan_mesh_keeps_the_limit_of_two_nodes_per_address():
    mesh = Mesh(8)
    lan = mesh.network.add_lan("192.168.1.0/24", conditions=LAN)
    for i in range(4):
        mesh.add(segment=lan, ip=f"192.168.1.{10 + i}")
    for port in range(8000, 8006):
        mesh.add(segment=lan, ip="192.168.1.50", port=port)
    mesh.clock.run_for(10 * MINUTE)
    for node in mesh.nodes[:4]:
        crowd = [address for _, address, _ in node.entries() if address[0] == bytes((192, 168, 1, 50))]
        assert len(crowd) <= 2


def test_an_identity_of_the_simulator_is_one_of_the_library():
    class Pool:
        draw_key = stream(9, "identity").randbytes

    assert create_identity(stream(9, "identity")).encode() == run(Create(Pool())).encode()
