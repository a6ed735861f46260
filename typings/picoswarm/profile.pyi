from typing import Self

class Profile:
    k: int
    buckets: int
    near: int
    records: int
    replacements_per_bucket: int
    spares: int
    subnet_per_bucket: int
    subnet_per_table: int
    ip_per_table: int
    alpha: int
    lookup_result: int
    lookup_queries: int
    lookup_candidates: int
    lookups: int
    neighbors_per_answer: int
    proven_per_second: int
    stranger_per_second: int
    pings_in_flight: int
    pending: int
    own_keys: int
    own_key_ms: int
    inbound_keys: int
    inbound_key_ms: int
    inbound_key_ip_ms: int
    deferred: int
    repeats: int
    reply_ms: int
    first_contact_ms: int
    revalidate_s: int
    refresh_min_s: int
    refresh_max_s: int
    bootstrap_ping_s: int
    start_ms: int
    proof_s: int
    token_s: int
    datagram: int
    beacon: int
    bootstrap: int
    ipv6: int
    def __init__(self, **changes: int) -> None: ...
    def check(self) -> Self: ...
