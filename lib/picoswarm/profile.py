"""Every memory number and limit of a node, as plain integers with the default board's values (protocol.md 3).

A board's own numbers are a `Profile(**changes)` in `boards/<BOARD>/profile.py`. `Node` reads it once, checks it, and hands
plain integers to the engines: nothing else knows a board's name.
"""

from .errors import LocalError

# picoswarm_tools.shrink puts here what the numbers are called in the small library of a board: " k=UINT8 links=INT16 ...".
_SHORT = "no shorter names"


def _own_name(number):
    """The name in this library of what programs know as `number`."""
    start = _SHORT.find(" %s=" % number)
    if start < 0:
        return number
    start += len(number) + 2
    return _SHORT[start : _SHORT.find(" ", start)]


class Profile:
    """The default board. Class attributes cost nothing per instance; `Profile(k=4)` overrides by name.

    Raises LocalError for a name that is not a number of the profile.
    """

    # Table (rows D2-D7)
    k = 8  # live entries per bucket
    buckets = 16
    near = 16  # a full bucket takes up to 2k where these are our nearest
    records = 128  # pool of live and candidate entries; at most buckets * k
    spares = 16  # records beside those, for replacements and pair keys; what no entry uses holds pair keys too
    replacements_per_bucket = 2
    subnet_per_bucket = 2  # entries of one /24 off-link
    subnet_per_table = 6
    ip_per_table = 2  # entries of one single address on-link, loopback exempt

    # Lookup (D19, D20)
    alpha = 2
    lookup_result = 8
    lookup_queries = 24
    lookup_candidates = 24  # nodes that a lookup keeps in mind
    lookups = 2  # at once, the own upkeep's included; each takes its memory while it runs
    neighbors_per_answer = 4

    # Budgets per second
    proven_per_second = 10
    stranger_per_second = 5
    pings_in_flight = 2
    pending = 4  # requests that await an answer
    own_keys = 8  # key agreements at once for own requests, then one each own_key_ms
    own_key_ms = 1000
    inbound_keys = 8  # key agreements at once that others ask for, then one each inbound_key_ms
    inbound_key_ms = 2000
    inbound_key_ip_ms = 10000  # off-link, one each for a single address
    deferred = 4  # datagrams that wait for a key agreement
    repeats = 64  # accepted datagrams that are known again

    # Times
    reply_ms = 1000
    first_contact_ms = 4000
    revalidate_s = 60
    refresh_min_s = 1200
    refresh_max_s = 2400
    bootstrap_ping_s = 60
    start_ms = 1000  # the first word comes after a random part of it
    proof_s = 43200
    token_s = 7200

    # Links: sessions with other nodes (rows B1, B24, T19). With fewer than the shares add up to, one inbound stays first.
    # As many inbound as outbound: a mesh in which each node takes one only falls into pieces.
    links = 4
    outbound = 2  # to nodes of our choice
    inbound = 2
    reserved = 1  # permanent peers that do not count among the nodes of our choice
    dials = 1  # at a time
    listen = 1  # 0: dials only, which saves a socket, and keeps a session with a gateway, through which others reach it

    # Sessions
    keys_ahead = 1  # 1: makes the key of the next handshake before it begins; 0 keeps less in memory
    record = 768  # bytes of plaintext in a sealed record, 64 to 4098; the lower of both sides' limits holds
    streams = 4  # open at once, those of both sides together
    stream_window = 256  # bytes of a stream that wait to be read, 256 or more
    stream_queue = 512  # bytes of a stream that wait to be sent, in at most 4 parts
    flush_ms = 20  # between records that nothing urgent asks for
    rate = 0  # bytes per second of one session, each way, a second's worth of them at once; 0: no limit
    keepalive_s = 30  # of silence before a PING
    silent_s = 20  # more before the session is closed
    pex = 1  # 1: tells peers whom it knows, and asks them
    pubsub = 1  # 1: publishes, subscribes and passes on
    rpc = 1  # 1: requests and answers
    logstats = 1  # 1: tells its log and its counters to whoever asks

    # Address book (row B11): records, in 8 and 4 buckets
    book_new = 32
    book_tried = 16

    datagram = 308  # bytes of the longest datagram that is read: four times the longest FIND_NODE of its own
    beacon = 1  # 1: sends a beacon while it knows no live node
    bootstrap = 0  # 1: answers untagged PINGs of members whose id it does not know
    gateway = 0  # 1: tells others that it is a gateway, and brings back who missed a revocation
    ipv6 = 0  # 1: the gateway's tables carry IPv6

    # Services (protocol.md 7)
    publish_max = 400  # bytes of a published message, its origin and signature counted
    publish_burst = 40  # messages of one peer at once, then one each publish_ms
    publish_ms = 50
    filters = 8  # subscriptions of a node, and of each peer, of 32 bytes each on average
    hops = 16  # links that a published message crosses; a ring of ids ends loops long before
    relay = 0  # 1: hears and passes on whatever its peers want
    seen = 64  # published messages that are known again
    recent = 8  # kept for 10 s, for peers that come or have no room
    deliveries = 8  # messages that the user did not fetch
    signatures = 6  # signed messages that wait to be checked
    requests = 8  # own ones that await their answer; and requests of others that are served at a time
    request_max = 400  # bytes of a request or an answer
    log_bytes = 1024

    def __init__(self, **changes):
        # Those under the names of this library come from another Profile's __dict__, and the others change them.
        for name in sorted(changes, key=lambda name: _own_name(name) != name):
            own = _own_name(name)
            if own.startswith("_") or not isinstance(getattr(Profile, own, None), int):
                raise LocalError("profile has no number named '%s'" % name)
            if not isinstance(changes[name], int):
                raise LocalError("'%s' of a profile is a whole number" % name)
            setattr(self, own, changes[name])

    def __getattr__(self, name):
        """A number by the name that it has for programs."""
        own = _own_name(name)
        if own == name:
            raise AttributeError(name)
        return getattr(self, own)

    def pool(self):
        """The memory of the table (table.py), by far the largest block of a node."""
        return bytearray((83 if self.ipv6 else 71) * (self.records + self.spares))

    @property
    def kept(self):
        """What engines keep of a profile."""
        return self

    def copy_to(self, whole, kept):
        """Give every number to an object whose class stays in memory when this one goes, and to its `kept` those that
        engines ask for while a node runs. Returns the former."""
        for name in dir(Profile):
            value = getattr(self, name, None)
            if isinstance(value, int):
                setattr(whole, name, value)
        if self.links:
            kept.record = self.record
            kept.streams = self.streams
            kept.stream_window = self.stream_window
            kept.stream_queue = self.stream_queue
            kept.flush_ms = self.flush_ms
            kept.rate = self.rate
            kept.keepalive_s = self.keepalive_s
            kept.silent_s = self.silent_s
            kept.publish_max = self.publish_max
            kept.publish_burst = self.publish_burst
            kept.publish_ms = self.publish_ms
            kept.filters = self.filters
            kept.hops = self.hops
            kept.relay = self.relay
            kept.deliveries = self.deliveries
            kept.signatures = self.signatures
            kept.request_max = self.request_max
        whole.kept = kept
        return whole

    def check(self):
        """Raise LocalError, naming the field, where the numbers contradict each other. Returns self."""
        if not 1 <= self.records <= self.buckets * self.k:
            raise LocalError("records must lie in 1..buckets*k = %d" % (self.buckets * self.k))
        if not 1 <= self.buckets <= 16:
            raise LocalError("buckets must lie in 1..16")
        if not 1 <= self.lookup_result <= min(16, self.lookup_candidates):
            raise LocalError("lookup_result must lie in 1..16 and within lookup_candidates")
        if not 1 <= self.near <= 16:
            raise LocalError("near must lie in 1..16")
        if not 1 <= self.neighbors_per_answer <= 16:
            raise LocalError("neighbors_per_answer must lie in 1..16")
        if not 0 <= self.links <= 0xFFFF or self.outbound < 1 or self.dials < 1:
            raise LocalError("links must lie in 0..65535, outbound and dials be 1 at least")
        if self.book_new < 8 or self.book_tried < 4 or self.book_new % 8 or self.book_tried % 4:
            raise LocalError("book_new must be a multiple of 8, book_tried one of 4")
        least = min(512, max(308, 35 + 53 * self.neighbors_per_answer))
        if not least <= self.datagram <= 512:
            raise LocalError("datagram must lie in %d..512 bytes" % least)
        if not 64 <= self.record <= 65519:
            raise LocalError("record must lie in 64..65519")
        if not 1 <= self.recent <= 24 or not 1 <= self.hops <= 16:
            raise LocalError("recent must lie in 1..24, hops in 1..16")
        if not 32 * self.filters < self.publish_max:
            raise LocalError("publish_max must exceed 32 * filters")
        if self.rate and not 4096 <= self.rate <= 1000000:
            raise LocalError("rate must be 0, or lie in 4096..1000000")  # with less, PINGs of gateways wait too long
        if self.refresh_min_s > self.refresh_max_s:
            raise LocalError("refresh_min_s must not exceed refresh_max_s")
        # With these a node starts, and then fails at what others send, or never gets anywhere.
        if min(self.alpha, self.lookups, self.pings_in_flight, self.pending, self.own_keys) < 1:
            raise LocalError("alpha, lookups, pings_in_flight, pending and own_keys must be 1 at least")
        if min(self.proven_per_second, self.stranger_per_second, self.inbound_keys, self.deferred) < 1:
            raise LocalError("proven_per_second, stranger_per_second, inbound_keys and deferred must be 1 at least")
        if min(self.seen, self.deliveries, self.requests) < 1 or self.log_bytes < 0:
            raise LocalError("seen, deliveries and requests must be 1 at least, log_bytes 0")
        if not 0 <= self.streams <= 0xFF or not 256 <= self.stream_window <= 0xFFFF or self.stream_queue < 256:
            raise LocalError("streams must lie in 0..255, stream_window in 256..65535, stream_queue be 256 at least")
        if max(self.publish_max, self.request_max) > 30000:
            raise LocalError("publish_max and request_max must be 30000 at most")
        return self
