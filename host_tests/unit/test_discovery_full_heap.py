"""A discovery engine whose heap is full for a moment, wherever that moment falls: every lookup has an end, and the table is
what it would be."""

from hunger import starve_each
from link import PORT, Link
from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.discovery import LOOKUP_DONE

RUNTIMES = ("cpython",)

MODULES = ("discovery", "requests", "lookup", "table", "upkeep", "revalidation", "responder", "proofs", "datagram")
AGAIN_MS = 100  # what net.py waits after a turn that found no memory
MOST_MS = 10_000  # and at most between two turns
SECOND = 1000


class Starving(Link):
    """A link with one node that is hungry, and does what net.py does then."""

    starved = hunger = None

    def add(self, i):
        node = super().add(i)
        node.told = []
        return node

    def call(self, node, call, *arguments):
        """(what the call returned, or None; whether it lacked memory)."""
        try:
            return (self.hunger(call, *arguments) if node is self.starved else call(*arguments)), False
        except MemoryError:
            return None, True

    def _turn(self, node):
        """True: something happened."""
        moved = bool(self.call(node, node.work)[0])
        while event := self.call(node, node.next_event)[0]:
            node.told.append(event)
        while n := self.call(node, node.to_send, self._out)[0]:
            moved = True
            self.deliver(bytes(self._out[:n]), node.site.ip, node.to_ip, node.to_port)
        return moved

    def settle(self):
        for _ in range(3000):
            if not any([self._turn(node) for node in self.nodes]):
                return
        raise AssertionError("no end of it")

    def deliver(self, data, source, to, to_port=PORT, port=PORT):
        for node in self.nodes:
            if node.site.ip == to and node.port == to_port:
                self.call(node, node.receive, bytearray(data), len(data), source, port, self.now)

    def pass_ms(self, ms):
        end = ticks_add(self.now, ms)
        self.settle()
        while ticks_diff(end, self.now) > 0:
            due = end
            for node in self.nodes:
                at, lacked = self.call(node, node.next_time)
                for each in (ticks_add(self.now, AGAIN_MS if lacked else MOST_MS), self.now if at is None else at):
                    if ticks_diff(each, due) < 0 and not (lacked and each == self.now):
                        due = each
            self.now = due if ticks_diff(due, self.now) > 0 else ticks_add(self.now, 1)
            for node in self.nodes:
                self.call(node, node.tick, self.now)
            self.settle()


def _three_nodes_meet_and_look_for_each_other(hunger):
    link = Starving()
    a, b, c = [link.add(i) for i in range(3)]
    for node in (a, c):
        node.add_bootstrap(b.site.ip, PORT, b.own_id)
    link.starved, link.hunger = a, hunger
    link.pass_ms(20 * SECOND)
    begun = []
    for _ in range(2):
        lookup, lacked = link.call(a, a.find, c.own_id, link.now)
        if lookup:
            begun.append(lookup)
        c.find(a.own_id, link.now)
        link.pass_ms(5 * SECOND)
    link.starved = None
    return link, begun


def _ended(node, lookup):
    return [event for event in node.told if event[0] == LOOKUP_DONE and event[1] is lookup]


def _all_is_well(link, begun):
    a, b, c = link.nodes
    link.pass_ms(20 * SECOND)
    for lookup in begun:
        assert _ended(a, lookup), "a lookup without an end"
    link.pass_ms(400 * SECOND)
    assert set(a.nodes()) == {b.own_id, c.own_id} and set(b.nodes()) == {a.own_id, c.own_id}
    a.told.clear()
    lookup = a.find(c.own_id, link.now)
    link.pass_ms(5 * SECOND)
    assert len(_ended(a, lookup)) == 1 and lookup.is_found
    assert not a.requests.pool and not a._lookups


def test_wherever_memory_is_short_each_lookup_has_an_end_and_the_table_fills():
    starve_each(MODULES, _three_nodes_meet_and_look_for_each_other, _all_is_well, every=10)
