"""How a node starts: its arguments, its keys, its parts. `Node` loads this module, uses it once and forgets it, with all
that it loads before the engine: a running node needs neither files nor Ed25519, which take more than the whole driver.

The memory of the table comes first, then the keys and last the engine, so that the modules of the start and those of the
engine are never in memory together.
"""

import gc
import sys

from .compat import collect, const, heap_used, own_ip, parse_ip, sleep_ms, threshold, ticks_ms, unload
from .identity import Kept, Keyring, Rng

# What is loaded from here on goes again when a node runs, and this module with it.
_before = list(sys.modules)
_before.remove(__name__)

_LOOPBACK = const(127)
_LOCAL_BROADCAST = b"\x7f\xff\xff\xff"
_GARBAGE = const(16384)  # bytes between two collections of a start, at most
_PLENTY = const(65536)  # bytes


def _parse(text, port):
    """(ip, port) of "ip", "ip:port" or "[ipv6]:port"; with the name of a host in the place of its ip, the name as text.
    Raises LocalError."""
    host = text
    if text.startswith("["):
        host, _, end = text[1:].partition("]")
        port = end[1:] or port
    elif text.count(":") == 1:
        host, port = text.split(":")
    try:
        port = int(port)
        if not 0 <= port <= 0xFFFF:
            raise ValueError
        try:
            return parse_ip(host), port
        except ValueError:
            from .names import is_name

            if is_name(host):
                return host, port
            raise
    except ValueError:
        _refuse("not an address: '%s' (ip:port or name:port)" % text)


def _refuse(text):
    from .errors import LocalError

    raise LocalError(text)


def _kept(whole, *names):
    """The attributes of these names, in an object whose class stays."""
    kept = Kept()
    for name in names:
        setattr(kept, name, getattr(whole, name))
    return kept


class Boot:
    """One start of a node. Raises LocalError for arguments that cannot be right. `default_port`: of a bootstrap node that
    names none."""

    def __init__(self, folder, network, profile, host, port, bootstrap, default_port, allow=None):
        from .profile import Profile

        if not isinstance(profile, Profile):
            profile = Profile(**(profile or {}))
        # The largest block of all comes first, while there still is one.
        self._pool = profile.check().pool()
        self._profile = profile.copy_to(Kept(), Kept())
        if hasattr(folder, "__fspath__"):
            folder = folder.__fspath__()
        if not isinstance(folder, str) and not hasattr(folder, "read"):
            _refuse("the folder of a node is a path or a Store")
        self._folder = folder
        if isinstance(network, (bytes, bytearray)):
            from .membership import Membership, NetworkKey

            network = Membership(NetworkKey(bytes(network), 0))
        elif network is not None and not hasattr(network, "highest"):
            _refuse("network is a key, 32 bytes, or a Membership")
        self._membership = network
        self._host = _parse(host, 0)[0] if host else b""
        if isinstance(self._host, str):
            _refuse("the own address is an IP address, not a name: '%s'" % host)
        if not isinstance(port, int) or not 0 <= port <= 0xFFFF:
            _refuse("port is a number, 0 to 65535")
        self._port = port
        self._bootstrap = [_parse(text, default_port) for text in bootstrap]
        self._allow = allow
        self.reactors = []  # those of the user
        self._keys = self._is_free = None  # the latter: nobody else says how often garbage is collected
        self._goes = [name for name in sys.modules if name not in _before]

    async def start(self, node, name):
        """(folder, host, own ip, engine, driver with its socket open, services or None, (name, port) of the bootstrap nodes
        that are given by name). May be called again where it failed."""
        # What lives long then stands together, and large blocks stay to be had: the smaller the heap, the more that needs.
        # Only MicroPython counts in bytes.
        if self._is_free is None:
            self._is_free = heap_used() and threshold() < 0
        if self._is_free:
            threshold(min(_GARBAGE, gc.mem_free() >> 3))
        if self._keys is None:
            stays = [name for name in sys.modules if name not in self._goes]
            self._keys = await self._take_keys()
            self._membership = None  # not before: what failed is tried again
            unload(stays)
            collect()
        identity, keyring, rng, nodes = self._keys
        # First one half of the engine: loading leaves garbage between what it makes, and the other half goes there.
        from .table import Table  # noqa: F401

        collect()
        await sleep_ms(0)  # here and below: other tasks wait for a part of the start, and not for all of it
        from .discovery import Discovery

        await sleep_ms(0)
        if node.parts:
            Driver = node.parts[2]
        else:
            from .net import Driver

        profile = self._profile
        ip = self._host if any(self._host) else own_ip()
        is_loopback = ip[0] == _LOOPBACK
        # Bound to one address, a socket would not hear broadcasts.
        driver = Driver(ip if is_loopback else bytes(len(self._host) or 4), self._port, profile.datagram)
        try:
            driver.open()
        except OSError as error:
            raise OSError(error.errno, "UDP port %d cannot be opened; another program may have it" % self._port)
        tcp_port = driver.port if profile.links and profile.listen else 0
        flags = profile.gateway << 1 | profile.relay << 3
        engine = Discovery(profile, identity, keyring, rng, ticks_ms(), ip, driver.port, tcp_port, flags, pool=self._pool)
        if is_loopback:
            engine.beacon_ip = _LOCAL_BROADCAST
        named = []
        for place in self._bootstrap:
            if isinstance(place[0], str):
                named.append(place)
            else:
                engine.add_bootstrap(*place)
        for id32, ip_of, port in nodes:
            engine.add_seed(id32, ip_of, port)
        services = None
        if profile.links:
            try:
                from .services import Services  # noqa: F401

                await sleep_ms(0)
                from .swarm import Swarm  # noqa: F401

                await sleep_ms(0)
                from .composing import compose

                unload([name for name in sys.modules if name != "picoswarm.composing"])
                services = compose(node, self._folder, profile, identity, keyring, rng, engine, driver, self.reactors, name)
                if self._allow:
                    from .steering import gate

                    services.swarm.manager.allow = gate(services, self._allow)
                if keyring.serial is not None and services.rpc:
                    services.handle("keys", services.change_keys)
            except BaseException:
                driver._sock.close()  # or its port is taken when this is tried again
                raise
        if self._is_free:
            # From here on it goes at half of that (pace.py), and what lives long is there already.
            free = gc.mem_free()
            threshold(min(_GARBAGE * 6, free - (free >> 2)) if free > _PLENTY else free >> 2)
        return self._folder, self._host, ip, engine, driver, services, named

    async def _take_keys(self):
        """(identity, keyring, rng, known nodes) from the store; the node key is made where there is none. Each is of a class
        that stays."""
        from .keys import LoadOrCreate, gather, load_membership, load_nodes, load_operator
        from .store import Store

        store = Store(self._folder) if isinstance(self._folder, str) else self._folder
        is_of_folder = self._membership is None
        membership = self._membership or load_membership(store)
        if membership is None:
            _refuse("no network key: provision the node's folder, or pass network=")
        pool = gather(store)
        job = LoadOrCreate(store, pool)
        while job.step():
            await sleep_ms(0)
        keys = []
        sessions = ("psk",) if self._profile.links else ()  # what they alone want
        for key in (membership.highest, membership.lower):
            keys.append(key and _kept(key, "key", "epoch", "mac", "stream", "label", *sessions))
        keyring = Keyring(*keys)
        if is_of_folder:
            load_operator(store, keyring, self._profile.gateway)
        else:
            keyring.revoked = membership.revoked
        identity = _kept(job.result, "id", "static_private", "static_public")
        return identity, keyring, Rng(pool.draw(32)).draw, load_nodes(store)
