"""What a node's heap holds (picoswarm_tools.heap_audit): read from a node that runs, nothing counted twice."""

from __future__ import annotations

import asyncio

from picoswarm_tools import heap_audit


def test_nearly_all_of_a_heap_is_told_by_owner_and_once():
    heap = asyncio.run(heap_audit.observe(heap_audit.cases()["leaf"], True))
    audit = heap_audit.Audit(heap)
    told = [sum(parts.total() for parts in owners.values()) for owners in (audit.modules, audit.objects)]
    assert sum(told) + audit.left == sum(heap.sizes.values()) and min(told) > 10_000
    assert audit.left < 0.2 * sum(heap.sizes.values())
    assert {"picoswarm", "picoswarm.compat"} <= audit.modules.keys()
    assert {"Node", "Discovery", "Session"} <= audit.objects.keys(), audit.counts
