"""A leaf: one session, four channels (publish/subscribe, requests, log, counters), a table of 32 records. No board of its
own: where memory is scarce, take it in place of the board's, by `BOARD:leaf`."""

from picoswarm.profile import Profile

PROFILE = Profile(
    k=4,
    buckets=8,
    records=32,
    spares=8,
    links=1,
    keys_ahead=0,
    pex=0,
    streams=1,
    filters=4,
    seen=32,
    recent=4,
    deliveries=4,
    requests=4,
    repeats=32,
    log_bytes=256,
)
