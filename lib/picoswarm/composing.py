"""How a start puts sessions together: engines, reactors and sockets of one node. Loaded for that, and forgotten again."""

from asyncio import create_task

from .compat import const, ticks_ms
from .net import LONGEST
from .services import Services
from .swarm import Swarm
from .tcp import Links

_STREAMS = const(128)  # ids of streams begin here


def _refuse(text):
    from .errors import LocalError

    raise LocalError(text)


def compose(node, folder, profile, identity, membership, rng, engine, driver, reactors, name):
    """The Services of a node that has sessions, with the reactors that its profile asks for, and those of the user. Its
    socket is open. Raises OSError, LocalError."""
    make_swarm, make_links = node.parts[:2] if node.parts else (Swarm, Links)
    now = ticks_ms()
    for reactor in reactors:
        if isinstance(reactor, type):
            _refuse("a reactor is an object, and %r a class" % reactor)
        for channel in reactor.channels:
            if not 0 < channel.id < _STREAMS:
                _refuse("channel %r cannot be served: programs have 32 to 127" % channel.id)
    reactors = list(reactors)
    pubsub = rpc = logstats = book = pex = None
    sources = [("discovery", engine.counts)]
    if profile.pex:
        from .addrbook import AddressBook
        from .pex import PeerExchange
        from .saves import load_book

        book = AddressBook(profile, rng(8), rng, [identity.id])
        load_book(folder, book)
        pex = PeerExchange(book, rng, now)
        reactors.append(pex)
    if profile.pubsub:
        from .pubsub import PubSub

        make_pubsub = node.parts[3] if node.parts else PubSub
        pubsub = make_pubsub(identity.id, profile, rng, now)
        reactors.append(pubsub)
        sources.append(("pubsub", pubsub.counts))
    if profile.rpc:
        from .rpc import Rpc

        rpc = Rpc(profile, now)
        rpc.register("about")
        reactors.append(rpc)
        sources.append(("rpc", rpc.counts))
    if profile.logstats:
        from .logstats import LogStats

        logstats = LogStats(profile.log_bytes, sources, now)
        reactors.append(logstats)
    if profile.gateway and rpc:
        from .returning import Returning

        membership = Returning(membership, rpc, engine.table)
    links = make_links(driver.ip, engine.codec.tcp_port, profile.record)
    driver.pace = links.pace
    if len(links.out) >= LONGEST:  # one after the other, never both
        driver.buf = links.out
    swarm = make_swarm(profile, identity, membership, rng, now, reactors, engine, book, engine.codec.tcp_port, name)
    if pex:
        pex.score = swarm.manager.score
    try:
        links.open()
    except OSError as error:
        raise OSError(error.errno, "TCP port %d cannot be opened; another program may have it" % links.port)
    services = Services(node, swarm, links, pubsub, rpc, logstats)
    if not profile.listen:
        from .relay import keep

        create_task(keep(services))
    return services
