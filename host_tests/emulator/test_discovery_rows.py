"""The figures of `picoswarm report` about the discovery engine come from work that was really done (issue 3)."""

from __future__ import annotations

from picoswarm_tools.rows import discovery_engine


def test_every_row_of_the_engine_is_measured_and_serving_allocates_nothing(record_property):
    rows = {row.id: row.value for row in discovery_engine.measure()}
    record_property("measured", str(rows))
    instructions = {name: value for name, value in rows.items() if name.endswith("instructions")}
    assert len(instructions) >= 4 and min(instructions.values()) > 1000
    assert rows["discovery.alloc_per_ping"] == rows["discovery.closest8.alloc"] == 0
