"""The figures of `picoswarm report` about a session's set-up come from work that was really done and keep to their goals."""

from __future__ import annotations

from picoswarm_tools.rows import handshake


def test_a_set_up_costs_no_more_than_its_goals(record_property):
    rows = list(handshake.measure())
    record_property("measured", str({row.id: row.value for row in rows}))
    assert not [row.id for row in rows if row.missed]
    least = {row.id: row.value for row in rows}
    assert least["handshake.instructions.initiator"] > 40_000_000  # four key agreements
    assert least["session.setup.bytes"] == 257
