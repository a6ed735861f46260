"""The node table against an oracle of twenty lines, under random operations."""

from __future__ import annotations

from array import array

from forms import At
from hypothesis import given, settings
from hypothesis import strategies as st
from picoswarm.profile import Profile
from picoswarm.table import Table

OWN = bytes(32)
K, SPARES = 2, 1


class Oracle:
    """Buckets as lists of [id, credit, missing], and beside them the replacements as lists of ids."""

    def __init__(self):
        self.entries: dict[int, list] = {}
        self.spares: dict[int, list] = {}

    def bucket(self, id32):
        return max(0, int.from_bytes(id32, "big").bit_length() - 241)

    def admit(self, id32):
        b = self.bucket(id32)
        entries, spares = self.entries.setdefault(b, []), self.spares.setdefault(b, [])
        nearest = self.closest(OWN[:8], K)
        is_near = len(nearest) < K or id32[:8] < nearest[-1][:8]
        if len(entries) < (2 * K if is_near else K):
            entries.append([id32, 27, False])
        else:
            self.spares[b] = [id32] if len(spares) >= SPARES else [*spares, id32]

    def remove(self, id32):
        b = self.bucket(id32)
        self.entries[b] = [e for e in self.entries[b] if e[0] != id32]
        if self.spares[b]:
            self.entries[b].append([self.spares[b].pop(), 0, False])

    def closest(self, target, n):
        live = [e[0] for es in self.entries.values() for e in es if e[1] and not e[2]]
        return sorted(live, key=lambda i: int.from_bytes(i[:8], "big") ^ int.from_bytes(target, "big"))[:n]

    def find(self, id32):
        return next((e for es in self.entries.values() for e in es if e[0] == id32), None)


ids = st.integers(1, 40).map(lambda i: ((1 << 250 + i % 6) | i << 190).to_bytes(32, "big"))
operations = st.lists(
    st.tuples(st.sampled_from(["admit", "miss", "credit", "closest"]), ids, st.integers(0, 255)), max_size=60
)


@settings(max_examples=150, deadline=None)
@given(operations)
def test_the_table_does_what_the_oracle_does(steps):
    table = Table(
        OWN,
        Profile(k=K, near=K, records=32, spares=16, replacements_per_bucket=SPARES, ip_per_table=99),
        lambda n: bytes(n),
    )
    oracle = Oracle()
    for uptime, (what, id32, byte) in enumerate(steps):
        record = table.find(id32, 0, 32)
        entry = oracle.find(id32)
        assert (record >= 0 and table.is_entry(record)) == (entry is not None)
        if what == "admit" and record < 0:
            record = table.keep(id32, 0, bytes(16), 0, uptime)
            table.admit(record, At(bytes((10, 0, 0, byte)), 4000), uptime)
            table.credit(record, uptime)
            oracle.admit(id32)
        elif what == "miss" and entry:
            entry[1], entry[2] = entry[1] // 3, True
            if not table.miss(record):
                table.remove(record)
                oracle.remove(id32)
        elif what == "credit" and entry:
            table.credit(record, uptime)
            entry[1], entry[2] = entry[1] + 1 if entry[1] else 27, False
        found = array("i", bytes(32))
        target = bytes((byte, byte)) + id32[2:8]
        n = table.closest(target, found, 8)
        assert [bytes(table.pool[r : r + 32]) for r in found[:n]] == oracle.closest(target, 8)
        assert table.entries == sum(len(e) for e in oracle.entries.values())
