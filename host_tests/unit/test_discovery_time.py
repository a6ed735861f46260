"""Liveness, timers, wraps and jumps of the clock, epochs (rows D13, D22, D27, D32)."""

from link import PORT, Link, Named, Puppet, keys, small
from picoswarm.compat import ticks_add
from picoswarm.discovery import LOOKUP_DONE, REMOVED
from picoswarm.membership import Membership

RUNTIMES = ("cpython", "board")


def pair_of_nodes(now=0x3FFFFF00, **changes):
    link = Link(now)
    a = link.add(0, small(**changes))
    b = link.add(1, small(**changes))
    b.add_seed(a.own_id, a.site.ip, PORT)
    link.pass_ms(3000)
    assert a.nodes() == [b.own_id] and b.nodes() == [a.own_id]
    return link, a, b


def silence(link, node):
    link.is_lost = lambda source, to, data: source == node.site.ip or to == node.site.ip


def test_a_silent_node_is_forgotten_within_table_entries_plus_2_minutes():
    link, a, b = pair_of_nodes()
    silence(link, b)
    link.pass_ms(180000)
    assert a.table.entries == 0
    event = a.next_event()
    kinds = []
    while event:
        kinds.append(event)
        event = a.next_event()
    assert (REMOVED, b.own_id) in kinds


def test_a_node_that_missed_once_is_asked_again_with_its_whole_id_and_stays():
    link = Link()
    a = link.add(0, small(revalidate_s=5))
    b = link.add(1, small(revalidate_s=600))
    b.add_seed(a.own_id, a.site.ip, PORT)
    link.pass_ms(145000)  # between two of the young table's lookups
    record = a.table.find(b.own_id, 0, 32)
    silence(link, b)
    link.sent = []
    while a.table.is_live(record):
        link.pass_ms(100)
    link.is_lost = lambda source, to, data: False
    link.pass_ms(3000)
    assert a.table.is_live(record)
    sizes = [len(d) for s, to, d in link.sent if s == a.site.ip]
    assert 50 in sizes and 72 in sizes


def test_live_nodes_stay_live_for_hours_across_the_wrap_of_the_ticks():
    link, a, b = pair_of_nodes(0x3FFFFFFF - 600000)
    for _ in range(24):
        link.pass_ms(300000)
        link.sent = []
        assert a.nodes() == [b.own_id] and b.nodes() == [a.own_id]
    assert 7200 <= a.uptime <= 7210
    assert a.stats()["misses"] == 0


def test_an_idle_pair_sends_little():
    link, a, b = pair_of_nodes()
    link.pass_ms(3600000)  # past the young table's lookups
    before = a.stats()
    link.pass_ms(600000)
    after = a.stats()
    assert after["sent"] - before["sent"] <= 40
    assert after["bytes_sent"] - before["bytes_sent"] <= 5120


def test_a_clock_that_jumps_ahead_blames_nobody_D13():
    link, a, b = pair_of_nodes(revalidate_s=5)
    silence(link, b)
    while not [1 for r in a.requests.pool if r.state]:
        link.pass_ms(50)
    before = a.stats()["misses"]
    link.now = ticks_add(link.now, 3600000)
    link.is_lost = lambda source, to, data: False
    a.tick(link.now)
    b.tick(link.now)
    assert a.stats()["misses"] == before and a.stats()["clock_jumps"] == 1
    link.pass_ms(3000)
    assert a.nodes() == [b.own_id]


def test_a_clock_that_runs_backwards_stops_nothing_for_long():
    link, a, b = pair_of_nodes(revalidate_s=5)
    uptime = a.uptime
    link.now = ticks_add(link.now, -5000)
    a.tick(link.now)
    b.tick(link.now)
    assert a.uptime == uptime
    link.pass_ms(30000)
    assert a.nodes() == [b.own_id] and a.uptime >= uptime + 29


def test_five_unanswered_lookups_do_not_empty_a_small_table_D27():
    link, a, b = pair_of_nodes()
    record = a.table.find(b.own_id, 0, 32)
    for _ in range(6):
        assert not a.table.find_failed(record)
    assert a.table.entries == 1


def test_pings_of_lookups_that_stay_unanswered_are_no_find_failures_D27():
    """On a bad link a live node left the table after five of them, over minutes in which it answered others."""
    link = Link()
    nodes = [link.add(i) for i in (0, 2, 3)]  # the last two in one k-bucket of the first
    a, c, _ = nodes
    for node in nodes[1:]:
        node.add_seed(a.own_id, a.site.ip, PORT)
    link.pass_ms(200000)
    assert len(a.nodes()) == 2
    for _ in range(6):
        silence(link, c)
        lookup = a.find(c.own_id, link.now)
        while lookup.is_running:
            link.pass_ms(500)
            while event := a.next_event():
                assert event[0] != REMOVED
        assert not lookup.is_found
        link.is_lost = lambda source, to, data: False
        link.pass_ms(10000)
        assert c.own_id in a.nodes()


def test_a_node_that_rebooted_is_taken_up_again():
    link, a, b = pair_of_nodes(revalidate_s=5)
    link.nodes.remove(b)
    b = link.add(1, small(revalidate_s=5))
    b.add_seed(a.own_id, a.site.ip, PORT)
    link.pass_ms(10000)
    assert a.nodes() == [b.own_id] and b.nodes() == [a.own_id]


def test_two_nodes_with_one_epoch_in_common_talk_under_it():
    link = Link()
    old, new = keys(1, 0), keys(2, 1)
    a = link.add(0, membership=Membership(old))
    b = link.add(1, membership=Membership(old, new))
    b.add_seed(a.own_id, a.site.ip, PORT)
    link.pass_ms(12000)
    assert a.nodes() == [b.own_id] and b.nodes() == [a.own_id]
    epochs = [d[0] & 15 for s, to, d in link.sent if s == b.site.ip]
    assert epochs[:2] == [2, 2] and epochs[2] == 1  # after two unanswered pings the lower once


def test_an_answer_goes_under_the_epoch_of_its_request():
    link = Link()
    a = link.add(0, membership=Membership(keys(1, 0), keys(2, 1)))
    link.pass_ms(100)
    puppet = Puppet(link, 1, membership=Membership(keys(1, 0)))
    puppet.befriend(a, puppet.pair(a))
    assert link.sent[-1][2][0] == 0x11


def test_one_dealing_per_id_at_a_time_D39b():
    link = Link()
    a = link.add(0)
    other = Named(1).id
    link.pass_ms(10)
    assert a.requests.begin(3, other, 0, b"\x0a\x00\x00\x02", PORT) is not None
    assert a.requests.begin(3, other, 0, b"\x0a\x00\x00\x02", PORT) is None


def test_who_waits_for_a_request_to_end_wakes_nobody_meanwhile():
    link = Link()
    a = link.add(0, small(pending=2, pings_in_flight=1))
    for i in (1, 2, 3):  # nobody is there
        assert a.add_seed(Named(i).id, bytes((10, 0, 0, i + 1)), PORT)
    link.pass_ms(50)
    asked = list(a.requests.pool)
    assert len(asked) == 2  # one is on the way, one may not go meanwhile, and a hint finds no room
    ticks = []
    tick = a.tick

    def count(now):
        ticks.append(now)
        tick(now)

    a.tick = count
    link.pass_ms(1000)
    assert asked == a.requests.pool and len(ticks) <= 2
    while asked[0].state and asked[1].state:
        link.pass_ms(50)
    link.pass_ms(250)
    assert a.requests.find(Named(3).id, 0) is not None


def full_heap(*arguments):
    raise MemoryError


def lookups_done(node):
    """How many of a user's lookups the node has said to be over."""
    done = 0
    event = node.next_event()
    while event:
        done += event[0] == LOOKUP_DONE
        event = node.next_event()
    return done


def test_a_turn_has_one_step_of_a_lookup_at_most():
    link = Link()
    a = link.add(0)
    b = link.add(1)
    steps = []
    begin, sparse, look_up = a.requests.begin, a.upkeep._sparse, a.look_up
    work, receive = a.work, a.receive

    def asks(why, *arguments):
        steps.append("asks")
        return begin(why, *arguments)

    def searches():
        steps.append("searches")
        return sparse()

    def looks_up(*arguments):
        steps.append("looks up")
        return look_up(*arguments)

    def works():
        before = len(steps)
        more = work()
        assert len(steps) <= before + 1, steps[before:]
        return more

    def receives(*arguments):
        before = len(steps)
        receive(*arguments)
        assert len(steps) == before, steps[before:]

    a.requests.begin, a.upkeep._sparse, a.look_up = asks, searches, looks_up
    a.work, a.receive = works, receives
    a.add_seed(b.own_id, b.site.ip, PORT)
    link.pass_ms(30000)
    assert a.nodes() == [b.own_id]
    assert "searches" in steps and steps.count("looks up") >= 4 and steps.count("asks") >= 4


def test_a_lookup_goes_on_after_the_heap_was_full_while_it_asked():
    link, a, b = pair_of_nodes()
    begin = a.requests.begin
    a.requests.begin = full_heap
    try:
        a.find(b.own_id, link.now)
        while a.work():
            pass
        raise AssertionError("nobody was asked")
    except MemoryError:
        pass
    assert a.has_steps  # so that the next turn goes on
    a.requests.begin = begin
    link.pass_ms(10000)
    assert lookups_done(a) == 1


def test_a_lookup_begins_again_after_the_heap_was_full_while_it_began():
    link, a, b = pair_of_nodes()
    ip = a.table.ip
    lookup = a.find(b.own_id, link.now)
    a.table.ip = full_heap
    try:
        a.work()
        raise AssertionError("nothing was read from the table")
    except MemoryError:
        pass
    a.table.ip = ip
    link.pass_ms(5000)
    assert lookups_done(a) == 1 and lookup.is_found


def test_a_lookup_is_over_once_there_is_memory_to_say_so():
    link, a, b = pair_of_nodes()
    lookups_done(a)  # what happened before
    say = a.event
    a.find(b.own_id, link.now)
    a.event = full_heap
    try:
        link.pass_ms(1000)
        raise AssertionError("nothing was to be said")
    except MemoryError:
        pass
    a.event = say
    link.pass_ms(10000)
    assert lookups_done(a) == 1
