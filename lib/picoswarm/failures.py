"""What can become of a request or a stream between two nodes, as exceptions. Loaded when one is raised, or named."""

from .errors import PicoswarmError


class RequestError(PicoswarmError):
    """A request came to nothing. `status` is the number of protocol.md 7.3; its own errors stand above 127."""

    status = 3


class NoMethod(RequestError):
    """The peer serves no such method."""

    status = 1


class Refused(RequestError):
    """The peer does not serve it to this node."""

    status = 2


class HandlerFailed(RequestError):
    """The peer's handler raised; the text is what it said."""


class Busy(RequestError):
    """The peer serves as many as it can."""

    status = 4


class TooLong(RequestError):
    """The answer would be longer than a message may be."""

    status = 5


class TimedOut(RequestError):
    """No answer came in time."""

    status = 128


class SessionLost(RequestError):
    """The session ended before the answer came."""

    status = 129


class Unreachable(RequestError):
    """There is no session with this node, and none could be had."""

    status = 130


class StreamError(PicoswarmError):
    """A stream was given up. `reason` is a number of protocol.md, reasons."""

    def __init__(self, text, reason):
        super().__init__(text)
        self.reason = reason


def request_error(status, text):
    """The exception for the status of an answer."""
    for kind in (NoMethod, Refused, Busy, TooLong, TimedOut, SessionLost, Unreachable):
        if kind.status == status:
            return kind(text)
    return HandlerFailed(text)
