"""What the user says about sessions: with whom there may be one, with whom there shall be one, which of them matter, and
which has to end (docs/protocol.md 6). Loaded when somebody says so; `Node` hands its calls to it."""

from .compat import const, format_ip, parse_ip, ticks_ms
from .identity import check_id

_BANNED = const(8)  # see reasons.py
_BAN = const(16)  # in a note, see connmgr.py
_BAN_MOST = const(254)  # minutes
_VALUE_MOST = const(100)
_PROTECTED = const(128)


def _refuse(text):
    from .errors import LocalError

    raise LocalError(text)


def gate(services, allow):
    """The connection manager's gate for the user's `allow`. One that raises says no, and is a fault of a handler."""

    def ask(stage, id32, ip):
        try:
            return bool(allow(stage, id32, format_ip(ip)))
        except Exception as error:
            services.faults += 1
            services.fault = error
            return False

    return ask


def _address(text):
    """(ip, port) of "ip:port" or "[ipv6]:port"."""
    host, _, port = text.rpartition(":")
    try:
        return parse_ip(host.strip("[]")), int(port)
    except ValueError:
        _refuse("not an address: '%s' (ip:port, no names)" % text)


def in_use(rpc, streams, link):
    """Whether a stream, or a request from here or there, is under way on a link."""
    peers = [key[0] for key in streams]
    if rpc:
        peers += [call[1] for call in rpc.calls] + [served[0] for served in rpc.served]
    return any([peer.link is link for peer in peers])


def bind(node, name):
    """A call of a node, or its Libp2p, by its name. Raises AttributeError for any other name."""
    if name == "libp2p":
        from .libp2p import of

        node.libp2p = own = of(node)  # which is found there from now on
        return own
    if name == "send":
        from .waiting import send as call
    else:
        call = {"keep": keep, "protect": protect, "disconnect": disconnect, "ban": ban}.get(name)
    if call is None:
        raise AttributeError(name)
    return lambda *arguments, **named: call(node, *arguments, **named)


async def keep(node, who, is_kept=True):
    """Make a node, by its id or as "ip:port", a permanent peer: it is dialed for ever. `is_kept` False: not any more.
    Raises LocalError, and Unreachable for an id that nobody knows now."""
    services = node._sessions()
    manager = services.swarm.manager
    id32 = None
    if isinstance(who, str):
        ip, port = _address(who)
    else:
        id32 = check_id(who)
        contact = node.contact(id32) if is_kept else b"\0\0\0"
        if not (contact and contact[2] or not is_kept):
            await node.lookup(id32)
            contact = node.contact(id32)
            if not (contact and contact[2]):
                from .failures import Unreachable

                raise Unreachable("no such node is known")
        ip = contact[0]
        port = contact[2]
    if is_kept:
        manager.add(id32, ip, port, ticks_ms())
    else:
        for link in list(manager.links):
            if link.is_permanent and (link.id == id32 if id32 else link.ip == ip and link.port == port):
                manager.remove(link)
    services.links.turn()


def protect(node, id32, is_protected=True, value=0):
    """While places for sessions are short, the one with this peer never makes room, not even for want of memory. Without
    protection those of the least `value` (0-100) go first. Holds for later sessions too. Raises LocalError."""
    id32 = check_id(id32)
    if not 0 <= value <= _VALUE_MOST:
        _refuse("the value of a peer is 0 to 100")
    values = node._sessions().swarm.manager.values
    values[id32] = value | (_PROTECTED if is_protected else 0)
    if not values[id32]:
        del values[id32]


def disconnect(node, id32, reason=0):
    """End the session with a peer, which hears the reason. False: there is none. A side that had dialed leaves the other in
    peace for 1 to 6 minutes, unless somebody waits for the session again or keeps it (docs/protocol.md 6.2)."""
    id32 = check_id(id32)
    if not 0 <= reason <= 255:
        _refuse("a reason is 0 to 255")
    services = node._sessions()
    swarm = services.swarm
    session = swarm.peers.get(id32)
    if session is None:
        return False
    swarm.at(ticks_ms())
    swarm.end(session, reason)
    services.links.turn()
    return True


def ban(node, id32, minutes=60):
    """Have no session with a node for up to 254 minutes; 0 lifts the ban. A restart forgets it, and 16 later ones do. Raises
    LocalError."""
    id32 = check_id(id32)
    if not 0 <= minutes <= _BAN_MOST:
        _refuse("a ban lasts 1 to 254 minutes; 0 lifts it")
    swarm = node._sessions().swarm
    manager = swarm.manager
    note = manager._note(id32, b"")
    manager._notes[note + _BAN] = minutes and minutes + 1  # the first one is not whole
    if minutes:
        for link in list(manager.links):
            if link.id == id32 and link.is_permanent:
                manager.remove(link)
        if swarm.book:
            swarm.book.bad(id32)
        disconnect(node, id32, _BANNED)
