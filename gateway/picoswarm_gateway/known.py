"""What is known of one node of the mesh."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

LOG_LETTERS = 4096  # of a node's log are kept
STATES = ("session", "live", "gone")  # has a session with the gateway; is in its table, live; neither


@dataclass
class KnownNode:
    """One node. Times are unix seconds, those of questions the clock that never jumps."""

    id: bytes
    name: str = ""
    ip: str = ""
    port: int = 0
    state: str = "gone"
    is_outbound: bool = False  # the gateway dialed
    is_gateway: bool = False
    rtt_ms: float | None = None  # of the last questions, the newer the heavier
    first_seen: float = 0.0
    last_seen: float = 0.0
    bytes_in: int = 0  # of all its sessions, on the wire
    bytes_out: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    channels: dict[int, list[int]] = field(default_factory=dict)  # [messages, bytes] that came, by channel
    firmware: str = ""
    app: str = ""
    log: deque[str] = field(default_factory=deque)
    log_position: int = 0
    asked_at: float = 0.0
    met_at: float = field(default_factory=time.monotonic)  # in this life of the gateway
    is_changed: bool = True  # since it was saved
    is_shown: bool = False  # as it is now

    def row(self) -> dict[str, Any]:
        """What the API has of it."""
        return {
            "id": self.id.hex(),
            "name": self.name,
            "ip": self.ip,
            "port": self.port,
            "state": self.state,
            "is_outbound": self.is_outbound,
            "is_gateway": self.is_gateway,
            "rtt_ms": self.rtt_ms,
            "first_seen": round(self.first_seen, 1),
            "last_seen": round(self.last_seen, 1),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "counters": self.counters,
            "channels": {str(channel): counts for channel, counts in sorted(self.channels.items())},
            "firmware": self.firmware,
            "app": self.app,
        }

    def change(self, **values: Any) -> None:
        """Set attributes; what differs is shown and saved."""
        for name, value in values.items():
            if getattr(self, name) != value:
                setattr(self, name, value)
                self.is_shown = False
                self.is_changed = True

    def keep_log(self, text: str) -> None:
        """More of its log came."""
        self.log.append(text)
        while sum(map(len, self.log)) > LOG_LETTERS and len(self.log) > 1:
            self.log.popleft()
