"""One TCP connection's end towards an emulated Pico: what this machine's own TCP is on the other side of the hub.

The line below is slow, in order and lossless, but lwIP may drop a packet for want of memory; so what stays unanswered is
sent again. No congestion control, no selective anything. Packets in and out, no I/O: `tick` is to be called once a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .ip import ACK, FIN, PSH, RST, SYN, TCP, Packet

WINDOW = 8192  # bytes that the Pico may send ahead
MSS = 1024
MOST_QUEUED = 16384  # bytes for the Pico, before the other side has to wait
PATIENCE = 3  # ticks without progress, before something is sent again
GIVE_UP = 60
_ALL = 0xFFFFFFFF


class User(Protocol):
    """Who uses an end."""

    def opened(self) -> None: ...
    def arrived(self, data: bytes) -> None: ...
    def ended(self) -> None:
        """The Pico sends no more."""

    def closed(self) -> None:
        """The connection is gone."""


class TcpEnd:
    """`local` and `remote` are (4-byte ip, port); remote is the Pico's."""

    def __init__(
        self, local: tuple[bytes, int], remote: tuple[bytes, int], send: Callable[[Packet], None], user: User, seq: int
    ) -> None:
        self.local, self.remote, self._send, self._user = local, remote, send, user
        self.state = "new"  # or dialing, answering, open, closed
        self.queue = bytearray()  # from the first byte that the Pico has not acknowledged
        self._first = seq  # sequence number of queue[0]
        self._next = seq  # what is sent next
        self._expected = 0  # what the Pico sends next
        self._window = 0
        self._mss = MSS
        self._is_ending = self._has_ended = False  # we; the Pico
        self._idle = 0

    def dial(self) -> None:
        self.state = "dialing"
        self._say(SYN)

    def answer(self, packet: Packet) -> None:
        """Take the Pico's SYN."""
        self.state = "answering"
        self._expected = packet.seq + 1 & _ALL
        self._window, self._mss = packet.window, min(packet.mss or 536, MSS)
        self._say(SYN | ACK)

    def write(self, data: bytes) -> bool:
        """Send bytes. Returns whether there is room for more."""
        self.queue += data
        self._push()
        return self.has_room

    @property
    def has_room(self) -> bool:
        return len(self.queue) < MOST_QUEUED

    def end(self) -> None:
        """Send what is queued, then no more."""
        self._is_ending = True
        self._push()

    def abort(self) -> None:
        if self.state != "closed":
            self._say(RST | ACK)
            self._close()

    def tick(self) -> None:
        waits = self.state in ("dialing", "answering") or self.queue or self._next != self._first
        self._idle = self._idle + 1 if waits else 0
        if self._idle >= GIVE_UP:
            self.abort()
        elif self._idle and self._idle % PATIENCE == 0:
            if self.state == "dialing":
                self._say(SYN)
            elif self.state == "answering":
                self._say(SYN | ACK)
            else:
                self._next = self._first
                self._push(probe=True)

    def take(self, packet: Packet) -> None:
        """A packet of the Pico for this connection."""
        if self.state == "closed":
            return
        if packet.flags & RST:
            self._close()
            return
        if self.state == "dialing":
            if packet.flags & (SYN | ACK) == SYN | ACK:
                self._expected = packet.seq + 1 & _ALL
                self._window, self._mss = packet.window, min(packet.mss or 536, MSS)
                self._first = self._next = self._first + 1 & _ALL
                self._open()
                self._say(ACK)
                self._push()
            return
        if packet.flags & SYN:  # again: our answer is lost, or not yet there
            self._say(SYN | ACK)
            return
        if self.state == "answering":
            self._first = self._next = self._first + 1 & _ALL
            self._open()
        self._acknowledged(packet)
        if self.state != "closed":
            self._deliver(packet)

    def _open(self) -> None:
        self.state = "open"
        self._idle = 0
        self._user.opened()

    def _acknowledged(self, packet: Packet) -> None:
        self._window = packet.window
        count = packet.ack - self._first & _ALL
        in_flight = self._next - self._first & _ALL
        if 0 < count <= in_flight:
            is_all = count > len(self.queue)  # the end is acknowledged too
            del self.queue[:count]
            self._first = packet.ack
            self._idle = 0
            if is_all:
                self._is_ending, self._first = True, self._next
                self._sent_end = True
                if self._has_ended:
                    self._close()
                    return
        self._push()

    _sent_end = False

    def _deliver(self, packet: Packet) -> None:
        ahead = self._expected - packet.seq & _ALL
        if not packet.data and not packet.flags & FIN:
            return
        if ahead > WINDOW:  # something before it is missing
            self._say(ACK)
            return
        data = packet.data[ahead:]
        is_new_end = packet.flags & FIN and not self._has_ended and ahead <= len(packet.data)
        self._expected = self._expected + len(data) + (1 if is_new_end else 0) & _ALL
        self._say(ACK)
        if data:
            self._user.arrived(bytes(data))
        if is_new_end:
            self._has_ended = True
            self._user.ended()
            if self._sent_end:
                self._close()

    def _push(self, probe: bool = False) -> None:
        """Send what the Pico has room for."""
        if self.state != "open":
            return
        sent = self._next - self._first & _ALL
        while sent < len(self.queue):
            n = min(self._mss, len(self.queue) - sent, max(self._window, 1 if probe and not sent else 0) - sent)
            if n <= 0:
                return
            self._say(ACK | PSH, bytes(self.queue[sent : sent + n]))
            sent += n
            self._next = self._first + sent & _ALL
        if self._is_ending and sent == len(self.queue) and not self._sent_end:
            self._say(ACK | FIN)
            self._next = self._first + sent + 1 & _ALL

    def _say(self, flags: int, data: bytes = b"") -> None:
        ack = self._expected if flags & ACK else 0
        mss = MSS if flags & SYN else 0
        self._send(Packet(TCP, self.local, self.remote, data, flags, self._next, ack, WINDOW, mss))

    def _close(self) -> None:
        if self.state != "closed":
            self.state = "closed"
            self._user.closed()
