"""The driver (net.Driver) around an engine that does as it is told: one turn for every input, and nothing ends it."""

import asyncio

from picoswarm.compat import DATAGRAMS, sleep_ms, ticks_add, ticks_diff, ticks_ms
from picoswarm.net import Driver, UdpPort

_PEER = b"\x0a\x00\x00\x02"
_EAGAIN = 11
_EBADF = 9
_ENODEV = 19
_READ = 1  # what the reader task begins a turn with


class FakeSocket:
    """Gives the datagrams of `inbox`, then raises `empty`."""

    def __init__(self, inbox=(), empty=_EAGAIN):
        self.inbox = list(inbox)
        self.empty = empty
        self.sent = []
        self.is_closed = False

    def recvfrom(self, n):
        if not self.inbox:
            raise OSError(self.empty, "")
        return self.inbox.pop(0), ("10.0.0.2", 4321)

    def sendto(self, data, address):
        self.sent.append(bytes(data))

    def settimeout(self, seconds):
        pass

    def close(self):
        self.is_closed = True


class FakeEngine:
    """Sends what stands in `outbox`; wants `work_n` slices; is due at `due`. `failure`, if set, is raised by `receive`."""

    def __init__(self):
        self.outbox = []
        self.events = []
        self.received = []
        self.ticked = []
        self.due = None
        self.work_n = 0
        self.failure = None
        self.to_ip = _PEER
        self.to_port = 4321

    def receive(self, buf, n, ip, port, now):
        if self.failure:
            raise self.failure
        self.received.append(bytes(buf[:n]))
        self.events.append((1, n))

    def to_send(self, out):
        if not self.outbox:
            return 0
        data = self.outbox.pop(0)
        out[: len(data)] = data
        return len(data)

    def next_event(self):
        return self.events.pop(0) if self.events else None

    def next_time(self):
        return self.due

    def tick(self, now):
        self.ticked.append(now)
        if self.due is not None and ticks_diff(now, self.due) >= 0:
            self.due = None

    def work(self):
        self.work_n -= self.work_n > 0
        return self.work_n > 0


def drive(scenario, *sockets, check=None):
    """Run `scenario(driver, engine, port)` on a driver whose port gets these sockets one after another. The sockets never
    become readable: a scenario calls what the reader task calls."""
    waiting = list(sockets)

    def open_socket(ip, port):
        if not waiting:
            raise OSError(_ENODEV, "")
        return waiting.pop(0)

    async def main():
        events = []
        engine = FakeEngine()
        port = UdpPort(b"\0\0\0\0", 20742, 512, open_socket)
        port.open()
        driver = Driver(engine, port, 512, events.append, check)
        driver._read = silent
        driver.start()
        await sleep_ms(5)
        await scenario(driver, engine, port)
        driver.stop()
        await sleep_ms(0)
        return events

    async def silent():
        await sleep_ms(10_000)

    return asyncio.run(main())


def test_call_from_outside_is_followed_by_events_and_sends():
    sock = FakeSocket()

    async def scenario(driver, engine, port):
        engine.outbox = [b"a", b"bb"]
        engine.events = [(7, 8)]
        driver.turn()
        assert sock.sent == [b"a", b"bb"] and driver.sent == 2

    assert drive(scenario, sock) == [(7, 8)]


def test_batch_of_datagrams_is_bounded():
    async def scenario(driver, engine, port):
        for turn in range(1, 4):
            driver._turn(_READ)
            assert len(engine.received) == driver.received == min(turn * DATAGRAMS, 100)

    assert len(drive(scenario, FakeSocket([b"x"] * 100))) == min(3 * DATAGRAMS, 100)


def test_deadline_that_comes_nearer_wakes_the_timer():
    async def scenario(driver, engine, port):
        n = len(engine.ticked)
        engine.due = ticks_add(ticks_ms(), 5_000)
        driver.turn()
        engine.due = due = ticks_add(ticks_ms(), 20)
        driver.turn()
        for _ in range(100):
            await sleep_ms(5)
            if engine.due is None:
                break
        assert engine.due is None and len(engine.ticked) - n <= 2
        assert ticks_diff(engine.ticked[-1], due) >= 0

    drive(scenario, FakeSocket())


def test_work_is_sliced_and_others_run_between_slices():
    async def scenario(driver, engine, port):
        engine.work_n = 20
        driver.turn()
        turns = 0
        while engine.work_n > 0:
            before = engine.work_n
            await sleep_ms(0)
            assert before - engine.work_n <= 2
            turns += 1
        assert turns >= 10

    drive(scenario, FakeSocket())


def test_overdue_engine_does_not_hold_the_loop():
    async def scenario(driver, engine, port):
        engine.tick = lambda now: engine.ticked.append(now)
        engine.due = ticks_ms()
        driver.turn()
        began = ticks_ms()
        await sleep_ms(30)
        assert len(engine.ticked) <= ticks_diff(ticks_ms(), began) + 2

    drive(scenario, FakeSocket())


def test_full_heap_costs_one_turn():
    async def scenario(driver, engine, port):
        engine.failure = MemoryError()
        driver._turn(_READ)
        engine.failure = None
        driver._turn(_READ)
        assert driver.out_of_memory == 1 and driver.faults == 0 and engine.received == [b"b"]

    drive(scenario, FakeSocket([b"a", b"b"]))


def test_mistake_in_the_engine_is_counted_and_outlived():
    async def scenario(driver, engine, port):
        engine.failure = KeyError("oops")
        engine.due = ticks_ms()
        driver._turn(_READ)
        assert driver.faults == 1 and driver.fault is engine.failure
        assert ticks_diff(driver._wake_at, ticks_ms()) > 500  # and does not spin
        engine.failure = None
        driver._turn(_READ)
        assert engine.received == [b"b"]

    drive(scenario, FakeSocket([b"a", b"b"]))


def test_broken_socket_is_replaced_when_the_network_comes_back():
    first = FakeSocket(empty=_EBADF)
    second = FakeSocket()

    async def scenario(driver, engine, port):
        driver._turn(_READ)
        assert port.is_broken
        driver._check(ticks_ms())
        assert first.is_closed and not port.is_broken and driver.reopened == 1
        engine.outbox = [b"again"]
        driver.turn()
        assert second.sent == [b"again"]

    drive(scenario, first, second)


def test_no_new_socket_yet_is_tried_again():
    async def scenario(driver, engine, port):
        driver._turn(_READ)
        driver._check(ticks_ms())
        driver._check(ticks_ms())
        assert driver.reopened == 2 and port.is_broken
        engine.outbox = [b"lost"]
        driver.turn()
        assert port.unsent == 1

    drive(scenario, FakeSocket(empty=_EBADF))


def test_new_address_gets_a_new_socket():
    async def scenario(driver, engine, port):
        driver._check(ticks_ms())
        assert driver.reopened == 1 and not port.is_broken

    drive(scenario, FakeSocket(), FakeSocket(), check=lambda now: True)


def test_deaf_socket_is_replaced_after_a_minute():
    async def scenario(driver, engine, port):
        for minute in range(6):
            assert driver.reopened == 0
            engine.outbox = [b"anybody?"]
            driver.turn()
            driver._check(ticks_ms())
        assert driver.reopened == 1

    drive(scenario, FakeSocket(), FakeSocket())


def test_silent_node_keeps_its_socket():
    async def scenario(driver, engine, port):
        for _ in range(20):
            driver._check(ticks_ms())
        assert driver.reopened == 0

    drive(scenario, FakeSocket())
