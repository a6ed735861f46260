"""A node: the composition root and the public API (docs/architecture.md).

It reads the profile, takes the keys from its folder or makes them, wires the engines to the driver, and gives its user
coroutines, lists and events instead of engines:

    async with Node("swarm") as node:
        print(node.peers())
"""

from asyncio import Event
from collections import deque, namedtuple

from .compat import (
    bound_garbage,
    collect,
    const,
    format_ip,
    heap_used,
    loaded,
    own_ip,
    parse_ip,
    sleep_ms,
    ticks_ms,
    unload,
)
from .discovery import ADDED, ALONE, LOOKUP_DONE, OUTSIDE, REMOVED, Discovery
from .errors import LocalError
from .membership import Membership, NetworkKey
from .net import Driver, UdpPort
from .profile import Profile

PORT = 20742  # UDP, where none is named

_LOOPBACK = const(127)
_WAITING = const(16)  # events that nobody fetched
_RETRY_MS = const(100)
_SAVE_S = const(1800)  # between two writes of the node database: flash wears
_GARBAGE = const(16384)  # bytes between two collections
_LOCAL_BROADCAST = b"\x7f\xff\xff\xff"
_NAMES = {ADDED: "added", REMOVED: "removed", OUTSIDE: "outside"}
_ALONE = ("alone",)

Peer = namedtuple("Peer", ("id", "ip", "port", "tcp_port"))


class Node:
    """One node of a mesh. Nothing happens before `start`, or `async with`, which starts it and closes it."""

    def __init__(self, folder, network=None, profile=None, host="", port=PORT, bootstrap=()):
        """`folder`: path of the node's folder, or a Store. `network`: 32-byte network key or Membership; None: the folder
        has it. `host`: own address, where it cannot be found out. `bootstrap`: texts "ip:port"; not needed where another
        node is on the same LAN. Raises LocalError."""
        self.id = None  # 32 bytes, once started
        self.profile = (profile or Profile()).check()
        self.events = Events()
        self._folder = folder
        self._membership = Membership(NetworkKey(network, 0)) if isinstance(network, bytes) else network
        self._is_saved = network is None  # the folder holds the network keys, and follows them
        self._unsaved = 0  # changes of the network keys that the folder did not take
        self._host = _parse(host)[0] if host else b""
        self._ip = b""  # as the engine knows it
        self._port = port
        self._bootstrap = [_parse(text) for text in bootstrap]
        self._discovery = None
        self._driver = None
        self._save_at = _SAVE_S  # uptime
        self._lookups = []  # [engine's lookup, Event, result] for each that a user waits for

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *exception):
        await self.close()

    async def start(self):
        """Load the keys, or make the node key at the first boot, which takes a board a second or two; open the socket; join.
        Raises LocalError, StoreError, EntropyError, or OSError where the socket cannot be had."""
        bound_garbage(_GARBAGE)
        before = loaded()
        identity, self._membership, rng, nodes = await self._take_keys()
        # A running node needs neither files nor Ed25519, which take more than the whole driver.
        unload("picoswarm", before)
        collect()  # the engine's buffers are the largest blocks of all
        self._ip = self._host if any(self._host) else own_ip()
        size = self.profile.datagram
        # Bound to one address, a socket would not hear broadcasts.
        udp = UdpPort(self._ip if self._ip[0] == _LOOPBACK else bytes(len(self._host) or 4), self._port, size)
        try:
            udp.open()
        except OSError as error:
            raise OSError(error.errno, "UDP port %d cannot be opened; another program may have it" % self._port)
        engine = Discovery(self.profile, identity, self._membership, rng, ticks_ms(), self._ip, udp.port)
        if self._ip[0] == _LOOPBACK:
            engine.beacon_ip = _LOCAL_BROADCAST
        for ip, port in self._bootstrap:
            engine.add_bootstrap(ip, port)
        for id32, ip, port in nodes:
            engine.add_seed(id32, ip, port)
        self.id = identity.id
        self._discovery = engine
        self._driver = Driver(engine, udp, size, self._on_event, self._on_check)
        self._driver.start()

    def _open_store(self):
        from .store import Store

        return Store(self._folder) if isinstance(self._folder, str) else self._folder

    async def _take_keys(self):
        """(Identity, Membership, rng, known nodes) from the store; the node key is made where there is none."""
        from .keys import LoadOrCreate, gather, load_membership, load_nodes

        store = self._open_store()
        membership = self._membership or load_membership(store)
        if membership is None:
            raise LocalError("no network key: provision the node's folder, or pass network=")
        pool = gather(store)
        job = LoadOrCreate(store, pool)
        while job.step():
            await sleep_ms(0)
        return job.result, membership, pool.rng, load_nodes(store)

    async def close(self):
        """Leave: end the tasks, close the socket, wake who waits for a lookup or event. A second call does nothing."""
        if self._driver is None:
            return
        self._driver.stop()
        self._driver = None
        for lookup in self._lookups:
            lookup[1].set()
        self.events.close()
        await sleep_ms(0)  # the tasks end now

    async def lookup(self, id32, full=False):
        """The live nodes nearest to an id, nearest first, as a list of Peers. It ends early when the id itself answered,
        which then stands first; `full` asks all of the nearest in any case. Raises LocalError where the node is closed."""
        if len(id32) != 32:
            raise LocalError("a node id is 32 bytes")
        handle = None
        while handle is None:
            if self._driver is None:
                raise LocalError("the node is not running")
            handle = self._discovery.find(id32, ticks_ms(), full)
            if handle is None:
                await sleep_ms(_RETRY_MS)  # as many as the profile allows are running
        waiting = [handle, Event(), []]
        self._lookups.append(waiting)
        self._driver.turn()
        await waiting[1].wait()
        return waiting[2]

    def peers(self):
        """The live nodes of the table, as a list of Peers."""
        live = []
        for id32 in self._discovery.nodes() if self._discovery else ():
            ip, port, tcp_port = self._discovery.contact(id32)
            live.append(Peer(id32, format_ip(ip), port, tcp_port))
        return live

    def stats(self):
        """Counters and gauges by name: those of the engine, the driver and the heap."""
        values = self._discovery.stats() if self._discovery else {}
        driver = self._driver
        if driver is not None:
            values["unsent"] = driver.port.unsent
            values["oversize"] = driver.port.oversize
            values["reopened"] = driver.reopened
            values["out_of_memory"] = driver.out_of_memory
            values["faults"] = driver.faults
            values["hold_ms"] = driver.hold_ms
        values["unsaved"] = self._unsaved
        values["heap"] = heap_used()
        return values

    @property
    def fault(self):
        """The last exception that a turn of the node ended with, or None. Each one is a bug: please report it."""
        return self._driver.fault if self._driver else None

    def _on_event(self, event):
        if event[0] == ALONE:
            self.events.put(_ALONE)
        if event[0] in _NAMES:
            self.events.put((_NAMES[event[0]],) + event[1:])
        if event[0] != LOOKUP_DONE:
            return
        for waiting in self._lookups:
            if waiting[0] is event[1]:
                # Copied now: the engine uses its lookups again.
                waiting[2] = [Peer(id32, format_ip(ip), udp, tcp) for id32, ip, udp, tcp in event[1].results()]
                self._lookups.remove(waiting)
                waiting[1].set()
                return

    def _on_check(self, now):
        """Every 10 s: True when the interface has another address than before. One without address is waited for."""
        uptime = self._discovery.uptime
        if self._membership.expire(uptime) and self._is_saved:
            self._save_membership()
        if uptime >= self._save_at:
            self._save_at = uptime + _SAVE_S
            self._save_nodes(uptime)
        ip = self._host if any(self._host) else own_ip()
        if ip == self._ip or not any(ip):
            return False
        self._ip = ip
        self._discovery.set_address(ip, self._driver.port.port)
        return True


    def _save_membership(self):
        """Bring the folder's network keys up to those held. Where that fails, the key is forgotten until the next boot."""
        before = loaded()
        from .errors import StoreError
        from .keys import save_membership

        try:
            save_membership(self._open_store(), self._membership)
        except StoreError:
            self._unsaved += 1
        unload("picoswarm", before)

    def _save_nodes(self, uptime):
        """Bring the folder's node database up to the table. The modules for it stay no longer than that."""
        before = loaded()
        from .keys import save_nodes

        save_nodes(self._open_store(), self._discovery.table, uptime)
        unload("picoswarm", before)


class Events:
    """What happened to a node, for `async for`: ("added", id), ("removed", id), ("alone",), ("outside", ip or None, port).
    For one consumer. The last 16 wait; what is older is lost. It ends when the node is closed."""

    def __init__(self):
        self._waiting = deque((), _WAITING)
        self._arrived = Event()
        self._is_closed = False

    def put(self, event):
        self._waiting.append(event)
        self._arrived.set()

    def close(self):
        self._is_closed = True
        self._arrived.set()

    def __aiter__(self):
        return self

    async def __anext__(self):
        while not self._waiting:
            if self._is_closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()


def _parse(text):
    """(ip, port) of "ip", "ip:port" or "[ipv6]:port". Raises LocalError."""
    host, port = text, PORT
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port[1:] or PORT
    elif text.count(":") == 1:
        host, port = text.split(":")
    try:
        return parse_ip(host), int(port)
    except ValueError:
        raise LocalError("not an address: '%s' (ip:port, no names)" % text)
