"""How a node begins a libp2p connection: from a socket to what p2pstreams.py wants. Loaded for a set-up, and forgotten."""

from .compat import const, sleep_ms, ticks_add, ticks_diff, ticks_ms, writable
from .p2psetup import P2pSetup
from .sockets import read_into, write_from

_LOOK_MS = const(10)


def _fail(text):
    from .failures import StreamError

    raise StreamError("no connection: " + text, 3)


async def set_up(host, sock, is_outbound, dialed, ms):
    """The P2pSetup of a socket (outbound: one on its way), done. Raises StreamError, OSError."""
    deadline = ticks_add(ticks_ms(), ms)
    setup = P2pSetup(host.keys, host.rng, is_outbound, dialed, host.verify, host.set_up_buffer)
    if is_outbound:
        await writable(sock)
    while setup.stage < 2:
        has_work = setup.work()
        while setup.out:
            n = write_from(sock, setup.out) or 0
            setup.out = setup.out[n:]
            if setup.out:
                await sleep_ms(_LOOK_MS)
        if has_work:
            await sleep_ms(0)
        elif setup.stage < 2:
            n = read_into(sock, memoryview(setup.buf)[setup.fill :]) if setup.room() else 0
            if n == 0:
                _fail("the peer closed it")
            elif n:
                setup.receive(n)
            elif ticks_diff(deadline, ticks_ms()) <= 0:
                _fail("no answer in time")
            else:
                await sleep_ms(_LOOK_MS)
    if setup.stage != 2:
        _fail(setup.reason)
    return setup
