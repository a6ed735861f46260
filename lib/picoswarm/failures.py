"""What can become of a request or a stream between two nodes, as exceptions. Loaded when one is raised, or named.

    NoMethod       the peer serves no such method
    Refused        it does not serve it to this node
    HandlerFailed  its handler raised; the text is what it said
    Busy           it serves as many as it can
    TooLong        the answer would be longer than a message may be
    TimedOut       no answer came in time
    SessionLost    the session ended before the answer came
    Unreachable    there is no session with this node, and none could be had

Each is a RequestError of its own, with its `status`. They are made when somebody first names them: a class costs a board
three hundred bytes, and a program that catches RequestError needs one or two.
"""

from .rooterror import PicoswarmError

_STATUS = {
    "NoMethod": 1,
    "Refused": 2,
    "HandlerFailed": 3,
    "Busy": 4,
    "TooLong": 5,
    "TimedOut": 128,
    "SessionLost": 129,
    "Unreachable": 130,
}


class RequestError(PicoswarmError):
    """A request came to nothing. `status` is the number of docs/protocol.md 7.3; this node's own stand above 127."""

    status = 3


class StreamError(PicoswarmError):
    """A stream was given up. `reason` is a number of docs/protocol.md 4.7."""

    def __init__(self, text, reason):
        super().__init__(text)
        self.reason = reason


_made = {}


def __getattr__(name):
    status = _STATUS.get(name)
    if status is None:
        raise AttributeError(name)
    if name not in _made:
        _made[name] = type(name, (RequestError,), {"status": status})
    return _made[name]


def request_error(status, text):
    """The exception for the status of an answer; `text` is a text, or the bytes of one that a peer sent."""
    if not isinstance(text, str):
        try:
            text = str(text, "utf-8")
        except ValueError:
            text = repr(text)
    for name in _STATUS:
        if _STATUS[name] == status:
            return __getattr__(name)(text or name)  # who prints it sees what it was
    return RequestError(text)
