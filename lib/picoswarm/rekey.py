"""Changes of the network key while a node runs (docs/protocol.md 7.10): taken from any peer, verified, kept and passed on.
Loaded for each change, and forgotten with it; so is what it loads, one part before the next.

`take` serves the method "keys", `offer` tells a peer that came under a lower key, `change_keys` is for the operator's node.
"""

import sys
from asyncio import create_task

from .changes import FORGED, HELD, MALFORMED, PREFIX, PUBLIC, REVOKE, UNSAVED, Change
from .compat import collect, const, sleep_ms, ticks_diff, ticks_ms, unload
from .errors import LocalError, Malformed

_METHOD = "keys"
_OPEN = const(4)  # a session's stage
_GATEWAY = const(2)  # of the capabilities
_EPOCH = const(9)  # see reasons.py
_MALFORMED = const(11)
_REVOKED = const(22)
_TURN_MS = const(50)
_ANSWER_MS = const(15_000)  # a board checks a signature in two seconds, and may have another one to check before
_AGAIN_MS = const(2_000)
_TRIES = const(3)
_SPREAD_MS = const(20_000)  # sessions under a revoked key end then, whoever has not answered

_NOTE = const(20)  # a note on a node, see connmgr.py
_REST = const(17)
_BUSY_MIN = const(6)


def _keys(services):
    return services._node._discovery.membership


def _store(folder):
    """(the folder's Store, NETWORK, OPERATOR). What this loads is forgotten when the caller is done."""
    before = list(sys.modules)
    from .slots import NETWORK, OPERATOR
    from .store import Store

    unload(before)
    return Store(folder) if isinstance(folder, str) else folder, NETWORK, OPERATOR


def _read(folder):
    """The payload of the kind OPERATOR. Raises LocalError where it cannot be read."""
    store, _, kind = _store(folder)
    payload = store.read(kind)
    if payload is None:
        raise LocalError("the operator key cannot be read: %s" % "; ".join(store.faults(kind)))
    return payload


def _is_saved(services, change):
    """Whether the folder holds the change now. The keys go first: a cut of power between the two lets it be taken once
    more."""
    keys = _keys(services)
    keys = (keys.highest, keys.lower or keys.retired)
    collect()
    try:
        store, network, operator = _store(services._node._folder)
        store.write(network, b"".join([bytes((key.epoch,)) + key.key for key in keys if key]))
        store.write(operator, store.read(operator)[:PUBLIC] + change.text)
    except Exception:  # memory, or the StoreError of whichever copy of errors.py the store has loaded
        return False
    return True


def _derive(change):
    """The network key of a change, in an object whose class stays."""
    before = list(sys.modules)
    from .identity import Kept
    from .membership import NetworkKey

    unload(before)
    key = NetworkKey(change.key, change.epoch)
    kept = Kept()
    kept.key = key.key
    kept.epoch = key.epoch
    kept.mac = key.mac
    kept.stream = key.stream
    kept.label = key.label
    kept.psk = key.psk
    return kept


async def _is_signed(services, change):
    """Whether the operator of this mesh signed it. In slices."""
    public = _read(services._node._folder)[:PUBLIC]
    collect()
    before = list(sys.modules)
    from .ed25519 import Verify

    unload(before)
    await sleep_ms(0)
    job = Verify(public, change.signature, change.signed_text())
    while job.step():
        await sleep_ms(0)
    return job.result


def _shut_out(services, revoked):
    """No session with these nodes, and nobody hears of them from here."""
    swarm = services.swarm
    swarm.at(ticks_ms())
    for session in list(swarm.sessions):
        if session.id and session.id[:PREFIX] in revoked:
            swarm.end(session, _REVOKED)
    services.links.turn()
    engine = services._node._discovery
    for at in range(0, len(revoked), PREFIX):
        record = engine.table.find(revoked, at, 8)
        if record >= 0 and engine.table.is_entry(record):
            engine._remove(record)


def _apply(services, change):
    """Send under the new key from now on, and take no more under those that go. Their sessions stay until `_spread` has told
    them. Returns a code."""
    node = services._node
    keys = _keys(services)
    before = keys.highest
    keys.highest = _derive(change)
    keys.lower = keys.retired = None
    if change.kind != REVOKE:
        keys.lower = before
    elif node._discovery.codec.capabilities & _GATEWAY:
        keys.retired = before
    keys.since_s = node._discovery.uptime
    keys.serial = change.serial
    keys.revoked = change.revoked
    _shut_out(services, keys.revoked)
    if _is_saved(services, change):
        return HELD
    node._unsaved += 1
    return UNSAVED


async def _tell(services, session, change, told):
    """Hand the change to one peer. `told` gets its id and the code of its answer; -1: it takes no changes, -2: none came."""
    code = -2
    for again in range(_TRIES):
        if again:
            await sleep_ms(_AGAIN_MS)
        if session.stage != _OPEN:
            break
        try:
            code = (await services.call(session, _METHOD, change.text, _ANSWER_MS) or b"\xff")[0]
            break
        except Exception as error:
            if type(error).__name__ == "NoMethod":
                code = -1
                break
    if code == HELD or code == UNSAVED:
        session.epoch = change.epoch
    told[session.id] = code


async def _spread(services, change, told, code):
    """Pass a change on to every peer that does not have it; then sessions under keys that are gone end. `told`: codes by id,
    of those who have answered; it grows. `code`: whether it was saved; otherwise that is tried again."""
    swarm = services.swarm
    keys = _keys(services)
    asked = list(told)
    began = ticks_ms()
    while ticks_diff(ticks_ms(), began) < _SPREAD_MS and keys.serial == change.serial and not swarm.is_closing:
        for session in list(swarm.peers.values()):
            if session.stage == _OPEN and session.epoch != change.epoch and session.id not in asked:
                asked.append(session.id)
                create_task(_tell(services, session, change, told))
        if len(told) >= len(asked):
            break
        await sleep_ms(_TURN_MS)
    if keys.serial != change.serial:
        return  # the next change tells everybody anew
    swarm.at(ticks_ms())
    for session in list(swarm.peers.values()):
        if session.id in asked and keys.find(session.epoch) is None:
            swarm.end(session, _EPOCH)
    services.links.turn()
    await sleep_ms(_AGAIN_MS)
    for _ in range(_TRIES):
        if code == HELD or keys.serial != change.serial:
            break
        if _is_saved(services, change):
            code = HELD
            services._node._unsaved -= 1
        await sleep_ms(_AGAIN_MS)
    # Who closed a session because of the change is dialed again as soon as one who did not.
    notes = swarm.manager._notes
    for at in range(_REST, len(notes), _NOTE):
        if notes[at] <= _BUSY_MIN:
            notes[at] = 0


async def _take(services, change, told):
    """Returns a code; what is taken is passed on, by a task of its own."""
    keys = _keys(services)
    while services.is_changing:  # one signature at a time
        await sleep_ms(_TURN_MS)
    code = change.judge(keys)
    if code < 0:
        services.is_changing = True
        try:
            code = FORGED
            if await _is_signed(services, change):
                code = change.judge(keys)
                if code < 0:
                    code = _apply(services, change)
                    create_task(_spread(services, change, told, code))
        finally:
            services.is_changing = False
    return code


async def take(services, id32, payload):
    """Serve the method "keys": a change that a peer tells of, or nothing, which asks for the state."""
    keys = _keys(services)
    session = services.swarm.peers.get(id32)
    code = HELD
    if payload:
        try:
            change = Change(payload)
            code = await _take(services, change, {id32: HELD})
        except Malformed:
            code = MALFORMED
        if session and (code == HELD or code == UNSAVED):
            session.epoch = change.epoch
        elif session and code == FORGED:  # nobody passes on what he has not verified
            services.swarm.at(ticks_ms())
            services.swarm.offend(session, _MALFORMED)
    return bytes((code,)) + keys.serial.to_bytes(4, "big") + bytes((keys.highest.epoch,))


async def offer(services, session):
    """Tell the peer of a session under a lower key of the last change; if that key is no longer held for more, the session
    then ends."""
    keys = _keys(services)
    is_last = keys.find(session.epoch) is None
    try:
        change = Change(_read(services._node._folder)[PUBLIC:])
        if change.epoch == keys.highest.epoch:
            await _tell(services, session, change, {})
    except Exception:
        pass  # no file that can be read: somebody else has one
    if is_last and session.stage == _OPEN:
        services.swarm.at(ticks_ms())
        services.swarm.end(session, _EPOCH)
        services.links.turn()


async def change_keys(node, text):
    """Take a change that the operator made on this node, which passes it on. Returns (code, codes by id): the latter of the
    peers that have answered so far; it grows. Raises Malformed, LocalError where the node is not running."""
    told = {}
    return await _take(node._sessions(), Change(text), told), told
