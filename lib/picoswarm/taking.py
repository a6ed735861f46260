"""Taking an update (docs/protocol.md 7.11): from what a peer offers to an application that waits for a restart. Loaded for
each peer that has one, and let go; `updater` is the Updater of update.py, whose business it is."""

import sys

from .compat import collect, const, sleep_ms, unload
from .errors import Malformed

_METHOD = "update"
_BUSY = const(4)  # status of an answer
_ENOSPC = const(28)
_ANSWER_MS = const(10_000)
_PAUSE_MS = const(40)  # between two pieces: at most 6 KB in a second


async def consider(updater, session, text):
    """A peer offers an update by its header. Begin with it, if it is one for this board, signed by our update key, and newer
    than all before. True: the peer has what is fetched now."""
    before = list(sys.modules)
    from .manifest import Header

    unload(before)
    try:
        header = Header(text)
    except Malformed:
        updater.offend(session)
        return False
    fetch = updater.fetch
    if fetch is None or header.version > fetch.header.version:
        if header.id == updater.refused or header.version <= updater.floor or not header.is_for(updater.boards):
            return False
        if not await _is_signed(updater, header):
            updater.fail("version %d is not signed by our update key" % header.version)
            updater.offend(session)
            return False
        fetch = _begin(updater, header)
    return fetch is not None and fetch.header.id == header.id


async def resume(updater):
    """Go on with what a reset, or the power, has cut off."""
    before = list(sys.modules)
    from .fetching import Fetch

    unload(before)
    try:
        header = Fetch.noted(updater.files(False))
    except (Malformed, OSError):
        return
    if header.version > updater.floor and header.is_for(updater.boards) and await _is_signed(updater, header):
        _begin(updater, header)


async def _is_signed(updater, header):
    """In slices; never two at a time, since peers are asked one after another."""
    collect()
    before = list(sys.modules)
    from .ed25519 import Verify

    unload(before)
    await sleep_ms(0)
    job = Verify(updater.key, header.signature, header.signed_text())
    while job.step():
        await sleep_ms(0)
    return job.result


def _begin(updater, header):
    """A signed update for this board: have its folder ready. Returns the Fetch, or None."""
    before = list(sys.modules)
    from .appfiles import free_bytes
    from .fetching import Fetch

    unload(before)
    updater.leave()
    fetch = Fetch(header, updater.files(False))
    try:
        fetch.begin()
        if free_bytes(updater.root) < fetch.missing():
            raise OSError(_ENOSPC, "")
    except Malformed as error:
        return _refuse(updater, fetch, error)
    except OSError as error:
        return _fail(updater, fetch, error)
    updater.fetch = fetch
    return fetch


def _refuse(updater, fetch, error):
    """It is signed, and cannot be used."""
    updater.refused = fetch.header.id
    updater.leave()
    updater.fail("version %d: %s" % (fetch.header.version, error))
    fetch.files.clear()


def _fail(updater, fetch, error):
    """The flash is full, or does not work. Later once more."""
    updater.leave()
    updater.rest()
    is_full = error.errno == _ENOSPC
    missing = fetch.missing()
    updater.fail("no room: version %d needs %d bytes" % (fetch.header.version, missing) if is_full else repr(error))
    fetch.files.clear()


async def pull(updater, session):
    """Fetch from a peer, piece by piece. True: it may be asked for more."""
    fetch = updater.fetch
    fetch.restart()
    while not fetch.is_complete:
        try:
            answer = await updater.services().call(session, _METHOD, fetch.question(), _ANSWER_MS)
        except Exception as error:
            return getattr(error, "status", 0) == _BUSY
        if fetch is not updater.fetch or not answer:
            return False
        try:
            is_right = fetch.take(answer)
        except Malformed as error:
            return _refuse(updater, fetch, error)
        except OSError as error:
            return _fail(updater, fetch, error)
        if not is_right:
            updater.fail("a wrong piece of version %d" % fetch.header.version)
            updater.offend(session)
            return False
        await sleep_ms(_PAUSE_MS)
    try:
        await _finish(updater, fetch)
    except OSError as error:
        _fail(updater, fetch, error)
    return True


async def _finish(updater, fetch):
    """Everything came. Read it back, and make it what the next start takes."""
    damaged = []
    for _ in fetch.check(damaged):
        await sleep_ms(0)
    if damaged:  # the flash gave something else back: these files are fetched again
        updater.fail("damaged on flash: " + damaged[0])
        updater.rest()
        return
    store, app, state = updater.read_state()
    version = fetch.header.version
    updater.leave()
    if version > state.floor and not state.trial:
        state.switch(version)
        store.write(app, state.encode())
        updater.read_state()
        updater.trouble = ""
        updater.troubles = 0
        updater.ready.set()
