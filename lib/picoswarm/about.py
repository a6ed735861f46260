"""What a node tells of itself and of its sessions: the method "about", which every node serves (docs/protocol.md 7.6).
Loaded when somebody asks, and let go."""

import os
import sys

from .compat import const
from .wire import u16

_OPEN = const(4)  # a session's stage
_TEXT = const(96)  # bytes


def _runs():
    """What this node is, as a text: the library, the interpreter and the board, each with its version."""
    parts = ["picoswarm " + sys.modules["picoswarm"].__version__]
    # "3.4.0; MicroPython v1.26.0 on 2025-08-09" or "3.11.7 (main, ...) [GCC ...]"
    text = sys.version.split("; ")[-1].split(" on ")[0].split(" (")[0]
    parts.append(text if "Python" in text else "Python " + text)
    if hasattr(os, "uname"):
        parts.append(os.uname()[4])
    return ", ".join(parts).encode()[:_TEXT]


def about(services, caller, payload):
    """The answer to a question of the node `caller`: `payload` says which session the list begins with, none: the first."""
    open_ones = [session for session in services.swarm.peers.values() if session.stage == _OPEN]
    text = _runs()
    count = len(open_ones)
    most = services.swarm.profile.request_max
    asker = services.swarm.peers.get(caller)
    if asker:  # it is still there
        most = min(most, asker.hello.request_max)
    out = bytearray((len(text),)) + text + bytes((count >> 8, count & 0xFF))
    for session in open_ones[u16(payload, 0) if len(payload) > 1 else 0 :]:
        if len(out) + 36 > most:
            break
        out.append(session.hello.capabilities & 0x0E | session.is_outbound)
        out += session.id
    return out
