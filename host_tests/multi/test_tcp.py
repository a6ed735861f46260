"""The sockets of a swarm (tcp.Links) around a swarm that does as it is told: whatever fails, nothing of it ends for good."""

import asyncio

from picoswarm import tcp
from picoswarm.compat import sleep_ms, ticks_add, ticks_diff, ticks_ms


class FakeSession:
    is_outbound = False
    fill = 0

    def __init__(self):
        self.buf = bytearray(8)
        self.outbox = []

    def room(self):
        return 8

    def touch(self):
        pass


class FakeSwarm:
    """Whatever stands in `failures`, by the name of a method, is raised by its next call."""

    is_busy = False

    def __init__(self):
        self.failures = {}
        self.unsent = []
        self.events = []
        self.ticks = self.trimmed = 0
        self.accepted_ips = []
        self.lost_ones = []
        self.ended = []

    def _fail(self, name):
        if name in self.failures:
            raise self.failures.pop(name)

    def at(self, now):
        pass

    def accepted(self, ip, port, now):
        self.accepted_ips.append(ip)
        self._fail("accepted")

    def tick(self, now):
        self.ticks += 1
        self._fail("tick")

    def work(self, now):
        return False

    def prepare(self):
        return False

    def next_event(self):
        self._fail("next_event")
        return self.events.pop(0) if self.events else None

    def next_unsent(self, now):
        return self.unsent.pop(0) if self.unsent else None

    def next_time(self, now):
        self._fail("next_time")
        return ticks_add(now, 20)

    def to_send(self, session, out, now):
        self._fail("to_send")
        return session.outbox.pop(0) if session.outbox else 0

    def trim(self, now):
        self.trimmed += 1
        self._fail("trim")

    def received(self, session, n, now):
        self._fail("received")

    def end(self, session, reason):
        self._fail("end")
        self.ended.append((session, reason))

    def lost(self, session, now):
        self._fail("lost")
        self.lost_ones.append(session)

    def close(self, now):
        self._fail("close")


class FakeSocket:
    """Takes `room` bytes."""

    def __init__(self, room=1000):
        self.room = room
        self.is_closed = False
        self.error = None

    def close(self):
        self.is_closed = True


def _write(sock, view):
    if sock.error:
        raise sock.error
    n = min(sock.room, len(view))
    sock.room -= n
    return n


async def _never(sock):
    await asyncio.Event().wait()


def links_with(scenario, **replaced):
    """Run `scenario(links, swarm)` with other functions in the place of those of tcp.py."""
    replaced = {"readable": _never, "writable": lambda sock: sleep_ms(1), "write_from": _write, **replaced}
    replaced.setdefault("forget_socket", FakeSocket.close)
    real = {name: getattr(tcp, name) for name in replaced}

    async def main():
        links = tcp.Links(bytes(4), 5000, 100)
        links._listening = FakeSocket()
        swarm = FakeSwarm()
        links.start(swarm, lambda event: None, lambda: None)
        await sleep_ms(0)
        await scenario(links, swarm)
        links.stop()
        await sleep_ms(0)

    for name, value in replaced.items():
        setattr(tcp, name, value)
    try:
        asyncio.run(main())
    finally:
        for name, value in real.items():
            setattr(tcp, name, value)


async def _until(happens):
    """Whether it comes to that."""
    for _ in range(6000):
        if happens():
            return True
        await sleep_ms(5)
    return False


async def _goes_on(swarm):
    """The timer still ticks."""
    n = swarm.ticks
    return await _until(lambda: swarm.ticks > n + 1)


def test_the_timer_outlives_whatever_a_turn_raises():
    async def scenario(links, swarm):
        for name in ("tick", "next_event", "next_time"):
            swarm.failures = {name: ValueError(name)}
            assert await _goes_on(swarm), name
            swarm.failures = {name: MemoryError(), "trim": MemoryError()}
            assert await _goes_on(swarm), name
        assert links.faults == 3 and links.out_of_memory == 3 and swarm.trimmed == 3

    links_with(scenario)


def test_work_gets_done_beside_a_program_that_is_slow():
    """Of a set-up: each turn of the loop takes so long that a tick is due again."""

    async def scenario(links, swarm):
        slices = [30]

        def work(now):
            slices[0] -= 1
            return slices[0] > 0

        swarm.work = work
        links.turn()
        for _ in range(100):
            end = ticks_add(ticks_ms(), 70)
            while ticks_diff(end, ticks_ms()) > 0:
                pass
            await sleep_ms(0)
            if slices[0] <= 0:
                break
        assert slices[0] <= 0 and swarm.ticks > 5

    links_with(scenario)


def test_what_a_long_tick_left_has_a_turn_of_its_own():
    """On an RP2040 a tick that dialed took 11 ms, and 5 more for what it had to send."""

    async def scenario(links, swarm):
        seen = []

        def tick(now):
            seen.append("tick")
            swarm.unsent.append(FakeSession())
            end = ticks_add(ticks_ms(), 12)
            while ticks_diff(end, ticks_ms()) > 0:
                pass

        async def others():
            while True:
                seen.append("others")
                await sleep_ms(0)

        swarm.tick = tick
        links._flush = lambda session: seen.append("sent")
        task = asyncio.create_task(others())
        links.turn()
        assert await _until(lambda: "sent" in seen)
        task.cancel()
        at = seen.index("tick")
        assert "others" in seen[at : seen.index("sent")], seen[at:]

    links_with(scenario)


def test_a_timer_that_cannot_be_made_anew_goes_on_as_it_was():
    real = tcp.create_task
    left = [0]

    def create_task(coroutine):
        if left[0]:
            left[0] -= 1
            coroutine.close()
            raise MemoryError
        return real(coroutine)

    async def scenario(links, swarm):
        await sleep_ms(5)
        left[0] = 1
        links.turn()
        assert not left[0] and await _goes_on(swarm)

    links_with(scenario, create_task=create_task)


def test_whoever_cannot_be_let_in_does_not_end_the_listening():
    waiting = [MemoryError(), OSError(24, "too many files"), (FakeSocket(), b"fails", 1), (FakeSocket(), b"last", 2)]

    async def readable(sock):
        await sleep_ms(1)
        if not waiting:
            await _never(sock)

    def accept(sock):
        came = waiting.pop(0)
        if isinstance(came, Exception):
            raise came
        return came

    async def scenario(links, swarm):
        first = waiting[2][0]
        swarm.failures = {"accepted": MemoryError(), "trim": MemoryError()}
        await _until(lambda: b"last" in swarm.accepted_ips)
        assert swarm.accepted_ips == [b"fails", b"last"] and first.is_closed

    links_with(scenario, readable=readable, accept_tcp=accept, listen_tcp=lambda ip, port: FakeSocket(), _AGAIN_MS=2)


def test_a_session_whose_record_was_cut_short_is_lost_and_the_next_is_served():
    async def scenario(links, swarm):
        for room, fails_in in ((1000, "to_send"), (10, "create_task")):
            session, other = FakeSession(), FakeSession()
            for each in (session, other):
                links._links[each] = tcp.Connection(each, FakeSocket())
            links._links[session].sock.room = room
            session.outbox = [50]
            other.outbox = [20]
            if fails_in == "to_send":
                swarm.failures = {"to_send": MemoryError()}
            else:
                no_memory[0] = 1
            swarm.unsent = [session, other]
            links._turn()
            assert swarm.lost_ones == [session] and not other.outbox and not swarm.trimmed, fails_in
            swarm.lost_ones = []
            links._links.clear()

    real = tcp.create_task
    no_memory = [0]

    def create_task(coroutine):
        if no_memory[0]:
            no_memory[0] = 0
            coroutine.close()
            raise MemoryError
        return real(coroutine)

    links_with(scenario, create_task=create_task)


def test_want_of_memory_at_a_message_costs_its_session_and_no_other():
    async def scenario(links, swarm):
        session = FakeSession()
        session.buf, session.fill, session.room = bytearray(10), 0, lambda now: 10
        link = links._links[session] = tcp.Connection(session, FakeSocket())
        swarm.failures = {"received": MemoryError()}
        assert links._receive(link) == 1
        assert swarm.ended == [(session, 16)] and not swarm.trimmed and links.out_of_memory == 1

    links_with(scenario, read_into=lambda sock, buf: 5)


def test_an_event_that_fails_costs_its_session_and_the_next_ones_are_heard():
    async def scenario(links, swarm):
        session, other = FakeSession(), FakeSession()
        heard = []

        def on_event(event):
            if event[1] is session:
                raise MemoryError
            heard.append(event)

        links._on_event = on_event
        link = links._links[other] = tcp.Connection(other, FakeSocket())
        swarm.events = [(3, session), (3, other), (2, other)]
        links._turn()
        assert swarm.ended == [(session, 16)] and heard == [(3, other)] and link.sock.is_closed and not swarm.trimmed

    links_with(scenario)


def test_a_dial_without_memory_for_its_socket_ends_at_once():
    def connect_tcp(ip, port):
        raise MemoryError

    async def scenario(links, swarm):
        session = FakeSession()
        session.ip, session.port = bytes((10, 0, 0, 2)), 5000
        swarm.events = [(1, session)]
        links._turn()
        assert swarm.ended == [(session, 16)] and links.out_of_memory == 1 and not swarm.trimmed

    links_with(scenario, connect_tcp=connect_tcp)


def test_a_session_that_there_is_no_memory_to_end_is_cut_and_every_turn_tries_again():
    async def scenario(links, swarm):
        session = FakeSession()
        session.buf, session.fill, session.room = bytearray(10), 0, lambda now: 10
        links.add(tcp.Connection(session, FakeSocket()))
        link = links._links[session]
        tries = []

        def lost(session, now):
            tries.append(session)
            raise MemoryError

        swarm.lost = lost
        swarm.failures = {"received": MemoryError(), "end": MemoryError()}
        await _until(lambda: tries)
        swarm.failures = {"received": AssertionError("what was half understood is gone on with")}
        before = len(tries)
        session.outbox = [20]
        swarm.unsent = [session]
        links._turn()
        assert session.outbox and len(tries) == before + 1
        await sleep_ms(5)
        assert swarm.failures and not swarm.ended
        del swarm.lost
        links._turn()
        assert swarm.lost_ones == [session]
        swarm.events = [(2, session)]
        links._turn()
        assert link.sock.is_closed and not swarm.trimmed

    links_with(scenario, readable=lambda sock: sleep_ms(0), read_into=lambda sock, buf: 5)


def test_a_refused_connection_was_not_connected():
    """A socket that takes bytes may be one that failed; a set-up over it would count as one that nobody answered."""

    def read_into(sock, view):
        if sock.error:
            raise sock.error

    async def scenario(links, swarm):
        connected = []
        swarm.connected = lambda session, now: connected.append(session)
        refused, taken = FakeSession(), FakeSession()
        for session in (refused, taken):
            session.is_outbound = True
            links.add(tcp.Connection(session, FakeSocket()))
        links._links[refused].sock.error = OSError(111)
        assert await _until(lambda: connected and swarm.lost_ones)
        assert connected == [taken] and swarm.lost_ones == [refused] and not links.faults

    links_with(scenario, read_into=read_into)


def _half_written(links, swarm):
    """A session, and its link whose socket took 10 of 50 bytes."""
    session = FakeSession()
    link = links._links[session] = tcp.Connection(session, FakeSocket(10))
    session.outbox = [50]
    swarm.unsent = [session]
    links._turn()
    assert len(link.rest) == 40
    return session, link


def test_what_a_full_socket_cannot_be_given_later_loses_the_session():
    async def scenario(links, swarm):
        session, link = _half_written(links, swarm)
        link.sock.error = MemoryError()
        await _until(lambda: swarm.lost_ones and link.writer is None)
        assert swarm.lost_ones == [session] and link.writer is None

    links_with(scenario)


def test_a_link_that_is_cut_while_its_rest_waits_writes_no_more():
    async def scenario(links, swarm):
        session, link = _half_written(links, swarm)
        links._cut(session, MemoryError())
        session.outbox = [20]
        link.sock.room = 1000
        await _until(lambda: link.writer is None)
        swarm.unsent = [session]
        links._turn()
        assert link.rest == b"" and session.outbox and link.sock.room == 1000

    links_with(scenario)


def test_a_reader_that_cannot_even_wait_loses_its_session_only():
    async def readable(sock):
        if sock.error:
            raise sock.error
        await _never(sock)

    async def scenario(links, swarm):
        session = FakeSession()
        sock = FakeSocket()
        sock.error = MemoryError()
        swarm.failures = {"next_time": ValueError("a mistake in a reactor")}
        links.add(tcp.Connection(session, sock))
        await _until(lambda: swarm.lost_ones and links.faults)
        assert swarm.lost_ones == [session] and links.out_of_memory == links.faults == 1 and await _goes_on(swarm)

    links_with(scenario, readable=readable)


def test_every_socket_is_closed_whatever_the_farewell_raises():
    async def scenario(links, swarm):
        links.add(tcp.Connection(FakeSession(), sock))
        swarm.failures = {"close": MemoryError()}
        links.stop()
        assert sock.is_closed and listening[0].is_closed
        links.start(swarm, None, None)  # for the stop that follows

    async def whole(links, swarm):
        listening.append(links._listening)
        await scenario(links, swarm)

    sock, listening = FakeSocket(), []
    links_with(whole, listen_tcp=lambda ip, port: FakeSocket())
