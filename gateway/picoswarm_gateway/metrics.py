"""What Prometheus reads at /metrics: taken from the gateway when it is asked for, in a registry of our own.

No series is per node: a mesh of thousands would make as many. The dashboard and the API have those.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from .log import VERSION

if TYPE_CHECKING:
    from .operations import Operations

# Of `Node.stats`, what goes up and down; all others only go up.
GAUGES = {"entries", "replacements", "sessions", "heap", "hold_ms", "unsaved", "uptime", "epoch"}
FAMILY_STATES = ("up", "starting", "down")


class Metrics(Collector):
    """See the module."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def render(self) -> tuple[bytes, str]:
        """(the text, its content type)."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def describe(self) -> list[Metric]:
        """Nothing is known before somebody asks."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All of it, now."""
        operations = self._operations
        gateway = operations.gateway
        yield InfoMetricFamily("picoswarm", "The gateway.", {"version": VERSION, "id": gateway.id.hex()})
        yield GaugeMetricFamily("picoswarm_uptime_seconds", "Since the start.", gateway.uptime_s)
        nodes = GaugeMetricFamily("picoswarm_nodes", "Nodes by what is known of them.", labels=["state"])
        for state, count in operations.nodes.counts().items():
            nodes.add_metric([state], count)
        yield nodes
        came, went = operations.nodes.traffic()
        traffic = CounterMetricFamily("picoswarm_session_bytes", "Bytes on sessions.", labels=["direction"])
        traffic.add_metric(["in"], came)
        traffic.add_metric(["out"], went)
        yield traffic
        yield CounterMetricFamily("picoswarm_messages", "Published messages that the gateway heard.", operations.messages)
        families = GaugeMetricFamily("picoswarm_family_state", "1 for the state of a family.", labels=["family", "state"])
        for name, family in gateway.families.items():
            for state in FAMILY_STATES:
                families.add_metric([name, state], family.state().get("state") == state)
        yield families
        faults = CounterMetricFamily("picoswarm_faults", "Of the gateway's own loops, which go on.", labels=["loop"])
        for name, fault in gateway.loops.state().items():
            faults.add_metric([name], fault["count"])
        yield faults
        yield GaugeMetricFamily("picoswarm_event_watchers", "Clients of /api/events.", len(gateway.hub.watchers))
        state = CounterMetricFamily("picoswarm_state_changes", "Changes of the state file.", labels=["outcome"])
        for outcome, count in (
            ("done", gateway.db.changes),
            ("failed", gateway.db.failures),
            ("refused", gateway.db.refused),
        ):
            state.add_metric([outcome], count)
        yield state
        for name, value in gateway.node.stats().items():
            kind = GaugeMetricFamily if name in GAUGES else CounterMetricFamily
            yield kind(f"picoswarm_node_{name}", "Of the node, see docs/protocol.md.", value)
