"""The driver of one engine in virtual time: what `picoswarm.net` does on a board with a socket, a clock and one timer.

One loop: input (a datagram, the timer, a slice of public-key work), drain the events, flush, arm the one timer. The engine
is the library's own; only time, randomness and the socket come from here. Its ticks have 30 bits and begin at a random
number on every boot, so the wrap happens in every long run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from picoswarm.compat import ticks_diff

from . import stream
from .clock import MILLISECOND, Clock, Timer
from .nat import Address
from .network import Endpoint, Network, Segment

_TICKS = 1 << 30
_DATAGRAM = 512
_SLICE_US = 20_000  # of public-key work at the most on a board, before the rest has its turn
_SEND_LIMIT = 64  # datagrams that one input may cause: more is an engine that never stops

# Of all hosts, since each has its turn alone.
_in = bytearray(_DATAGRAM + 1)  # one more, so that an over-long datagram shows
_out = bytearray(_DATAGRAM)

Rng = Callable[[int], bytes]


class Engine(Protocol):
    """The verbs of a datagram engine (docs/architecture.md)."""

    to_ip: bytes
    to_port: int
    has_steps: bool  # what `work` does next is no public-key work

    def receive(self, buf: bytearray, n: int, ip: bytes, port: int, now: int) -> object: ...
    def to_send(self, out: bytearray) -> int: ...
    def next_event(self) -> tuple[Any, ...] | None: ...
    def next_time(self) -> int | None: ...
    def tick(self, now: int) -> object: ...
    def work(self) -> bool: ...


Boot = Callable[["Host", Rng, int], Engine]  # host, randomness, ticks at boot -> a fresh engine


class Host:
    """A node: power, address, engine. `boot` makes the engine anew whenever the power comes on."""

    def __init__(
        self,
        network: Network,
        segment: Segment,
        ip: str | bytes,
        port: int,
        boot: Boot,
        *,
        name: object,
        seed: object = 0,
        work_ms: float = 0.0,
        first_tick: int | None = None,
        skew_ppm: int = 0,
    ) -> None:
        """`skew_ppm`: millionths by which its clock runs too fast. `first_tick` fixes the ticks at every boot.
        `work_ms` is the virtual time of one slice of public-key work; datagrams are served meanwhile, as between slices on a
        board."""
        self.name = name
        self.network = network
        self.clock: Clock = network.clock
        self.endpoint: Endpoint = network.bind(segment, ip, port, self._receive)
        self.engine: Engine | None = None
        self.on_event: Callable[[Host, tuple[Any, ...]], None] | None = None
        self.incoming: Callable[[bytes], None] | None = None  # sees each datagram before the engine does
        self.outgoing: Callable[[bytes, Address], bytes] | None = (
            None  # may put another datagram in its place, or b"" for none
        )
        self.boots = 0
        self.stalls = 0  # ticks after which the engine was still due: 0 in a sound engine
        self._boot = boot
        self._rng = stream(seed, "engine", name)
        self._origin = stream(seed, "ticks", name)
        self._given_tick = first_tick
        self._rate = 1_000_000 + skew_ppm  # own microseconds in a second
        self._work_us = round(work_ms * MILLISECOND)
        self._free_us = 0  # when its processor has done all public-key work that it has taken on
        self._tick_zero_us = 0  # the virtual time at which this boot's ticks were `_first_tick`
        self._first_tick = 0
        self._ticked_us = -MILLISECOND
        self._timer: Timer | None = None
        self._work_timer: Timer | None = None

    @property
    def is_on(self) -> bool:
        return self.engine is not None

    @property
    def now(self) -> int:
        """The node's own ticks: milliseconds modulo 2**30."""
        own_us = self.clock.now_us - self._tick_zero_us
        if self._rate != 1_000_000:
            own_us = own_us * self._rate // 1_000_000
        return (self._first_tick + own_us // 1000) & 0x3FFFFFFF

    def at_us(self, delay_ms: int) -> int:
        """The virtual time at which this node's ticks are `delay_ms` further: its own millisecond begins then."""
        own_us = self.clock.now_us - self._tick_zero_us
        if self._rate == 1_000_000:
            return self._tick_zero_us + (own_us // 1000 + delay_ms) * 1000
        own_ms = own_us * self._rate // 1_000_000 // 1000
        return self._tick_zero_us - (-(own_ms + delay_ms) * 1000 * 1_000_000 // self._rate)

    def power_on(self) -> None:
        """Boot: a fresh engine at a random tick."""
        self.boots += 1
        self._first_tick = self._origin.randrange(_TICKS) if self._given_tick is None else self._given_tick
        self._tick_zero_us = self._free_us = self.clock.now_us
        self.endpoint.is_up = True
        self.engine = self._boot(self, self._rng.randbytes, self.now)
        self.turn()

    def power_off(self) -> None:
        """The plug is pulled: nothing is said to anybody, the engine's memory is gone."""
        self.engine = None
        self.endpoint.is_up = False
        self.clock.cancel(self._timer)
        self.clock.cancel(self._work_timer)

    def move(self, segment: Segment, ip: str | bytes, port: int) -> None:
        """Take another address, as after a new lease; the engine is told nothing."""
        is_up = self.endpoint.is_up
        self.endpoint.close()
        self.endpoint = self.network.bind(segment, ip, port, self._receive)
        self.endpoint.is_up = is_up

    def turn(self) -> None:
        """Drain the events, flush, arm the timer. Call it after every call into the engine from outside, such as `find`."""
        if self.engine is None:
            return
        if not self._work_us:
            while self.engine.work():
                self._send()
        else:
            self._step()
            if (self._work_timer is None or not self._work_timer.is_armed) and self.has_work():
                self._work_timer = self.clock.at(self.occupy(self._work_us), self._work)
        self._flush()

    def _step(self) -> bool:
        """Let the lookups go on, which takes no time. Returns whether they did."""
        assert self.engine is not None
        has_stepped = self.engine.has_steps
        if has_stepped:
            self._send()  # an answer that waits
            while self.engine.has_steps:
                self.engine.work()
        return has_stepped

    def has_work(self) -> bool:
        """Whether the engine may have public-key work to do now."""
        return True

    def occupy(self, us: int) -> int:
        """Take the processor for `us` of public-key work, once it has done what it has: when that will be done."""
        self._free_us = max(self._free_us, self.clock.now_us) + us
        return self._free_us

    def _flush(self) -> None:
        self._send()
        assert self.engine is not None
        self._arm(self._deadline())

    def _deadline(self) -> int | None:
        """The ticks when the engine is to be called."""
        assert self.engine is not None
        return self.engine.next_time()

    def _send(self) -> None:
        engine = self.engine
        assert engine is not None
        while (event := engine.next_event()) is not None:
            if self.on_event is not None:
                self.on_event(self, event)
        for _ in range(_SEND_LIMIT):
            n = engine.to_send(_out)
            if not n:
                break
            datagram, to = bytes(_out[:n]), (bytes(engine.to_ip), engine.to_port)
            if self.outgoing is not None:
                datagram = self.outgoing(datagram, to)
                if not datagram:
                    continue
            self.endpoint.send(datagram, *to)
        else:
            raise RuntimeError(f"{self.name}: the engine sends without end")

    def _arm(self, deadline: int | None) -> None:
        if deadline is None:
            self.clock.cancel(self._timer)
            return
        delay_ms = ticks_diff(deadline, self.now)
        if delay_ms <= 0:
            delay_ms = 0
            if self._work_timer is not None and self._work_timer.is_armed:
                if self.clock.now_us - self._ticked_us < _SLICE_US:  # public-key work is due, and under way
                    delay_ms = (self._work_timer.at_us - self.clock.now_us) // MILLISECOND + 1
            elif self._ticked_us // MILLISECOND == self.clock.now_us // MILLISECOND:
                self.stalls += 1  # still due after its tick: on a board at least the clock moves on
                delay_ms = 1
        at_us = self.at_us(delay_ms)  # a board's clock does not show the deadline earlier
        timer = self._timer
        if timer is not None and timer.action is not None:
            if timer.at_us == at_us:
                return
            self.clock.cancel(timer)
        self._timer = self.clock.at(at_us, self._tick)

    def _tick(self) -> None:
        assert self.engine is not None
        self._ticked_us = self.clock.now_us
        self.engine.tick(self.now)
        self.turn()

    def _work(self) -> None:
        assert self.engine is not None
        has_more = self.engine.work()
        if (self._step() or has_more) and self.has_work():
            self._work_timer = self.clock.at(self.occupy(self._work_us), self._work)
        self._flush()

    def _receive(self, datagram: bytes, ip: bytes, port: int) -> None:
        if self.engine is None:
            return
        if self.incoming is not None:
            self.incoming(datagram)
        n = min(len(datagram), len(_in))
        _in[:n] = datagram[:n]
        self.engine.receive(_in, n, ip, port, self.now)
        self.turn()
