"""Bytes of each session, counted where it costs nothing: the system counts them for every TCP socket.

Where it does not (anything but Linux) they stay 0. What came on each channel a HostSession counts, message by message.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

from .session import MESSAGE

# Places in Linux's struct tcp_info
_TOTAL_RETRANS = 100
_ACKED = 120  # bytes of ours that the peer has, 8
_RECEIVED = 128
_SEGMENTS_OUT = 136
_SIZE = 144

KEPT = 5000  # peers that are gone, of which the counts are kept


def tcp_counts(sock: Any) -> tuple[int, int, int, int] | None:
    """(bytes that came, bytes that went and arrived, segments sent, of these sent again) of a TCP socket, or None."""
    if not hasattr(socket, "TCP_INFO"):
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:
        return None
    if len(info) < _SIZE:
        return None
    went, came = struct.unpack_from("=QQ", info, _ACKED)
    (again,) = struct.unpack_from("=I", info, _TOTAL_RETRANS)
    (segments,) = struct.unpack_from("=I", info, _SEGMENTS_OUT)
    return came, went, segments, again


class Traffic:
    """The traffic of a node's sessions."""

    def __init__(self) -> None:
        self.total_in = self.total_out = 0
        self._last: dict[Any, tuple[int, int, int, int]] = {}  # by session
        self._channels: dict[bytes, dict[int, list[int]]] = {}  # [messages, bytes] by peer and channel
        self._quality: dict[bytes, float] = {}

    def measure(self, node: Any) -> Iterator[tuple[bytes, int, int, dict[int, list[int]]]]:
        """(id, bytes that came and went since the last time, what came on each channel since the start) of each session."""
        last, self._last = self._last, {}
        peers = node.swarm.peers
        for session in list(peers.values()):
            self._add(session)
            sock = node.socket(session)
            counts = tcp_counts(sock) if sock else None
            if counts is None:
                continue
            before = last.get(session, (0, 0, 0, 0))
            came, went = counts[0] - before[0], counts[1] - before[1]
            self._last[session] = counts
            self.total_in += came
            self.total_out += went
            if counts[2]:
                self._quality[session.id] = max(0.0, 1 - counts[3] / counts[2])
            channels = self._channels.get(session.id, {})
            yield session.id, came, went, {channel: list(counts) for channel, counts in channels.items()}
        for kept in (self._channels, self._quality):
            for id32 in [id32 for id32 in kept if id32 not in peers][: max(0, len(kept) - KEPT)]:
                del kept[id32]

    def _add(self, session: Any) -> None:
        """Take what a session has heard since the last time."""
        channels = self._channels.setdefault(session.id, {})
        for channel, heard in session.heard.items():
            counts = channels.setdefault(channel, [0, 0])
            counts[0] += heard // MESSAGE
            counts[1] += heard % MESSAGE
        if session.link.useful >= 0:
            session.link.useful += session.messages()
        session.heard.clear()

    def quality(self, id32: bytes) -> float | None:
        """Of the segments of the session with a peer, the share that was sent once only; None where nobody counts."""
        return self._quality.get(id32)
