"""Subscribing (docs/protocol.md 7.2). Loaded when the user does, and let go: what stays is pubsub.py. Pure."""

from .errors import LocalError
from .pubsub import kept


def is_filter(text):
    """Whether bytes are a filter: 1-64, "+" a whole level, "#" the whole last one."""
    levels = text.split(b"/")
    for level in levels[:-1]:
        if b"#" in level or (b"+" in level and level != b"+"):
            return False
    last = levels[-1]
    return 0 < len(text) <= 64 and (last in (b"+", b"#") or not (b"+" in last or b"#" in last))


def _without(filters, text):
    """A list of filters but for one."""
    rest = b""
    at = 0
    while at < len(filters):
        end = at + 1 + (filters[at] & 0x7F)
        if filters[at + 1 : end] != text:
            rest += filters[at:end]
        at = end
    return rest


def subscribe(pubsub, topic_filter, now, signed=False):
    """Hear the topics that match (text, "+" one level, "#" all that follow); `signed`: only messages whose signature is
    good, whatever other filters match them. Raises LocalError for a malformed filter, or one more than the profile has."""
    text = topic_filter.encode()
    if not is_filter(text):
        raise LocalError("malformed filter")
    filters = _without(pubsub.filters, text) + bytes((len(text) | signed << 7,)) + text
    if kept(filters, pubsub.profile.filters) < len(filters):
        raise LocalError("too many filters")
    if signed and pubsub.checks is None:
        from .signing import Checks

        pubsub.checks = Checks(pubsub)
    pubsub.set_filters(filters, now)


def unsubscribe(pubsub, topic_filter, now):
    """Take a filter back."""
    pubsub.set_filters(_without(pubsub.filters, topic_filter.encode()), now)
