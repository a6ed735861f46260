"""The network of emulated Picos, without privileges: each has an address of its own out of 127.0.0.0/8, on which this
process keeps its sockets. So Picos, and every program of this machine, reach each other under true addresses, and nothing
has to be translated. (Linux takes the whole of 127.0.0.0/8 for itself; elsewhere each address must be added to the loopback
interface.)

A `Link` is one Pico: PPP over its UART1, its UDP ports, and TCP in both directions.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket

from .ip import RST, SYN, UDP, Packet, build, parse
from .pico import HOST
from .ppp import PppPeer
from .tcpend import TcpEnd

PORT = 20742  # of a node, where none is named
OWN = bytes((10, 64, 64, 64))  # our end of each link, the Pico's router: lwIP takes no loopback address for it
BROADCAST = bytes((127, 255, 255, 255))
NAMES = 53  # the router's name server, which refuses every question, but answers
TICK_S = 1.0

Address = tuple[bytes, int]


def text(ip: bytes) -> str:
    return socket.inet_ntoa(ip)


def free_address(port: int = PORT) -> bytes:
    """An address of 127.0.0.0/8 on which nobody has this port. Raises OSError."""
    for _ in range(100):
        ip = bytes((127, random.randrange(64, 255), random.randrange(256), random.randrange(1, 255)))
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                probe = probes.enter_context(socket.socket(socket.AF_INET, kind))
                probe.bind((text(ip), port))
            return ip
    raise OSError("no address of 127.0.0.0/8 can be had: on this system they must be added to the loopback interface")


class _Datagrams(asyncio.DatagramProtocol):
    """One UDP port of a Pico."""

    def __init__(self, link: Link, port: int) -> None:
        self.link, self.port = link, port

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        source = (socket.inet_aton(address[0]), address[1])
        self.link.to_guest(Packet(UDP, source, (self.link.ip, self.port), data))

    def error_received(self, error: Exception) -> None:
        pass  # nobody listens there: lost, as on any network


class _Bridge(asyncio.Protocol):
    """A TCP connection: a socket of this machine, and the end towards the Pico."""

    transport: asyncio.Transport

    def __init__(self, link: Link, dial_as: int = 0) -> None:
        """`dial_as`: the Pico's port that is called; 0: the Pico called."""
        self.link = link
        self.end: TcpEnd | None = None
        self._port = dial_as

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._port:
            host, port = transport.get_extra_info("peername")
            self.link.begin(self, (socket.inet_aton(host), port), self._port).dial()

    def data_received(self, data: bytes) -> None:
        if self.end is not None and not self.end.write(data):
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        if self.end is not None:
            self.end.end()
        return True  # the other direction goes on

    def connection_lost(self, error: Exception | None) -> None:
        if self.end is not None:
            self.end.abort()

    # The Pico's side

    def opened(self) -> None:
        pass

    def arrived(self, data: bytes) -> None:
        self.transport.write(data)

    def ended(self) -> None:
        with contextlib.suppress(OSError):
            self.transport.write_eof()

    def closed(self) -> None:
        self.link.forget(self)
        self.transport.close()


class Link:
    """`async with Link(uart_port, ip)`: one Pico is on the network, as soon as it brings its PPP up."""

    def __init__(self, uart_port: int, ip: bytes, ports: tuple[int, ...] = (PORT,)) -> None:
        """`uart_port`: the TCP port of the emulator that is its UART1. `ports`: those at which it may be called."""
        self.ip = ip
        self.ppp = PppPeer(OWN, ip)
        self.sent = self.received = 0  # packets of the Pico
        self._uart_port, self._ports = uart_port, ports
        self._datagrams: dict[int, asyncio.DatagramTransport] = {}
        self._bridges: dict[tuple[Address, Address], _Bridge] = {}
        self._dialing: set[tuple[Address, Address]] = set()
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Link:
        loop = asyncio.get_running_loop()
        self._reader, self._writer = await asyncio.open_connection(HOST, self._uart_port)
        for port in self._ports:
            await self._open_udp(port)
            server = await loop.create_server(lambda port=port: _Bridge(self, port), text(self.ip), port)
            self._servers.append(server)
        self._start(self._read())
        self._start(self._tick())
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for bridge in list(self._bridges.values()):
            bridge.transport.abort()
        for server in self._servers:
            server.close()
        for transport in self._datagrams.values():
            transport.close()
        self._writer.close()

    def _start(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self) -> None:
        while data := await self._reader.read(4096):
            for packet in self.ppp.receive(data):
                self.sent += 1
                self._route(parse(packet))
            self._flush()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for bridge in list(self._bridges.values()):
                if bridge.end is not None:
                    bridge.end.tick()

    def to_guest(self, packet: Packet) -> None:
        self.received += 1
        self.ppp.send(build(packet))
        self._flush()

    def _flush(self) -> None:
        if self.ppp.out:
            self._writer.write(bytes(self.ppp.out))
            self.ppp.out.clear()

    def _route(self, packet: Packet | None) -> None:
        """A packet that the Pico sent. Broadcasts stay here: a loopback has none."""
        if packet is not None and packet.goal == (OWN, NAMES) and len(packet.data) >= 12:
            refusal = packet.data[:2] + b"\x81\x85" + packet.data[4:6] + bytes(6) + packet.data[12:]
            self.to_guest(Packet(UDP, packet.goal, packet.source, refusal))
            return
        if packet is None or packet.source[0] != self.ip or packet.goal[0][0] != 127 or packet.goal[0] == BROADCAST:
            return
        if packet.protocol == UDP:
            self._start(self._send_datagram(packet))
            return
        key = (packet.goal, packet.source)
        bridge = self._bridges.get(key)
        if bridge is not None and bridge.end is not None:
            bridge.end.take(packet)
            if bridge.end.has_room and bridge.transport.is_reading() is False:
                bridge.transport.resume_reading()
        elif packet.flags & SYN:
            if key not in self._dialing:
                self._dialing.add(key)
                self._start(self._dial(packet, key))
        elif not packet.flags & RST:
            ack = packet.seq + len(packet.data)
            self.to_guest(Packet(packet.protocol, packet.goal, packet.source, b"", RST, packet.ack, ack))

    async def _open_udp(self, port: int) -> asyncio.DatagramTransport | None:
        if port not in self._datagrams:
            loop = asyncio.get_running_loop()
            try:
                made = await loop.create_datagram_endpoint(lambda: _Datagrams(self, port), (text(self.ip), port))
            except OSError:
                return None
            self._datagrams[port] = made[0]
        return self._datagrams[port]

    async def _send_datagram(self, packet: Packet) -> None:
        transport = self._datagrams.get(packet.source[1]) or await self._open_udp(packet.source[1])
        if transport is not None:
            transport.sendto(packet.data, (text(packet.goal[0]), packet.goal[1]))

    async def _dial(self, packet: Packet, key: tuple[Address, Address]) -> None:
        """The Pico calls somebody."""
        loop = asyncio.get_running_loop()
        ip, port = packet.goal
        try:
            _, bridge = await loop.create_connection(lambda: _Bridge(self), text(ip), port, local_addr=(text(self.ip), 0))
        except OSError:
            refusal = Packet(packet.protocol, packet.goal, packet.source, b"", RST | 16, 0, packet.seq + 1)
            self.to_guest(refusal)
        else:
            self.begin(bridge, packet.goal, packet.source[1]).answer(packet)
        finally:
            self._dialing.discard(key)

    def begin(self, bridge: _Bridge, local: Address, port: int) -> TcpEnd:
        """The end towards the Pico of a new connection between `local` and its `port`."""
        remote = (self.ip, port)
        bridge.end = TcpEnd(local, remote, self.to_guest, bridge, random.getrandbits(31))
        self._bridges[local, remote] = bridge
        return bridge.end

    def forget(self, bridge: _Bridge) -> None:
        if bridge.end is not None:
            self._bridges.pop((bridge.end.local, bridge.end.remote), None)
