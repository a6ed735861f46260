"""A leaf: one session, publish/subscribe, requests and two channels of your own, a table of 32 records. It tells nobody its
log and counters, which `logstats=1` brings back. No board of its own: where memory is scarce, take it in place of the
board's."""

from picoswarm.profile import Profile

PROFILE = Profile(
    k=4,
    buckets=8,
    records=32,
    spares=8,
    links=1,
    pex=0,
    logstats=0,
    streams=1,
    filters=4,
    seen=32,
    recent=4,
    deliveries=4,
    requests=4,
    repeats=32,
)
