"""The gateway's UDP socket: datagrams are read many at a time, and what strangers sent costs its check and no more."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

from picoswarm import net
from picoswarm.compat import from_sockaddr, sockaddr, ticks_add, ticks_diff, ticks_ms
from picoswarm.net import Driver

BATCH = 16  # datagrams in one go: 0.1 ms, which sessions wait for
WAITING = 4 << 20  # bytes that may wait in the socket, as far as the system allows
FORCED = getattr(socket, "SO_RCVBUFFORCE", 33)  # of Linux; elsewhere it is refused


class HostDriver(Driver):
    """A Driver that is called by the loop, in the place of a reader task that waits anew for each batch."""

    def open(self) -> None:
        super().open()
        try:  # beyond what every program may have, where we may
            self._sock.setsockopt(socket.SOL_SOCKET, FORCED, WAITING)
        except OSError:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WAITING)

    def _run(self, wait_for: int) -> Coroutine[Any, Any, None]:
        return self._read() if wait_for == net._READ else super()._run(wait_for)

    async def _read(self) -> None:
        """Have the socket read until it is broken, or this task is cancelled."""
        loop = asyncio.get_running_loop()
        broken = loop.create_future()
        fd = self._sock.fileno()
        loop.add_reader(fd, self._read_some, self._sock, broken)
        try:
            await broken
        finally:
            loop.remove_reader(fd)

    def _read_some(self, sock: socket.socket, broken: asyncio.Future) -> None:
        engine, buf, most = self.engine, self.buf, self._most
        self._is_turning = True
        now = ticks_ms()
        try:
            for _ in range(BATCH):
                data, address = sock.recvfrom(most + 1)
                n = len(data)
                if n > most:
                    self.oversize += 1
                elif n:
                    self.received += 1
                    buf[:n] = data
                    if engine.receive(buf, n, *from_sockaddr(address), now):
                        self._answer()
        except OSError as error:
            if error.errno not in net._PASSING:
                self._is_broken = True  # the next check brings a new one
                if not broken.done():
                    broken.set_result(None)
        except Exception as error:  # a mistake of ours costs this datagram
            self.faults += 1
            self.fault = error
        self._is_turning = False
        later = ticks_ms()
        self.hold_ms = max(self.hold_ms, ticks_diff(later, now))
        due = engine.next_time()
        if due is not None:
            self._wake(due if ticks_diff(due, later) > 0 else ticks_add(later, 1))

    def _answer(self) -> None:
        """One of us has spoken: what the engine says to that."""
        engine, buf, sock = self.engine, self.buf, self._sock
        if engine.work():
            self._wake(ticks_ms())
        while (event := engine.next_event()) is not None:
            self._on_event(event)
        while n := engine.to_send(buf):
            try:
                sock.sendto(memoryview(buf)[:n], sockaddr(sock, engine.to_ip, engine.to_port))
                self._has_sent = True
            except OSError:
                self.unsent += 1
