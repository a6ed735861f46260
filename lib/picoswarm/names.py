"""Bootstrap nodes that were given by name, "gateway.lan:7340" (row B10). Loaded only where there is such a name.

Each is asked for at the start, and again while the node knows nobody: its address may be another one now, or the resolver
was away. A name is one anchor (upkeep.py), which moves with it. MicroPython's resolver holds the loop while it waits, a few
seconds where no server answers; a node that knows somebody has no need of it.
"""

from asyncio import create_task

from .compat import FILES, const, ticks_add, ticks_diff, ticks_ms

_FIRST_MS = const(10_000)  # before a name is asked for again, doubled each time
_MOST_MS = const(600_000)
_IPV4 = const(2)

if FILES == "host":
    from .compat_host import resolve
else:

    async def resolve(name):
        """The IPv4 address of a host, 4 bytes. Raises OSError."""
        from socket import getaddrinfo

        from .compat import from_sockaddr

        for found in getaddrinfo(name, 0):
            if found[0] == _IPV4:
                return bytes(from_sockaddr(found[-1])[0])
        raise OSError(-2)


def is_name(host):
    """Whether this can be the name of a host, and is no mistyped address (RFC 1123, 2.1: no name ends in a number)."""
    labels = host.split(".")
    for label in labels:
        if not 0 < len(label) < 64 or "-" in (label[0], label[-1]):
            return False
        for c in label:
            if not ("a" <= c.lower() <= "z" or "0" <= c <= "9" or c == "-"):
                return False
    return len(host) < 254 and not labels[-1].isdigit()


class Names:
    """`hosts`: (name, port) of each. `unresolved`: how many of them had no address the last time. `turn()` lets the engine
    see to what has changed."""

    def __init__(self, engine, hosts, turn):
        self._engine = engine
        self._turn = turn
        self._hosts = hosts
        self._anchors = [None] * len(hosts)
        self._wait_ms = _FIRST_MS
        self._task = None
        self.unresolved = 0
        self._ask()

    def _ask(self):
        self._due = ticks_add(ticks_ms(), self._wait_ms)
        self._wait_ms = min(2 * self._wait_ms, _MOST_MS)
        self._task = create_task(self._resolve())

    async def _resolve(self):
        try:
            unresolved = 0
            for i, (name, port) in enumerate(self._hosts):
                try:
                    self._found(i, await resolve(name), port)
                except OSError:
                    unresolved += 1
            self.unresolved = unresolved
        finally:
            self._task = None

    def _found(self, i, ip, port):
        engine = self._engine
        anchor = self._anchors[i]
        if anchor is None:
            engine.add_bootstrap(ip, port)
            self._anchors[i] = engine.anchors[-1]
        elif anchor.ip != ip:
            anchor.ip = ip
            anchor.id = None
            anchor.is_missing = True
            anchor.due = ticks_ms()
        self._turn()

    def check(self):
        """To be called every 10 s."""
        if self._engine.table.live():
            self._wait_ms = _FIRST_MS
        elif self._task is None and ticks_diff(ticks_ms(), self._due) >= 0:
            self._ask()

    def stop(self):
        if self._task:
            self._task.cancel()
