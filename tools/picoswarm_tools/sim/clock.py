"""Virtual time: an event heap that jumps from one event to the next.

Time is an integer of microseconds and never goes back. Events of the same microsecond run in the order in which they were
set, so a run is a function of its inputs alone.

The heap has the near ones only. What is due later lies in a list of its quarter of a second until that comes: most timers
are set anew before they are due, and never pass through a heap of all that ten thousand nodes wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_SPAN = 1 << 18  # microseconds in one list of later timers


class Timer:
    """An action that is due at `at_us`. A cancelled or expired timer has no action."""

    __slots__ = ("action", "arguments", "at_us")

    def __init__(self, at_us: int, action: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.at_us = at_us
        self.action: Callable[..., Any] | None = action
        self.arguments = arguments

    @property
    def is_armed(self) -> bool:
        return self.action is not None


Entry = tuple[int, int, Timer]  # when, which one of that moment


class Clock:
    """The one clock of a simulation: `now_us`, and what is due when."""

    def __init__(self, start_us: int = 0) -> None:
        self.now_us = start_us
        self.events = 0  # actions run so far
        self._heap: list[Entry] = []  # what is due before `_edge_us`
        self._edge_us = start_us
        self._later: dict[int, list[Entry]] = {}  # the rest, by span
        self._spans: list[int] = []  # a heap of those
        self._sequence = 0
        self._armed = 0
        self._cancelled = 0  # that still lie somewhere

    def __len__(self) -> int:
        """Timers that are armed."""
        return self._armed

    def at(self, at_us: int, action: Callable[..., Any], *arguments: Any) -> Timer:
        """Run `action(*arguments)` at `at_us`, or as soon as possible where that time has passed."""
        if at_us < self.now_us:
            at_us = self.now_us
        timer = Timer(at_us, action, arguments)
        self._sequence += 1
        self._armed += 1
        if at_us < self._edge_us:
            heappush(self._heap, (at_us, self._sequence, timer))
        else:
            span = at_us // _SPAN
            later = self._later.get(span)
            if later is None:
                self._later[span] = [(at_us, self._sequence, timer)]
                heappush(self._spans, span)
            else:
                later.append((at_us, self._sequence, timer))
        return timer

    def after(self, delay_us: int, action: Callable[..., Any], *arguments: Any) -> Timer:
        """Run `action(*arguments)` in `delay_us` microseconds."""
        return self.at(self.now_us + delay_us, action, *arguments)

    def cancel(self, timer: Timer | None) -> None:
        """Disarm `timer`; one that is None, expired or cancelled already is left alone."""
        if timer is None or timer.action is None:
            return
        timer.action = None
        timer.arguments = ()
        self._armed -= 1
        self._cancelled += 1
        if self._cancelled > 1000 and self._cancelled > self._armed:
            for entries in (self._heap, *self._later.values()):
                entries[:] = [entry for entry in entries if entry[2].action is not None]
            heapify(self._heap)
            self._cancelled = 0

    def _fill(self, limit_us: int | None) -> bool:
        """The heap is empty: put what is due next in it. False: there is nothing that is due up to `limit_us`."""
        while self._spans and (limit_us is None or self._spans[0] * _SPAN <= limit_us):
            span = heappop(self._spans)
            entries = self._later.pop(span)
            self._edge_us = (span + 1) * _SPAN
            self._heap += [entry for entry in entries if entry[2].action is not None]
            self._cancelled -= len(entries) - len(self._heap)
            if self._heap:
                heapify(self._heap)
                return True
        return False

    def step(self, limit_us: int | None = None) -> bool:
        """Run the next action, unless it is due after `limit_us`. False: there was none."""
        while self._heap or self._fill(limit_us):
            at_us, _, timer = self._heap[0]
            if limit_us is not None and at_us > limit_us:
                return False
            heappop(self._heap)
            action, arguments = timer.action, timer.arguments
            if action is None:
                self._cancelled -= 1
                continue
            timer.action = None
            self._armed -= 1
            self.now_us = at_us
            self.events += 1
            action(*arguments)
            return True
        return False

    def run_until(self, end_us: int) -> None:
        """Run everything that is due up to and including `end_us`; the time is then `end_us`."""
        heap = self._heap
        while (heap or self._fill(end_us)) and heap[0][0] <= end_us:  # as `step` does, a call for each of millions
            at_us, _, timer = heappop(heap)
            action = timer.action
            if action is None:
                self._cancelled -= 1
                continue
            timer.action = None
            self._armed -= 1
            self.now_us = at_us
            self.events += 1
            action(*timer.arguments)
        self.now_us = max(self.now_us, end_us)

    def run_for(self, duration_us: int) -> None:
        """Let `duration_us` pass."""
        self.run_until(self.now_us + duration_us)

    def run_while(self, condition: Callable[[], bool], limit_us: int) -> bool:
        """Run event by event while `condition()` holds, for at most `limit_us`. True: it ended before the limit."""
        end_us = self.now_us + limit_us
        while condition():
            if not self.step(end_us):
                self.now_us = max(self.now_us, end_us)
                return not condition()
        return True
