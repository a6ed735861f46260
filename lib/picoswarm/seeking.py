"""How a node comes to a session that it does not have (docs/architecture.md). Loaded for that, and then forgotten."""

import sys
from asyncio import create_task

from .compat import const, sleep_ms, ticks_add, ticks_diff, ticks_ms, unload

_OPEN = const(4)  # a session's stage
_ESTABLISHED = const(4)  # state of a link, see connmgr.py
_PASSING = const(0x20042)  # reasons that may be otherwise in a moment: busy, duplicate, trimmed
_UNREACHABLE = const(130)

_RETRY_MS = const(50)
_DIRECT_MS = const(4000)  # after that a gateway is asked too: time for a dial, and for more where it was busy
_NO_PORT_MS = const(400)  # and after that, where nobody can dial
_NONE = "no session with this node"

_seekers = 0  # while there is one this module stays


class _Direct:
    """The ways without a gateway: a dial, where the node's address is known, and else a lookup."""

    def __init__(self, services, id32):
        self.patience = _DIRECT_MS  # before a gateway is asked too
        self._services = services
        self._id = id32
        self._link = None  # of the dial under way
        self._look = None  # [] while there is a lookup, and then [its error, or None]

    def step(self):
        """Go on. Returns why there is no such way, a text, or "". Raises what the lookup raised."""
        services = self._services
        manager = services.swarm.manager
        link = self._link
        if link:
            is_passing = _PASSING >> link.reason & 1
            # The link to a permanent peer stays: it is wanted again, or waits for its next dial.
            if link in manager.links and (link.callers or not is_passing):
                return ""
            self._link = None
            return "" if is_passing else _NONE
        contact = services._node.contact(self._id)
        if contact and contact[2]:
            self._link = manager.want(self._id, contact[0], contact[2], ticks_ms())
            services.links.turn()
        elif self._look is None:
            self._look_up(contact)
        elif self._look:
            if self._look[0]:
                raise self._look[0]
            return "no such node is known"
        return ""

    def _look_up(self, contact):
        swarm = self._services.swarm
        # Who has just started has nobody to ask: that nothing is found then says nothing.
        if contact or swarm._discovery.upkeep.is_joined:
            self._look = []
            create_task(_look_up(self._services._node, self._id, self._look))
        elif swarm.peers and self.patience == _DIRECT_MS:
            self.patience = 0  # the gateway among these may know it
        if contact:  # its first word tells the TCP port, if there is one
            self.patience = _NO_PORT_MS

    def end(self):
        """Nobody wants the session any more, or it is there."""
        link = self._link
        if link and link.state != _ESTABLISHED:
            self._services.swarm.manager.cancel(link)


async def _look_up(node, id32, look):
    try:
        await node.lookup(id32)
        look.append(None)
    except Exception as error:  # for who waits
        look.append(error)


async def _through_gateway(services, id32, deadline):
    """(session or None, what to tell a person besides)."""
    session = None
    try:
        from .relay import reach

        session, why = await reach(services, id32, deadline)
        return session, why
    finally:
        if session is None or session.port:  # none through a gateway: that module is of no use now
            _forget("picoswarm.relay")


def _forget(module):
    try:
        unload([name for name in sys.modules if name != module])
    except MemoryError:
        pass  # it stays


async def seek(services, id32, ms, is_direct):
    """See `Services.session`."""
    global _seekers
    if id32 == services._node.id:  # or a gateway would be asked to join it to itself
        from .failures import request_error

        raise request_error(_UNREACHABLE, "that is this node itself")
    deadline = ticks_add(ticks_ms(), ms)
    swarm = services.swarm
    direct = _Direct(services, id32)
    why = ""
    _seekers += 1
    try:
        while True:
            session = swarm.peers.get(id32)
            if session and session.stage == _OPEN:
                return session
            left = ticks_diff(deadline, ticks_ms())
            text = "" if session else direct.step()
            if left <= 0:
                text = text or _NONE
            if swarm.is_closing:
                from .errors import LocalError

                raise LocalError("the node is not running")
            if left > 0 and session is None and not is_direct and (text or ms - left > direct.patience):
                session, why = await _through_gateway(services, id32, deadline)
                if session:
                    return session
                direct.patience = ms - ticks_diff(deadline, ticks_ms()) + _DIRECT_MS
            if text:
                from .failures import request_error

                raise request_error(_UNREACHABLE, text + why)
            await sleep_ms(_RETRY_MS)
    finally:
        direct.end()
        _seekers -= 1
        if not _seekers:
            _forget("picoswarm.seeking")
