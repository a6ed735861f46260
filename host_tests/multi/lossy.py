"""A UDP network in between that loses datagrams: nodes on 127.0.0.1 that know each other at 127.0.0.2.

For each node's port there is a socket at 127.0.0.2 with the same number. What a node sends to 127.0.0.2:q arrives at socket
q, and leaves for 127.0.0.1:q from the socket of the sender's own port, so that every node looks as if it lived at
127.0.0.2. Ports stay what they are: nodes compare the one that others see with their own.
"""

from __future__ import annotations

import asyncio
import random
import socket

from picoswarm_tools.swarm import HOST


class LossyNetwork:
    """`loss` in 0..1 is the share of datagrams that do not arrive, each way."""

    host = "127.0.0.2"

    def __init__(self, ports: list[int], loss: float, rng: random.Random) -> None:
        self.lost = self.passed = 0
        self._loss = loss
        self._rng = rng
        self._sockets = {port: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for port in ports}

    async def __aenter__(self) -> LossyNetwork:
        loop = asyncio.get_running_loop()
        for port, sock in self._sockets.items():
            sock.setblocking(False)
            sock.bind((self.host, port))
            loop.add_reader(sock, self._forward, sock, port)
        return self

    async def __aexit__(self, *exception: object) -> None:
        loop = asyncio.get_running_loop()
        for sock in self._sockets.values():
            loop.remove_reader(sock)
            sock.close()

    def _forward(self, sock: socket.socket, port: int) -> None:
        datagram, (_, sender) = sock.recvfrom(2048)
        if sender not in self._sockets or self._rng.random() < self._loss:
            self.lost += 1
            return
        self.passed += 1
        self._sockets[sender].sendto(datagram, (HOST, port))
