"""The driver of an engine: ticks, timer, power, determinism; with a small engine of the same shape as the real ones."""

from picoswarm.compat import ticks_add, ticks_diff
from picoswarm_tools.sim import stream
from picoswarm_tools.sim.clock import DAY, MINUTE, SECOND, Clock
from picoswarm_tools.sim.host import Host
from picoswarm_tools.sim.measure import Trace
from picoswarm_tools.sim.network import Conditions, Network

ROUGH = Conditions(latency_ms=15, jitter_ms=40, loss=0.1, duplicate=0.05, reorder=0.05)


class Echo:
    """Sends 8 random bytes to a random other, waits 1 to 3 times `every_ms`; echoes what it gets, an "e" before it."""

    has_steps = False

    def __init__(self, rng, now, others, every_ms=1000):
        self.rng = rng
        self.every_ms = every_ms
        self.others = others
        self.queue = []
        self.events = []
        self.deadline = now
        self.echoed = self.slices = 0

    def _pick(self, n):
        return int.from_bytes(self.rng(4)) % n

    def receive(self, buf, n, ip, port, now):
        datagram = bytes(buf[:n])
        if datagram[:1] == b"e":
            self.echoed += 1
            self.events.append(("echoed", now))
        else:
            self.queue.append((b"e" + datagram, ip, port))

    def to_send(self, out):
        if not self.queue:
            return 0
        datagram, self.to_ip, self.to_port = self.queue.pop(0)
        out[: len(datagram)] = datagram
        return len(datagram)

    def next_event(self):
        return self.events.pop(0) if self.events else None

    def next_time(self):
        return self.deadline

    def tick(self, now):
        assert ticks_diff(now, self.deadline) >= 0, "woken before its time"
        assert ticks_diff(now, self.deadline) < 1000, "woken a second late"
        self.queue.append((self.rng(8), *self.others[self._pick(len(self.others))]))
        self.deadline = ticks_add(now, self.every_ms + self._pick(2 * self.every_ms))

    def work(self):
        self.slices += 1
        return False


def echo_mesh(n, seed, conditions=ROUGH, every_ms=1000):
    network = Network(Clock(), seed, conditions)
    trace = Trace()
    network.taps.append(trace)
    addresses = [(bytes((20, 0, i, 1)), 7000) for i in range(n)]

    def boot(host, rng, now):
        return Echo(rng, now, [address for address in addresses if address != host.endpoint.address], every_ms)

    hosts = [Host(network, network.internet, ip, port, boot, name=i, seed=seed) for i, (ip, port) in enumerate(addresses)]
    for host in hosts:
        host.power_on()
    return network, hosts, trace


def test_the_same_seed_gives_the_same_trace_and_another_seed_another():
    digests = []
    for seed in (1, 1, 2):
        network, hosts, trace = echo_mesh(20, seed)
        network.clock.run_for(MINUTE)
        hosts[3].power_off()
        network.partition([host.endpoint for host in hosts[:10]])
        network.clock.run_for(MINUTE)
        network.heal()
        hosts[3].power_on()
        network.clock.run_for(MINUTE)
        assert trace.entries > 1000
        digests.append(trace.hexdigest())
    assert digests[0] == digests[1] != digests[2]


def test_streams_of_concerns_are_apart_and_do_not_depend_on_the_hash_seed():
    assert stream(1, "loss").random() != stream(1, "latency").random()
    assert stream("seed", "engine", 12).randrange(1 << 30) == 873211729


def test_echoes_come_back():
    network, hosts, _ = echo_mesh(10, 1, Conditions(latency_ms=20))
    network.clock.run_for(MINUTE)
    assert all(host.engine.echoed >= 18 for host in hosts)
    assert all(host.stalls == 0 for host in hosts)


def test_ticks_wrap_inside_a_long_run():
    network, hosts, _ = echo_mesh(2, 1, Conditions(latency_ms=20), every_ms=100_000)
    wraps, before, echoed = 0, hosts[0].now, 0
    for _ in range(13):  # one wrap each 12.4 days
        network.clock.run_for(DAY)
        wraps += hosts[0].now < before
        before = hosts[0].now
        assert hosts[0].engine.echoed > echoed + 400  # it never stood still
        echoed = hosts[0].engine.echoed
    assert wraps >= 1


def test_a_node_without_power_neither_hears_nor_speaks_and_boots_afresh():
    network, hosts, _ = echo_mesh(5, 1)
    network.clock.run_for(10 * SECOND)
    host, old = hosts[0], hosts[0].engine
    host.power_off()
    sent, received = host.endpoint.sent_n, host.endpoint.received_n
    network.clock.run_for(MINUTE)
    assert (host.endpoint.sent_n, host.endpoint.received_n) == (sent, received)
    host.power_on()
    network.clock.run_for(MINUTE)
    assert host.engine is not old
    assert host.engine.echoed > 5
    assert host.boots == 2


def test_an_engine_that_moved_answers_at_its_new_address():
    network, hosts, _ = echo_mesh(2, 1, Conditions(latency_ms=20))
    network.clock.run_for(10 * SECOND)
    hosts[1].move(network.internet, "20.5.0.1", 7000)
    heard = hosts[0].engine.echoed
    network.clock.run_for(MINUTE)
    assert hosts[0].engine.echoed <= heard + 1  # its datagrams go to the old address
    assert hosts[1].engine.echoed > 20


def test_public_key_work_takes_its_time_and_datagrams_are_served_meanwhile():
    network, _, _ = echo_mesh(2, 1, Conditions(latency_ms=20))

    class Worker(Echo):
        left = 0
        done_us = None

        def receive(self, buf, n, ip, port, now):
            super().receive(buf, n, ip, port, now)
            if self.done_us is None and not self.left:
                self.left, self.begun_us = 3, network.clock.now_us

        def work(self):
            if not self.left:
                return False
            self.left -= 1
            if not self.left:
                self.done_us = network.clock.now_us
            return self.left > 0

    host = Host(
        network,
        network.internet,
        "20.1.0.1",
        7000,
        lambda host, rng, now: Worker(rng, now, [(bytes((20, 0, 0, 1)), 7000)]),
        name="worker",
        work_ms=700,
    )
    host.power_on()
    network.clock.run_for(10 * SECOND)
    engine = host.engine
    assert 1_400_000 <= engine.done_us - engine.begun_us <= 2_100_000
    assert engine.echoed >= 3


def test_an_engine_whose_deadline_stays_due_does_not_stop_the_clock():
    network, _, _ = echo_mesh(2, 1)

    class Stuck(Echo):
        def tick(self, now):
            pass

    host = Host(network, network.internet, "20.1.0.1", 7000, lambda host, rng, now: Stuck(rng, now, []), name="stuck")
    host.power_on()
    network.clock.run_for(SECOND)
    assert host.stalls > 900
    assert network.clock.now_us == SECOND


def test_public_key_work_is_done_one_piece_after_another():
    network, _, _ = echo_mesh(2, 1)
    others = [(bytes((20, 0, 0, 1)), 7000)]
    host = Host(network, network.internet, "20.1.0.1", 7000, lambda host, rng, now: Echo(rng, now, others), name="busy")
    host.power_on()
    begun_us = network.clock.now_us
    assert [host.occupy(100) - begun_us, host.occupy(50) - begun_us] == [100, 150]
    network.clock.run_for(SECOND)
    assert host.occupy(10) == network.clock.now_us + 10
