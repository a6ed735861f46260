"""Reading the log and the counters of another node (docs/protocol.md 7.4, 7.5). Loaded when somebody does."""

from asyncio import Event, create_task

from .compat import const, sleep_ms, ticks_add, ticks_diff, ticks_ms
from .failures import NoMethod, SessionLost, TimedOut

_LOG = const(5)
_STATS = const(6)
_OPEN = const(4)  # a session's stage
_AGAIN_MS = const(500)
_LONGEST_MS = const(0x1FFFFFFF)  # see services.py
_TURN_MS = const(20)
_TEXT = const(5)  # where the text of an answer begins


def _position(message):
    return int.from_bytes(message[1:_TEXT], "big") & 0x3FFFFFFF


def _is_stale(channel, question, answer):
    """Whether a message answers an earlier question. Of the log: it begins before the position that was asked for, and
    reaches it."""
    if channel != _LOG:
        return (answer[0] ^ question[0]) & 1 or answer[1] != question[1]
    before = ticks_diff(_position(question), _position(answer))
    return 0 < before <= len(answer) - _TEXT


def _text(answer):
    """(text, how many bytes of the answer it is): a letter of several bytes may have lost its beginning or its end."""
    at = _TEXT
    end = len(answer)
    while at < end and answer[at] & 0xC0 == 0x80:
        at += 1
    for cut in range(4):
        try:
            return str(answer[at : max(at, end - cut)], "utf-8"), max(at, end - cut)
        except ValueError:
            pass
    return repr(answer[at:]), end  # it is no text


class _Answers:
    """What came for the questions of this node, by peer and channel."""

    def __init__(self, services):
        if services.logstats is None:
            raise NoMethod("logstats is 0 in this node's own profile")
        self._services = services
        self._waiting = {}  # [Event, answer, question]
        services.logstats.on_answer = self._take

    def _take(self, peer, channel, view):
        waiting = self._waiting.get((peer, channel))
        # What was asked twice may be answered twice.
        if waiting and waiting[1] is None and not _is_stale(channel, waiting[2], view):
            waiting[1] = bytes(view)
            waiting[0].set()

    async def ask(self, session, channel, question, ms):
        """The answer to one question, asked again now and then: what finds no room at the other side is not sent."""
        if channel not in session.hello.channels:
            raise NoMethod("the peer does not tell")
        end = ticks_add(ticks_ms(), min(ms, _LONGEST_MS))
        while (session, channel) in self._waiting:  # a peer has one question at a time
            if ticks_diff(end, ticks_ms()) <= 0:
                raise TimedOut("no answer")
            await sleep_ms(_TURN_MS)
        waiting = self._waiting[session, channel] = [Event(), None, question]
        try:
            while waiting[1] is None:
                if session.stage != _OPEN:
                    raise SessionLost("the session ended")
                if ticks_diff(end, ticks_ms()) <= 0:
                    raise TimedOut("no answer")
                session.try_send(channel, question)
                self._services.touch(session)
                timer = create_task(_ring(waiting[0]))
                await waiting[0].wait()
                timer.cancel()
                waiting[0].clear()
        finally:
            del self._waiting[session, channel]
        return waiting[1]


async def _ring(event):
    await sleep_ms(_AGAIN_MS)
    event.set()


def _answers(services):
    if services.answers is None:
        services.answers = _Answers(services)
    return services.answers


def bind(node, name):
    """`read_log` or `read_stats` of a node. Raises AttributeError for any other name."""
    call = {"read_log": read_log, "read_stats": read_stats}.get(name)
    if call is None:
        raise AttributeError(name)
    return lambda *arguments, **named: call(node._sessions(), *arguments, **named)


async def read_log(services, id32, position=0, timeout_ms=10000):
    """(text, the position behind it) of the peer's log from a position on. Raises a RequestError."""
    session = await services.session(id32, timeout_ms)
    answer = await _answers(services).ask(session, _LOG, b"\0" + position.to_bytes(4, "big"), timeout_ms)
    text, end = _text(answer)
    return text, ticks_add(_position(answer), end - _TEXT)


async def read_stats(services, id32, timeout_ms=10000):
    """The counters of a peer, by name. Raises a RequestError."""
    session = await services.session(id32, timeout_ms)
    values = {}
    section = 0
    while section < 256:
        names = (await _answers(services).ask(session, _STATS, bytes((1, section)), timeout_ms))[2:]
        if not names:
            break
        counts = (await _answers(services).ask(session, _STATS, bytes((0, section)), timeout_ms))[2:]
        at = 0
        for name in str(names, "utf-8").split():
            value = shift = 0
            while at < len(counts):
                value |= (counts[at] & 127) << shift
                shift += 7
                at += 1
                if counts[at - 1] < 128:
                    break
            values["%s_%d" % (name, section) if name in values else name] = value  # sections share some names
        section += 1
    return values
