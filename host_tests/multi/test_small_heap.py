"""A node with a full table serves and looks up in the heap of a small board, and never wants for memory (issue 3).

The heaps here are what a node was brought down to, so that it does not grow again: `picoswarm report --rows
discovery.heap.smallest` finds the least, and says how far the goal is.
"""

from __future__ import annotations

import pytest
from picoswarm.profile import Profile
from picoswarm_tools.full_node import KB, LOOKUPS, SMALLEST, heap_for, serve

DATAGRAMS = 3000


@pytest.mark.parametrize("name", SMALLEST)
def test_full_table_is_served_in_a_small_heap(name, record_property):
    case = SMALLEST[name]
    heap = heap_for(case, case.held_kb)
    outcome = serve(heap, case.is_frozen, DATAGRAMS)
    record_property("measured", f"{name}: of {heap / KB:.1f} KB {outcome.heap} at the end")
    assert not outcome.trouble
    assert outcome.answered >= DATAGRAMS and outcome.lookups >= LOOKUPS
    assert outcome.stats["entries"] == Profile.records
