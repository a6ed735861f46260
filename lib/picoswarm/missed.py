"""Peers whose session was cut off: asked for until there is a session again (docs/protocol.md 3.7, 6.2). Pure.

When a mesh falls into parts, its nodes take other links, and in time forget who is on the other side. What those sessions
are the last trace of is kept here: two peers, as anchors (upkeep.py) that are asked a limited number of times. One that
answers gets a session as a visit, which takes a place at both ends: with all links in use the parts would stay apart.
"""

from .compat import const, ticks_add
from .upkeep import Anchor

_PEERS = const(2)
_ASKED = const(720)  # times: a day
_FIRST_MS = const(60_000)


def look_for(swarm, upkeep):
    """Ask from now on for the peer of the link `swarm.cut_off`; let one that answered, `upkeep.found`, have a session."""
    link = swarm.cut_off
    found = upkeep.found
    swarm.cut_off = upkeep.found = None
    if link and link.port:  # it listens, and is not behind a gateway
        miss(upkeep, link.id, link.ip, link.port, swarm.now)
    if found and swarm.find(found.id, 0):
        found.left = 1  # it is asked no more
    elif found:
        swarm.manager.want(found.id, found.ip, found.port, swarm.now, 0)


def miss(upkeep, id32, ip, port, now):
    """Ask for a peer, and for one at random of those that were missed before. It listens for datagrams where it listens for
    sessions, or the table knows better."""
    missed = [anchor for anchor in upkeep.anchors if anchor.left]
    gone = [anchor for anchor in missed if anchor.id == id32]
    if not gone and len(missed) >= _PEERS:
        gone = missed
    if gone:
        upkeep.anchors.remove(gone[upkeep.random_ms(len(gone))])
    anchor = Anchor(id32, ip, port, ticks_add(now, _FIRST_MS))
    anchor.left = _ASKED
    anchor.is_missing = False  # in the table, as yet
    upkeep.anchors.append(anchor)
