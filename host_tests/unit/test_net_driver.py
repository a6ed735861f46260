"""The driver (net.Driver) around an engine that does as it is told: one turn for every input, and nothing ends it."""

from driving import FakeSocket, drive, settle
from picoswarm.compat import sleep_ms, ticks_add, ticks_diff, ticks_ms
from picoswarm.pace import Pace


def test_call_from_outside_is_followed_by_events_and_sends():
    sock = FakeSocket()

    async def scenario(driver, engine):
        engine.outbox = [b"a", b"bb"]
        engine.events = [(7, 8)]
        driver.turn()
        await settle()
        assert sock.sent == [b"a", b"bb"]

    assert drive(scenario, sock) == [(7, 8)]


def test_every_datagram_of_a_burst_is_taken_and_others_run_between_batches():
    sock = FakeSocket()

    async def scenario(driver, engine):
        sock.inbox = [b"x"] * 100
        turns = 0
        while sock.inbox and turns < 1000:
            await sleep_ms(0)
            turns += 1
        assert 1 < turns < 1000 and driver.fault is None and driver.out_of_memory == 0
        assert len(engine.received) == driver.received == 100

    assert len(drive(scenario, sock)) == 100


class Crammed(FakeSocket):
    """Has no memory to wait for its first datagrams."""

    tries = 3

    async def readable(self):
        if self.tries:
            self.tries -= 1
            raise MemoryError
        await FakeSocket.readable(self)


def test_a_full_heap_that_leaves_no_memory_to_wait_ends_no_reader():
    sock = Crammed()

    async def scenario(driver, engine):
        sock.inbox = [b"x"]
        for _ in range(100):
            await sleep_ms(5)
            if driver.received:
                break
        sock.inbox = [b"yy"]
        for _ in range(100):
            await sleep_ms(5)
            if driver.received == 2:
                break
        assert engine.received == [b"x", b"yy"] and driver.out_of_memory == 3 and not driver.faults

    drive(scenario, sock)


def test_a_turn_that_a_full_heap_cut_short_is_taken_up_again_soon():
    async def scenario(driver, engine):
        tick = engine.tick

        def full(now):
            engine.tick = tick
            raise MemoryError

        engine.tick = full
        n = len(engine.ticked)
        driver.turn()
        for _ in range(100):
            await sleep_ms(5)
            if len(engine.ticked) > n:
                break
        assert len(engine.ticked) > n and driver.out_of_memory == 1

    drive(scenario, FakeSocket())


def test_a_full_heap_at_work_keeps_back_nothing_that_is_to_be_sent():
    sock = FakeSocket()

    async def scenario(driver, engine):
        work = engine.work

        def full():
            engine.work = work
            raise MemoryError

        engine.work = full
        engine.outbox = [b"a"]
        engine.events = [(7, 8)]
        driver.turn()
        for _ in range(100):
            await sleep_ms(0)
            if engine.work is work:
                break
        assert sock.sent == [b"a"] and driver.out_of_memory == 1 and not driver.faults

    assert drive(scenario, sock)[:1] == [(7, 8)]


def test_what_is_due_and_finds_no_memory_keeps_back_no_work():
    async def scenario(driver, engine):
        worked = []
        engine.work = lambda: worked.append(1) or False

        def full(now):
            raise MemoryError

        engine.tick = full  # for as long as the heap is full
        driver.turn()
        for _ in range(100):
            await sleep_ms(5)
            if worked:
                break
        assert worked and driver.out_of_memory and not driver.faults

    drive(scenario, FakeSocket())


class Littering(Pace):
    """The pace beside a program that makes so much garbage that there is always some to collect."""

    def sweep(self, who, due):
        return True


def test_a_program_that_always_makes_garbage_keeps_no_turn_away():
    sock = FakeSocket()

    async def scenario(driver, engine):
        driver.pace = Littering()
        engine.outbox = [b"a"]
        sock.inbox = [b"x"]
        driver.turn()
        for _ in range(1000):
            await sleep_ms(0)
            if sock.sent and driver.received:
                break
        assert sock.sent == [b"a"] and driver.received == 1

    drive(scenario, sock)


class Crowded(Littering):
    """The pace where others come first twice before each turn, and before each collection."""

    def __init__(self):
        Littering.__init__(self)
        self.calls = []

    def waits(self, who, now):
        self.calls.append("waits")
        return self.calls[-3:].count("waits") < 3

    def sweep(self, who, due):
        self.calls.append("sweep")
        return True

    def ended(self, who, began, now):
        self.calls.append("turn")
        return False


def test_who_lets_others_go_first_collects_no_garbage_before_them_and_has_no_turn_before_who_waits_since():
    sock = FakeSocket()

    async def scenario(driver, engine):
        driver.pace = pace = Crowded()
        driver.turn()
        for _ in range(100):
            await sleep_ms(0)
            if "turn" in pace.calls:
                break
        assert pace.calls[: pace.calls.index("turn") + 1] == ["waits"] * 3 + ["sweep"] + ["waits"] * 3 + ["turn"]

    drive(scenario, sock)


def test_deadline_that_comes_nearer_wakes_the_timer():
    async def scenario(driver, engine):
        n = len(engine.ticked)
        engine.due = ticks_add(ticks_ms(), 5_000)
        driver.turn()
        await settle()
        engine.due = due = ticks_add(ticks_ms(), 20)
        driver.turn()
        for _ in range(100):
            await sleep_ms(5)
            if engine.due is None:
                break
        assert engine.due is None and len(engine.ticked) - n <= 4
        assert ticks_diff(engine.ticked[-1], due) >= 0

    drive(scenario, FakeSocket())


def test_deadline_that_a_datagram_sets_wakes_the_timer():
    sock = FakeSocket()

    async def scenario(driver, engine):
        n = len(engine.ticked)
        due = ticks_add(ticks_ms(), 30)
        engine.receive = lambda *datagram: setattr(engine, "due", due)
        sock.inbox = [b"wake me"]
        for _ in range(100):
            await sleep_ms(5)
            if len(engine.ticked) > n:
                break
        assert engine.due is None and ticks_diff(engine.ticked[-1], due) >= 0

    drive(scenario, sock)


def test_work_is_sliced_and_others_run_between_slices():
    async def scenario(driver, engine):
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


def _hold(ms):
    until = ticks_add(ticks_ms(), ms)
    while ticks_diff(until, ticks_ms()) > 0:
        pass


def test_work_comes_to_a_turn_of_its_own_after_a_tick_that_took_long():
    seen = []

    async def scenario(driver, engine):
        def tick(now):
            seen.append("tick")
            engine.due = None
            _hold(10)

        def work():
            seen.append("work")
            engine.work_n = 0
            return False

        async def other():
            while "work" not in seen:
                seen.append("other")
                await sleep_ms(0)

        await settle()
        engine.tick = tick
        engine.work = work
        engine.due = ticks_ms()
        driver.turn()
        await other()
        assert "other" in seen[seen.index("tick") : seen.index("work")]
        await settle()
        assert driver.faults == 0

    drive(scenario, FakeSocket())


def test_others_come_to_their_turn_between_datagrams_that_take_long():
    sock = FakeSocket()
    seen = []

    async def scenario(driver, engine):
        def receive(*_datagram):
            seen.append("datagram")
            _hold(10)

        engine.receive = receive
        sock.inbox = [b"x"] * 4
        while seen.count("datagram") < 4:
            seen.append("other")
            await sleep_ms(0)
        assert driver.faults == 0
        for i in range(len(seen) - 1):
            assert seen[i : i + 2] != ["datagram", "datagram"]

    drive(scenario, sock)


def test_overdue_engine_does_not_hold_the_loop():
    async def scenario(driver, engine):
        engine.tick = lambda now: engine.ticked.append(now)
        engine.due = ticks_ms()
        driver.turn()
        began = ticks_ms()
        await sleep_ms(30)
        assert len(engine.ticked) <= ticks_diff(ticks_ms(), began) + 2

    drive(scenario, FakeSocket())


def test_full_heap_costs_one_turn():
    sock = FakeSocket()

    async def scenario(driver, engine):
        engine.failure = MemoryError()
        sock.inbox = [b"a"]
        await settle()
        engine.failure = None
        sock.inbox = [b"b"]
        await settle()
        assert driver.out_of_memory == 1 and driver.faults == 0 and engine.received == [b"b"]

    drive(scenario, sock)


def test_full_heap_does_not_end_the_timer():
    def full_heap(wait_for):
        raise MemoryError

    async def scenario(driver, engine):
        engine.due = ticks_add(ticks_ms(), 5_000)
        driver.turn()
        await settle()
        run = driver._run
        driver._run = full_heap  # no memory for another task
        driver.turn()
        driver._run = run
        n = len(engine.ticked)
        engine.due = ticks_ms()
        driver.turn()
        await settle()
        assert len(engine.ticked) > n

    drive(scenario, FakeSocket())


def test_heap_without_a_block_for_a_long_datagram_does_not_make_the_node_deaf():
    class Broken(FakeSocket):
        """A socket on a heap whose longest free block has 100 bytes. A datagram longer than what is read is cut."""

        def recvfrom(self, n):
            if n > 100:
                raise MemoryError
            data, source = FakeSocket.recvfrom(self, n)
            return data[:n], source

    sock = Broken([b"a" * 86, b"b" * 300, b"c" * 50])

    async def scenario(driver, engine):
        await settle()
        assert engine.received == [b"a" * 86, b"c" * 50]
        assert driver.oversize == 1 and driver.faults == 0
        assert driver.out_of_memory >= 3  # the whole is tried first, for each

    drive(scenario, sock)


def test_mistake_in_the_engine_is_counted_and_outlived():
    sock = FakeSocket()

    async def scenario(driver, engine):
        engine.failure = KeyError("oops")
        sock.inbox = [b"a"]
        await settle()
        assert driver.faults == 1 and driver.fault is engine.failure
        engine.failure = None
        sock.inbox = [b"b"]
        await settle()
        assert engine.received == [b"b"]

    drive(scenario, sock)


def test_mistake_that_repeats_does_not_eat_the_processor():
    async def scenario(driver, engine):
        def tick(now):
            engine.ticked.append(now)
            raise KeyError("oops")

        engine.tick = tick
        engine.due = ticks_ms()
        driver.turn()
        await settle()
        ticked = len(engine.ticked)
        await sleep_ms(100)
        assert driver.faults >= 1 and len(engine.ticked) == ticked

    drive(scenario, FakeSocket())


def test_call_within_a_turn_does_nothing_of_its_own():
    sock = FakeSocket()

    async def scenario(driver, engine):
        def on_event(event):
            engine.outbox.append(b"for the turn that runs")
            driver.turn()
            assert sock.sent == []

        driver._on_event = on_event
        engine.events = [(7, 8)]
        driver.turn()
        await settle()
        assert driver.fault is None and sock.sent == [b"for the turn that runs"]

    drive(scenario, sock)


def test_stopped_driver_does_nothing_more():
    sock = FakeSocket()

    async def scenario(driver, engine):
        driver.stop()
        engine.outbox = [b"late"]
        driver.turn()
        ticked = len(engine.ticked)
        await sleep_ms(20)
        assert sock.is_closed and sock.sent == [] and len(engine.ticked) == ticked
        driver.start(engine, None, lambda: False)  # for the end of this test, which stops it

    drive(scenario, sock)
