"""A node: the public API (docs/architecture.md). It gives its user coroutines, lists and events instead of engines:

    async with Node("swarm") as node:
        print(node.peers())

What only the start needs is in boot.py, which is not kept.
"""

from asyncio import Event
from collections import deque, namedtuple

from .compat import collect, const, format_ip, heap_used, own_ip, sleep_ms, ticks_diff, ticks_ms
from .identity import check_id

PORT = 20742  # UDP, where none is named

_WAITING = const(8)  # events that nobody fetched
_RETRY_MS = const(100)
_FULL_MS = const(5000)  # a lookup that a full heap held up, and so much later still does, is given up
_SAVE_S = const(1800)  # between two writes of the node database: flash wears
_LOOKUP_DONE = const(3)  # events of the engine, see discovery.py
_ALONE = const(4)
_EVENTS = ("", "added", "removed", "", "alone", "outside")  # names of the others, by kind
_GAUGES = ("unsent", "oversize", "reopened", "out_of_memory", "faults", "hold_ms")  # of the driver

Peer = namedtuple("Peer", ("id", "ip", "port", "tcp_port"))


def _refuse(text):
    from .errors import LocalError

    raise LocalError(text)


def _is_given_up(waiting):
    """Whether a full heap has held up a lookup, an entry of `Node._lookups`, for too long. To be asked when it does."""
    now = ticks_ms()
    if waiting[2] is None:
        waiting[2] = now
    return ticks_diff(now, waiting[2]) > _FULL_MS


class Node:
    """One node of a mesh. Nothing happens before `start`, or `async with`, which starts it and closes it. Where its profile
    has sessions there are besides, with the arguments that stand in services.py, gateway.py, asking.py, waiting.py and
    steering.py,

    node.subscribe(topics)                        messages on these topics, for `async for`
    await node.publish(topic, payload)            to whoever hears the topic
    await node.request(id, method, payload)       the answer of another node
    await node.send(id, channel, data)            a message to a reactor of another node
    await node.open_stream(id, protocol)          a Stream to another node
    node.handle(name, handler)                    serves a method or a protocol
    await node.gateway(family)                    a family of the mesh's gateways, as a Gateway
    node.log(line)                                adds a line to the log that others can read
    await node.read_log(id, position=0)           (text, next position) of another node's log
    await node.read_stats(id)                     the counters of another node, by name
    await node.keep(who, is_kept=True)            who, an id or "ip:port", is a permanent peer, dialed for ever; or not
    node.protect(id, is_protected=True, value=0)  makes no room for others; else those of least value, 0-100, go first
    node.disconnect(id, reason=0)                 ends the session; False: there is none
    node.ban(id, minutes=60)                      has no session for so long, up to 254 minutes; 0 lifts the ban
    """

    parts = None  # a host's own classes in the place of Swarm, Links and Driver
    # What stays as it is at most nodes takes no memory in the object.
    _names = None
    _name = ""
    _unsaved = 0  # changes of the network keys that the folder did not take

    def __init__(self, folder, network=None, profile=None, host="", port=PORT, bootstrap=(), name="", allow=None):
        """`folder`: path of the node's folder, as text or Path, or a Store. `network`: 32-byte network key or Membership;
        None: the folder has it. `profile`: a Profile, or a dict of the numbers in which it differs from the default one,
        which leaves less in memory. `host`: own address, where it cannot be found out. `bootstrap`: texts "ip:port" or
        "name:port"; not needed where another node is on the same LAN. `name`: at most 16 characters that peers see.
        `allow`, a function of (stage, id, ip as text), says with whom there may be a session: "dial" (id None where only
        the address is known), "accept" (id None), "secured" (the id is proven). Raises LocalError."""
        from .boot import Boot

        self.id = None  # 32 bytes, once started
        self.events = Events()
        self._boot = Boot(folder, network, profile, host, port, bootstrap, PORT, allow)
        self._discovery = self._driver = self._services = None
        if name:
            self._name = name
        self._is_saved = network is None  # the folder holds the network keys, and follows them
        self._save_at = _SAVE_S  # uptime
        self._lookups = {}  # those of the engine that a user waits for: [Event, result, since when a full heap holds it up]

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *exception):
        await self.close()

    async def start(self):
        """Load the keys, or make the node key at the first boot, which takes a board a second or two; open the socket; join.
        To be called again where it failed. Raises LocalError, StoreError, EntropyError, or OSError where the socket cannot
        be had."""
        if self._boot is None:
            _refuse("a node starts once")
        parts = await self._boot.start(self, self._name)
        self._folder, self._host, self._ip, self._discovery, driver, services, named = parts
        self.id = self._discovery.own_id
        self._boot = None
        collect()
        driver.start(self._discovery, self._on_event, self._on_check)
        self._driver = driver
        self._services = services
        if services:
            services.links.start(services.swarm, services.on_event, services.on_turn)
        if named:
            from .names import Names

            self._names = Names(self._discovery, named, driver.turn)

    async def close(self):
        """Leave: say goodbye behind what is queued, for which it waits 2 s at most, or 4 s with sessions through gateways,
        end the tasks, close the sockets. A lookup, or the wait for a session, ends with a LocalError, and the events end. A
        second call does nothing."""
        if self._driver is None:
            return
        self._driver.stop()
        self._driver = None
        if self._names:
            self._names.stop()
        for waiting in self._lookups.values():
            waiting[0].set()
        try:
            if self._services:
                from .waiting import farewell

                await farewell(self._services)
        except MemoryError:
            pass  # without a word, then
        finally:
            if self._services:
                self._services.close()
                self._services = None
            self.events.put(None)
        await sleep_ms(0)  # the tasks end now

    async def lookup(self, id32, full=False):
        """The live nodes nearest to an id, nearest first, as a list of Peers. It ends early when the id itself answered,
        which then stands first; `full` asks all of the nearest in any case. Raises LocalError where the node is closed,
        MemoryError where the heap stays full for some seconds."""
        id32 = check_id(id32)
        waiting = [Event(), None, None]
        cuts = -1
        while True:
            driver = self._driver
            if driver is None:
                _refuse("the node is not running")
            lookup = None
            try:
                lookup = self._discovery.find(id32, ticks_ms(), full)
                if lookup:
                    self._lookups[lookup] = waiting
                    break
                if driver.out_of_memory > cuts >= 0:  # a full heap holds up those that are running
                    raise MemoryError
            except MemoryError:
                if lookup:
                    self._discovery.give_up(lookup)
                if _is_given_up(waiting):
                    raise
            cuts = driver.out_of_memory
            await sleep_ms(_RETRY_MS)  # as many as the profile allows are running, or there is no memory for it
        driver.turn()
        await waiting[0].wait()
        if waiting[1] is None:
            if self._driver is None:
                _refuse("the node is not running")
            raise MemoryError
        return waiting[1]

    def contact(self, id32):
        """(ip, UDP port, TCP port) of a node that the table knows, or None. Raises LocalError."""
        id32 = check_id(id32)
        return self._discovery and self._discovery.contact(id32)

    # Sessions. A profile with links=0 has none of this.

    def _sessions(self):
        if self._services is None:
            _refuse("the node is not running, or its profile has links=0")
        return self._services

    def register(self, reactor):
        """Add a Reactor of your own, before `start`."""
        if self._boot is None:
            _refuse("reactors are registered before the start")
        self._boot.reactors.append(reactor)

    def __getattr__(self, name):
        """What sessions are for, of services.py, and what is rarely asked for: who does not has it not in memory."""
        if name in ("subscribe", "publish", "request", "open_stream", "handle", "log"):
            return getattr(self._sessions(), name)
        if name == "gateway":
            from .gateway import bind
        elif name[:5] == "read_":
            from .asking import bind
        else:
            from .steering import bind
        return bind(self, name)

    def sessions(self):
        """The open sessions, as a list of (id, ip, is_outbound, name); ip is 0.x.y.z where it goes through a gateway."""
        return self._services.sessions() if self._services else []

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
        for name in _GAUGES if self._driver else ():
            values[name] = getattr(self._driver, name)
        if self._services:
            self._services.add_stats(values)
        values["unsaved"] = self._unsaved
        if self._names:
            values["unresolved"] = self._names.unresolved
        values["heap"] = heap_used()
        return values

    @property
    def fault(self):
        """The last exception that a turn of the node or a handler of yours ended with, or None."""
        if self._services and self._services.last_fault():
            return self._services.last_fault()
        return self._driver.fault if self._driver else None

    def _on_event(self, event):
        if event is None:
            return self._on_full()
        if event[0] != _LOOKUP_DONE:
            self.events.put((_EVENTS[event[0]],) + event[1:])
            if event[0] == _ALONE and self._discovery.uptime:  # not at the start, which has just asked them
                from .saves import ask_kept

                ask_kept(self._folder, self._discovery)
            return
        waiting = self._lookups.pop(event[1], None)
        if waiting:
            waiting[0].set()  # who waits goes on after this turn, whatever happens in it
            # Copied now: the engine uses its lookups again.
            found = []
            for id32, ip, port, tcp_port in event[1].results():
                found.append(Peer(id32, format_ip(ip), port, tcp_port))
            waiting[1] = found

    def _on_full(self):
        """A full heap cut a turn short. Who waits for a lookup that met this too long waits no longer. Takes no memory."""
        for lookup in self._lookups:
            waiting = self._lookups[lookup]
            if _is_given_up(waiting):
                del self._lookups[lookup]
                waiting[0].set()
                return self._discovery.give_up(lookup)

    def _on_check(self):
        """Every 10 s: True when the interface has another address than before. One without address is waited for."""
        engine = self._discovery
        keys = engine.membership
        lower = keys.lower
        if keys.expire(engine.uptime):
            try:
                self._expired(lower.epoch)
            except MemoryError:
                keys.lower = lower  # at the next check
                raise
        if engine.uptime >= self._save_at:
            self._save_at = engine.uptime + _SAVE_S
            self._save(None, engine.table)
        if self._names:
            self._names.check()
        ip = self._host if any(self._host) else own_ip()
        if ip == self._ip or not any(ip):
            return False
        self._move(ip)
        return True

    def _expired(self, epoch):
        """A network key is no longer valid."""
        if self._services:
            self._services.end_epoch(epoch)
        if self._is_saved:
            self._save(self._discovery.membership, None)

    def _save(self, keys, table):
        """Write the network keys, or the node database; None: not these."""
        from .saves import save  # which is not kept either

        book = self._services.swarm.book if table and self._services else None
        self._unsaved += not save(self._folder, self._discovery.uptime, keys, table, book)

    def _move(self, ip):
        """The interface has another address."""
        self._discovery.set_address(ip, self._driver.port)
        if self._services:
            self._services.links.restart()
        self._ip = ip  # now, so that what fails is tried again


class Events:
    """What happened to a node, for `async for`: ("added", id), ("removed", id), ("alone",), ("outside", ip or None, port) of
    its table; ("connected", id), ("disconnected", id, reason) of its sessions. For one consumer. The last 8, or `most`,
    wait; what is older is lost. It ends when the node is closed."""

    def __init__(self, most=_WAITING):
        self._waiting = deque((), most)
        self._arrived = Event()

    def put(self, event):
        """Hand an event to the consumer; None is the last one."""
        self._waiting.append(event)
        self._arrived.set()

    def __aiter__(self):
        return self

    async def __anext__(self):
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        event = self._waiting.popleft()
        if event is None:
            self.put(None)
            raise StopAsyncIteration
        return event
