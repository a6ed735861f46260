"""Topics of the mesh and of a broker: what matches what. A filter has `+` for a level and `#` for all that follow."""

from __future__ import annotations

RESERVED = "$"  # a topic whose first byte this is goes neither into the mesh nor out of it
STATUS = "status"  # first level, under the prefix, of what the gateway itself says


def is_topic(text: str) -> bool:
    """Whether a broker takes it as a topic to publish to."""
    return bool(text) and not set(text) & {"+", "#", "\0"} and len(text.encode()) <= 65_535


def is_filter(text: str) -> bool:
    """Whether it is a filter: `+` a whole level, `#` the whole last one."""
    *levels, last = text.split("/")
    middle = all(level == "+" or not set(level) & {"+", "#"} for level in levels)
    return bool(text) and "\0" not in text and middle and (last in ("+", "#") or not set(last) & {"+", "#"})


def matches(pattern: str, topic: str) -> bool:
    """Whether a filter matches a topic, as a broker sees it: wildcards leave out topics that begin with `$`."""
    if topic[:1] == RESERVED and pattern[:1] in ("+", "#"):
        return False
    wanted, levels = pattern.split("/"), topic.split("/")
    for i, level in enumerate(wanted):
        if level == "#":
            return True
        if i == len(levels):
            return False
        if level not in ("+", levels[i]):
            return False
    return len(wanted) == len(levels)


def overlap(one: str, other: str) -> bool:
    """Whether some topic matches both filters."""
    a, b = one.split("/"), other.split("/")
    for i in range(max(len(a), len(b))):
        x = a[i] if i < len(a) else None
        y = b[i] if i < len(b) else None
        if x == "#" or y == "#":
            return True
        if x is None or y is None or ("+" not in (x, y) and x != y):
            return False
    return True


def under(prefix: str, topic: str) -> str:
    """A topic, or filter, below a prefix that may be empty."""
    return f"{prefix}/{topic}" if prefix else topic


def below(prefix: str, topic: str) -> str | None:
    """What `under` had made the topic of, or None."""
    if not prefix:
        return topic
    return topic[len(prefix) + 1 :] if topic.startswith(prefix + "/") else None
