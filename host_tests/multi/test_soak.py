"""Hours of a small mesh on 32-bit MicroPython in virtual time: lost datagrams, reboots and lookups, no fault (issue 3)."""

from __future__ import annotations

from picoswarm_tools.rows.discovery_device import soak

HOURS = 4


def test_hours_of_loss_and_reboots_pass_without_a_fault_and_the_heap_holds_still(record_property):
    heaps, datagrams = soak(HOURS)
    record_property("measured", f"heap after each hour {heaps}, {datagrams} datagrams")
    assert datagrams > 1000 * HOURS
    assert abs(heaps[-1] - heaps[0]) < 1024  # `picoswarm report --rows discovery.heap.slope_24h` measures a day
