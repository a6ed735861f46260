"""The gateway's numbers: a computer's memory, and more boards behind it than any board knows."""

from __future__ import annotations

from picoswarm.profile import Profile

# Whom every newcomer asks first sends each to others than the one before: with a board's eight nodes a bucket, the first
# boards of a mesh would have all later ones at their door.
_TABLE = {
    "k": 64,
    "records": 1024,
    "spares": 416,  # boards that were here lately come back without a key agreement
}


def with_table(changes: dict[str, int]) -> dict[str, int]:
    """`changes` with the numbers of a gateway's table where they name none: no more records than its buckets hold."""
    numbers = {**_TABLE, **changes}
    if "records" not in changes:
        numbers["records"] = min(numbers["records"], numbers["k"] * numbers.get("buckets", Profile.buckets))
    return numbers


def gateway_profile(**changes: int) -> Profile:
    """The large profile, with single numbers replaced by name. It answers members that do not know its id yet, and its
    table carries IPv6."""
    numbers = {
        "replacements_per_bucket": 10,
        "subnet_per_bucket": 2,
        "subnet_per_table": 10,
        "ip_per_table": 4,
        "alpha": 3,
        "lookup_result": 16,
        "proven_per_second": 1000,
        "stranger_per_second": 100,
        "pings_in_flight": 16,
        "pending": 64,
        "lookups": 8,
        "own_keys": 64,  # a key agreement costs a computer 50 us and a board half a second
        "own_key_ms": 20,
        "inbound_keys": 64,
        "inbound_key_ms": 20,
        "deferred": 64,
        "repeats": 1024,
        "links": 6200,  # each is a socket, and about 6 KB
        "outbound": 16,
        "inbound": 6160,
        "dials": 8,
        "book_new": 1024,
        "book_tried": 256,
        "streams": 32,
        "stream_window": 4096,
        "stream_queue": 8192,
        "keepalive_s": 5,  # docs/protocol.md 5.1
        "silent_s": 5,
        "publish_burst": 400,
        "publish_ms": 5,
        "filters": 12,
        "seen": 4096,
        "recent": 24,
        "deliveries": 1024,
        "signatures": 64,
        "requests": 256,
        "relay": 1,
        "bootstrap": 1,
        "gateway": 1,
        "ipv6": 1,
    }
    return Profile(**with_table({**numbers, **changes})).check()
