"""Every memory number and limit of a node, as plain integers with the default board's values (protocol.md 3).

A board's own numbers are a `Profile(**changes)` in `boards/<BOARD>/profile.py`. `Node` reads it once, checks it, and hands
plain integers to the engines: nothing else knows a board's name.
"""

from .errors import LocalError


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

    datagram = 308  # bytes of the longest datagram that is read: four times the longest FIND_NODE of its own
    beacon = 1  # 1: sends a beacon while it knows no live node
    bootstrap = 0  # 1: answers untagged PINGs of members whose id it does not know
    ipv6 = 0  # 1: the gateway's tables carry IPv6

    def __init__(self, **changes):
        for name, value in changes.items():
            if name.startswith("_") or not isinstance(getattr(Profile, name, None), int):
                raise LocalError("profile has no number named '%s'" % name)
            setattr(self, name, value)

    def pool(self):
        """The memory of the table (table.py), by far the largest block of a node."""
        return bytearray((83 if self.ipv6 else 71) * (self.records + self.spares))

    def copy_to(self, kept):
        """Give every number to an object whose class stays in memory when this one goes. Returns it."""
        for name in dir(Profile):
            value = getattr(self, name, None)
            if isinstance(value, int):
                setattr(kept, name, value)
        return kept

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
        least = min(512, max(308, 35 + 53 * self.neighbors_per_answer))
        if not least <= self.datagram <= 512:
            raise LocalError("datagram must lie in %d..512 bytes" % least)
        if self.refresh_min_s > self.refresh_max_s:
            raise LocalError("refresh_min_s must not exceed refresh_max_s")
        return self
