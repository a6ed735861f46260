"""Whom the connection manager lets in, keeps and lets go (rows B5, B8, B24-B27, L11, L14, L17, T19, T23, T25)."""

from linking import (
    ASK_OLD,
    BANNED,
    BUSY,
    BYE,
    DISCONNECTED,
    DOWN,
    DUPLICATE,
    ESTABLISHED,
    GATED,
    KEEP,
    LOST,
    MINUTE,
    NO_ANSWER,
    OWN,
    PENDING,
    SECOND,
    SELF,
    SLOW,
    TRIMMED,
    VISIT,
    Owner,
    id_of,
    lan,
    lan_nodes,
    world,
)
from picoswarm.connmgr import Link, duplicate, offence
from picoswarm.profile import Profile

RUNTIMES = ("cpython", "micropython", "board")

PROTECTED = 128
SMALLER = bytes(32)  # than OWN
LARGER = b"\xff" + bytes(31)


def test_one_inbound_link_and_the_next_is_told_that_we_are_busy():
    owner = Owner()
    assert owner.enter(id_of(1), lan(1))[1] == KEEP
    link, verdict = owner.enter(id_of(2), lan(2))
    assert verdict == BUSY and link not in owner.manager.links
    assert not owner.manager.may_enter(lan(3))


def test_one_address_beyond_the_lan_has_half_of_the_inbound_places():
    """L19, T27: a house behind one address gets in, and takes not all there is."""
    owner = Owner(inbound=4, links=8)
    ip = world(1)
    assert [owner.enter(id_of(i), ip)[1] for i in range(1, 6)] == [KEEP, KEEP, BUSY, BUSY, BUSY]
    assert owner.enter(id_of(6), world(2))[1] == KEEP and owner.enter(id_of(1), ip)[1] == KEEP  # it rebooted
    owner.close(owner.manager.rival, DUPLICATE)
    owner.manager.add(id_of(7), ip, 5000, owner.now)
    assert owner.enter(id_of(7), ip)[1] == KEEP  # a permanent peer
    six = b"\x26" + bytes(14)
    owner = Owner(inbound=4, links=8)
    assert [owner.enter(id_of(i), six + bytes((i,)))[1] for i in range(1, 4)] == [KEEP, KEEP, BUSY]
    owner = Owner(inbound=4, links=8)
    assert [owner.enter(id_of(i), lan(1))[1] for i in range(1, 5)] == [KEEP] * 4


def test_visits_and_ways_down_from_one_address_beyond_the_lan_leave_the_places_of_the_own_choice():
    """L19: what a link is for, only its dialer says."""
    for purpose in (VISIT, DOWN):
        owner = Owner(inbound=2, links=4)
        for i in range(1, 9):
            link = Link(id_of(i), world(1), 5000, False)
            link.purpose = purpose
            owner.manager.established(link, link.id, owner.now)
        assert len(owner.links()) == 2


def test_a_wanted_peer_that_comes_by_itself_has_a_place():
    """L19: however many are there from its address, and though all links are taken."""
    for numbers in ({"inbound": 2, "links": 4}, {"inbound": 1, "outbound": 1, "links": 2}):
        owner = Owner(**numbers)
        for i in range(1, 5):
            owner.enter(id_of(i), world(1 + (i > 2)))
        owner.candidates = [(id_of(7), lan(7), 5000)]
        owner.connect()
        owner.wait(MINUTE)
        wish = owner.manager.want(id_of(9), world(1), 5001, owner.now)
        assert owner.enter(id_of(8), world(1))[1] == BUSY
        assert owner.enter(id_of(9), world(1))[1] == KEEP
        owner.manager.cancel(wish)
        assert wish not in owner.manager.links


def test_who_is_wanted_no_more_or_only_a_candidate_has_no_better_place_than_others():
    owner = Owner([(id_of(9), lan(9), 5000)], dials=2)
    assert owner.enter(id_of(1), lan(1))[1] == KEEP
    wish = owner.manager.want(id_of(8), lan(8), 5000, owner.now)
    assert owner.dial(within=SECOND) is wish
    owner.manager.cancel(wish)
    assert owner.dial().id == id_of(9)
    for i in (8, 9):
        assert owner.enter(id_of(i), lan(i))[1] == BUSY


def test_inbound_links_never_take_what_outbound_ones_need():
    """B24: and the other way round."""
    owner = Owner(lan_nodes(1, 9), inbound=3, outbound=2, reserved=0, links=4)
    assert [owner.enter(id_of(i), lan(i))[1] for i in (20, 21, 22, 23)] == [KEEP, KEEP, KEEP, BUSY]
    owner.connect()
    assert owner.dial() is None


def test_few_links_are_shared_so_that_a_mesh_can_form():
    for links, outbound, inbound in ((1, 1, 0), (2, 1, 1), (3, 1, 2), (4, 2, 2)):
        owner = Owner(lan_nodes(1, 9), links=links, inbound=Profile.inbound)
        for _ in range(outbound):
            owner.connect()
        assert owner.dial() is None
        verdicts = [owner.enter(id_of(i), lan(i))[1] for i in (20, 21, 22)]
        assert verdicts == [KEEP] * inbound + [BUSY] * (3 - inbound)


def test_the_reserved_place_is_for_a_permanent_peer():
    owner = Owner(lan_nodes(1, 9))
    owner.connect()
    owner.connect()
    assert owner.enter(id_of(20), lan(20))[1] == KEEP
    permanent = owner.manager.add(id_of(30), lan(30), 5000, owner.now)
    assert owner.dial() is permanent
    assert owner.manager.established(permanent, permanent.id, owner.now) == KEEP
    assert owner.manager.rival is None and len(owner.links()) == 4


def test_a_permanent_peer_that_comes_by_itself_takes_the_reserved_place_and_is_not_dialed():
    owner = Owner()
    wish = owner.manager.add(id_of(30), lan(30), 5000, owner.now)
    assert owner.enter(id_of(20), lan(20))[1] == KEEP
    assert owner.manager.may_enter(lan(30))
    link, verdict = owner.enter(id_of(30), lan(31), port=6000)
    assert verdict == KEEP and link.is_permanent
    assert owner.dial() is None
    for seconds in (1, 10, 30):
        assert owner.dial(within=seconds * SECOND) is None
        owner.close(link, LOST)
        assert owner.waited(owner.dial) <= 3 * SECOND
        owner.fail(wish, DUPLICATE)
        link, verdict = owner.enter(id_of(30), lan(31), port=6000)
    assert (wish.ip, wish.port) == (lan(31), 6000)  # T23: where it says it listens now


def test_a_peer_that_is_connected_can_be_made_permanent():
    owner = Owner()
    link, _ = owner.enter(id_of(1), lan(1))
    wish = owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    assert link.is_permanent and wish is not link
    assert owner.dial() is None
    owner.close(link, LOST)
    assert owner.dial() is wish


def test_more_permanent_peers_than_reserved_places_use_those_of_candidates():
    owner = Owner(lan_nodes(1, 9))
    for i in (30, 31, 32):
        owner.manager.add(id_of(i), lan(i), 5000, owner.now)
    for _ in range(3):
        assert owner.connect().is_permanent
    assert owner.dial() is None


def test_a_leaf_has_one_link_and_gives_it_to_its_permanent_peer():
    owner = Owner(lan_nodes(1, 9), links=1)
    first = owner.connect()
    assert owner.dial() is None and not owner.manager.may_enter(lan(50))
    permanent = owner.manager.add(id_of(30), lan(30), 5000, owner.now)
    owner.wait(MINUTE)
    assert owner.dial() is permanent
    assert owner.manager.established(permanent, permanent.id, owner.now) == KEEP
    assert (owner.manager.rival, owner.manager.rival_reason) == (first, TRIMMED)


# Duplicate links (protocol 6)


def test_the_rule_of_duplicate_links_is_the_same_at_both_ends():
    for ids in ((SMALLER, LARGER), (LARGER, SMALLER)):
        for old_is_outbound in (False, True):
            for new_is_outbound in (False, True):
                for age in (0, 9999, 10000, 86400000):
                    here = duplicate(ids[0], ids[1], old_is_outbound, age, new_is_outbound)
                    there = duplicate(ids[1], ids[0], not old_is_outbound, age, not new_is_outbound)
                    assert here == there
                    if old_is_outbound == new_is_outbound:
                        assert here == KEEP  # it rebooted
                    elif age >= 10000:
                        assert here == ASK_OLD
                    else:
                        assert here == (KEEP if new_is_outbound == (ids[0] < ids[1]) else DUPLICATE)


def test_when_both_dial_at_once_one_link_is_left_and_it_is_the_same_one():
    """L11, B42: whichever session is proven first at either end."""
    for mine_first in (False, True):
        for theirs_first in (False, True):
            kept = []
            for own, peer, own_first in ((OWN, LARGER, mine_first), (LARGER, OWN, theirs_first)):
                owner = Owner([(peer, lan(1), 5000)], own=own)
                link = owner.dial()
                if own_first:
                    assert owner.manager.established(link, peer, owner.now) == KEEP
                    _, verdict = owner.enter(peer, lan(1))
                else:
                    assert owner.enter(peer, lan(1))[1] == KEEP
                    verdict = owner.manager.established(link, peer, owner.now)
                if verdict == KEEP:
                    assert owner.manager.rival_reason == DUPLICATE
                    owner.close(owner.manager.rival, DUPLICATE)
                else:
                    assert verdict == DUPLICATE
                (left,) = owner.manager.links
                assert left.state == ESTABLISHED
                kept.append(left.is_outbound == (own == OWN))
            assert kept[0] == kept[1]  # seen from OWN, the same connection


def test_a_peer_that_rebooted_replaces_its_old_link():
    owner = Owner()
    old, _ = owner.enter(id_of(1), lan(1))
    owner.wait(MINUTE)
    assert owner.manager.may_enter(lan(1))  # although there is no place for anybody else
    new, verdict = owner.enter(id_of(1), lan(1))
    assert verdict == KEEP and owner.manager.rival is old
    owner.close(old, DUPLICATE)
    assert owner.manager.links == [new]


def test_an_old_link_from_the_other_side_is_asked_first():
    owner = Owner(lan_nodes(1, 1))
    old = owner.connect()
    owner.wait(MINUTE)
    new, verdict = owner.enter(id_of(1), lan(1))
    assert verdict == ASK_OLD and owner.manager.rival is old and new not in owner.manager.links
    owner.fail(new, DUPLICATE)  # it answered
    assert owner.manager.links == [old]
    new, verdict = owner.enter(id_of(1), lan(1))
    owner.close(old, LOST)  # it did not
    assert verdict == ASK_OLD and owner.manager.established(new, id_of(1), owner.now) == KEEP
    assert owner.links() == [new]


RELAYED = b"\0\1\2\3"  # through a gateway: an address that is none, and no port


def _relayed(owner, id32):
    """A link that was dialed through a gateway and is established."""
    link = Link(id32, RELAYED, 0, True)
    link.state = PENDING
    owner.manager.links.append(link)
    assert owner.manager.established(link, id32, owner.now) == KEEP
    return link


def test_a_connection_takes_the_place_of_a_link_through_a_gateway_whoever_dialed():
    for is_outbound in (False, True):
        for age in (0, MINUTE):
            owner = Owner()
            old = _relayed(owner, SMALLER[:31] + b"\1")
            owner.wait(age)
            new = Link(old.id, lan(1), 5000, is_outbound)
            assert owner.manager.established(new, old.id, owner.now) == KEEP and owner.manager.rival is old


def test_a_link_through_a_gateway_takes_the_place_of_a_connection_only_if_that_one_is_dead():
    for age in (0, MINUTE):
        owner = Owner()
        old = owner.enter(id_of(1), lan(1))[0]
        owner.wait(age)
        new, verdict = owner.enter(id_of(1), RELAYED, 0)
        assert verdict == ASK_OLD and owner.manager.rival is old and old.port == 5000


def test_a_permanent_peer_is_dialed_although_it_is_reached_through_a_gateway():
    owner = Owner()
    relayed = _relayed(owner, id_of(1))
    wish = owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    assert wish is not relayed and owner.dial() is wish
    owner.fail(wish)
    owner.close(relayed, LOST)  # it is not dialed where nobody can be
    assert owner.manager.links == [wish] and owner.dial() is wish and wish.ip == lan(1)


def test_a_link_of_last_week_is_no_young_one():
    owner = Owner(lan_nodes(1, 1))
    owner.connect()
    owner.wait(12 * 24 * 60 * MINUTE + 10 * MINUTE)  # ticks are where they were
    assert owner.enter(id_of(1), lan(1))[1] == ASK_OLD


def test_own_id_is_refused():
    owner = Owner()
    assert owner.enter(OWN, lan(1))[1] == SELF


# Gates and bans


def test_the_gate_is_asked_at_the_door_and_once_the_id_is_proven():
    """L14."""
    owner = Owner()
    asked = []

    def allow(stage, id32, ip):
        asked.append((stage, id32))
        return ip != lan(7) and id32 != id_of(2)

    owner.manager.allow = allow
    assert not owner.manager.may_accept(lan(7)) and owner.manager.may_accept(lan(2))
    assert owner.enter(id_of(2), lan(2))[1] == GATED
    assert owner.enter(id_of(3), lan(3))[1] == KEEP
    assert asked == [("accept", None), ("accept", None), ("secured", id_of(2)), ("secured", id_of(3))]


def test_small_offences_are_forgotten_and_many_make_a_ban():
    """B26: one byte, halved each minute."""
    owner = Owner()
    for _ in range(20):
        assert not owner.manager.score(id_of(1), lan(1), 49)
        owner.wait(MINUTE)
    assert not owner.manager.score(id_of(2), lan(2), 60)
    assert owner.manager.score(id_of(2), lan(2), 60)


def test_a_ban_lasts_an_hour_and_survives_reconnects():
    """A25, B25: by id, and on the LAN by nothing else."""
    owner = Owner(lan_nodes(1, 1))
    link = owner.connect()
    assert not owner.manager.score(link.id, link.ip, 60)
    owner.close(link)
    link, _ = owner.enter(id_of(1), lan(1))
    assert owner.manager.score(link.id, link.ip, 60)
    owner.close(link, BANNED)
    assert owner.enter(id_of(1), lan(2))[1] == BANNED
    assert owner.manager.want(id_of(1), lan(1), 5000, owner.now).reason == BANNED
    assert owner.manager.may_accept(lan(1))
    owner.wait(59 * MINUTE)
    assert owner.enter(id_of(1), lan(1))[1] == BANNED
    owner.wait(2 * MINUTE)
    assert owner.enter(id_of(1), lan(1))[1] == KEEP


def test_beyond_the_lan_the_address_is_banned_too():
    owner = Owner()
    owner.manager.score(id_of(1), world(1), 100)
    assert not owner.manager.may_accept(world(1)) and owner.manager.may_accept(world(2))
    assert owner.manager.want(id_of(2), world(1), 5000, owner.now).reason == BANNED


def test_a_permanent_peer_is_not_banned_for_what_another_one_at_its_address_did():
    owner = Owner(links=4)
    owner.manager.score(id_of(1), world(1), 100)
    assert not owner.manager.may_accept(world(1))
    permanent = owner.manager.add(id_of(2), world(1), 5000, owner.now)
    unknown = owner.manager.add(None, world(1), 5001, owner.now)  # by its address alone
    for link, id32 in ((permanent, id_of(2)), (unknown, id_of(3))):
        assert owner.manager.may_accept(world(1)) and owner.manager.want(link.id, world(1), link.port, owner.now) is link
        assert owner.dial() is link and owner.manager.established(link, id32, owner.now) == KEEP
        owner.close(link, LOST)
        assert owner.enter(id32, world(1))[1] == KEEP
    assert owner.manager.may_accept(world(1)) and owner.enter(id_of(4), world(1))[1] == BANNED
    assert owner.enter(id_of(1), world(2))[1] == BANNED


def test_who_is_banned_is_so_too_where_a_permanent_peer_is_known_by_its_address_alone():
    owner = Owner()
    owner.manager.score(id_of(1), world(9), 100)
    link = owner.manager.add(None, world(1), 5000, owner.now)
    assert owner.dial() is link and owner.manager.established(link, id_of(1), owner.now) == BANNED


def test_of_a_banned_address_only_that_of_a_permanent_peer_may_knock():
    owner = Owner()
    six = bytes((0x26, 0, 0, 0, 0, 0, 0, 7)) + bytes(8)
    owner.manager.score(id_of(1), world(1), 100)
    owner.manager.score(id_of(2), six, 100)
    owner.manager.add(id_of(3), six[:15] + b"\1", 5000, owner.now)
    owner.manager.want(id_of(4), world(2), 5000, owner.now)
    assert [owner.manager.may_accept(ip) for ip in (world(1), six, six[:15] + b"\1")] == [False, False, True]


def test_a_banned_peer_is_not_freed_by_the_small_offences_of_many_others():
    """A25: the notes are few, and a ban is the last to give way."""
    owner = Owner()
    owner.manager.score(id_of(1), lan(1), 100)
    for i in range(2, 200):
        owner.manager.score(id_of(i), lan(2), 99)
    assert owner.manager.is_banned(id_of(1), lan(1))


def test_a_permanent_peer_is_never_banned():
    owner = Owner()
    owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    assert not owner.manager.score(id_of(1), lan(1), 250)
    assert not owner.manager.is_banned(id_of(1), lan(1))


def test_what_only_an_offender_does_costs_points_and_bad_luck_does_not():
    """B27."""
    assert offence(13) == 100 and offence(15) == offence(11) == 50 and offence(21) == 20
    assert [offence(reason) for reason in (-1, 0, 1, 6, 10, 16, 17, 19, 20, 22, 200)] == [0] * 11


# Trimming (L17)


def full_house():
    """An owner with two outbound links and an inbound one, all older than a minute."""
    owner = Owner(lan_nodes(1, 9), reserved=0, links=3)
    links = [owner.connect(), owner.connect(), owner.enter(id_of(20), lan(20))[0]]
    owner.wait(2 * MINUTE)
    return owner, links


def test_the_link_of_least_value_goes_first_then_an_inbound_one_then_the_youngest():
    owner, (first, second, inbound) = full_house()
    assert owner.manager.worst(owner.now, False) is inbound
    owner.manager.values[inbound.id] = 1
    assert owner.manager.worst(owner.now, False) is second
    owner.manager.values[second.id] = 2
    assert owner.manager.worst(owner.now, False) is first


def test_a_protected_link_is_never_trimmed_and_a_permanent_one_only_for_want_of_memory():
    owner, (first, second, inbound) = full_house()
    owner.manager.values = {second.id: PROTECTED, inbound.id: PROTECTED + 3}
    first.is_permanent = 1
    assert owner.manager.worst(owner.now, False) is None
    assert owner.manager.worst(owner.now, True) is first
    owner.manager.values[first.id] = PROTECTED
    assert owner.manager.worst(owner.now, True) is None


def test_a_link_has_a_minute_of_grace():
    owner = Owner(lan_nodes(1, 9))
    link = owner.connect()
    owner.wait(59 * SECOND)
    assert owner.manager.worst(owner.now, False) is None and owner.manager.worst(owner.now, True) is link
    owner.wait(SECOND)
    assert owner.manager.worst(owner.now, False) is link


def test_a_wanted_peer_takes_the_place_of_the_least_valued_link():
    owner, (_, _, inbound) = full_house()
    link = owner.manager.want(id_of(40), lan(40), 5000, owner.now)
    assert owner.dial() is link
    assert owner.manager.established(link, link.id, owner.now) == KEEP
    assert (owner.manager.rival, owner.manager.rival_reason) == (inbound, TRIMMED)
    owner.close(inbound, TRIMMED)
    assert inbound.state == DISCONNECTED and len(owner.manager.links) == 3


def test_a_wanted_peer_waits_while_nobody_makes_room():
    owner, links = full_house()
    for link in links:
        owner.manager.values[link.id] = PROTECTED
    link = owner.manager.want(id_of(40), lan(40), 5000, owner.now)
    assert link in owner.manager.links and owner.dial(within=20 * SECOND) is None
    del owner.manager.values[links[1].id]
    assert owner.dial(within=SECOND) is link
    owner.manager.cancel(link)


# Visits: links that somebody waits for


def visit(owner, i):
    """A visitor is proven. Returns its link, the verdict, and the link that makes room for it."""
    assert owner.manager.may_enter(lan(i), True, owner.now)
    link = Link(id_of(i), lan(i), 5000, False)
    link.purpose = VISIT
    verdict = owner.manager.established(link, link.id, owner.now)
    rival = owner.manager.rival
    if rival:
        owner.close(rival, TRIMMED)
    return link, verdict, rival


def test_a_full_node_lets_a_visitor_in_and_nobody_else():
    owner, (_, _, inbound) = full_house()
    assert not owner.manager.may_enter(lan(40)) and owner.manager.may_enter(lan(40), True, owner.now)
    link, verdict, rival = visit(owner, 40)
    assert verdict == KEEP and rival is inbound and link in owner.manager.links


def test_a_young_mesh_makes_room_for_a_visit_after_ten_seconds():
    owner = Owner(lan_nodes(1, 9), links=2, reserved=0)
    links = [owner.connect(), owner.enter(id_of(20), lan(20))[0]]
    owner.wait(10 * SECOND - 1)
    assert not owner.manager.may_enter(lan(40), True, owner.now)
    owner.wait(1)
    assert visit(owner, 40)[2] is links[1] and owner.manager.worst(owner.now, False) is None


def test_the_next_visit_takes_the_place_of_the_last_one_once_that_had_its_two_seconds():
    owner, (first, second, _) = full_house()
    last = visit(owner, 40)[0]
    assert not owner.manager.may_enter(lan(41), True, owner.now)
    for i in range(41, 60):
        owner.wait(2 * SECOND)
        link, verdict, rival = visit(owner, i)
        assert verdict == KEEP and rival is last
        last = link
    assert [link.state for link in (first, second)] == [ESTABLISHED, ESTABLISHED]


def test_no_visit_ends_a_link_that_is_used_and_only_one_other_link_a_minute_makes_room():
    owner, (first, second, _) = full_house()
    last = visit(owner, 40)[0]
    owner.manager.in_use = lambda link: link in (last, second)
    owner.wait(59 * SECOND)
    assert not owner.manager.may_enter(lan(41), True, owner.now)
    owner.wait(SECOND)
    assert visit(owner, 41)[2] is first
    assert owner.manager.worst(owner.now, True) is not None  # want of memory asks nobody


def test_a_node_with_places_keeps_visits_as_it_keeps_other_links():
    owner = Owner(links=4)
    for i in (40, 41, 42, 43):
        assert visit(owner, i)[2] is None
    owner.wait(10 * SECOND)
    assert visit(owner, 44)[1] == KEEP and len(owner.links()) == 4


def test_no_more_links_than_the_profile_says():
    owner = Owner(lan_nodes(1, 50))
    for i in range(60, 70):
        owner.manager.add(id_of(i), lan(i), 5000, owner.now)
    for i in range(40):
        link = owner.dial(within=MINUTE)
        if link and owner.manager.established(link, link.id, owner.now) == KEEP and owner.manager.rival:
            owner.close(owner.manager.rival, TRIMMED)
        _, verdict = owner.enter(id_of(100 + i), lan(100 + i))
        assert verdict in (KEEP, BUSY)
        assert sum(link.state == ESTABLISHED for link in owner.links()) <= 4


# Ways down: links to smaller ids, which join a mesh to one piece


def way_down(owner, id32, ip):
    """A node whose way down this one shall be is proven. Returns the verdict, and the link that makes room for it."""
    link = Link(id32, ip, 5000, False)
    link.purpose = DOWN
    verdict = owner.manager.established(link, id32, owner.now)
    rival = owner.manager.rival
    if rival:
        owner.close(rival, TRIMMED)
    return verdict, rival


def above(i):
    """An id above the own one, the higher the greater `i` is."""
    return bytes((0x90 + i,)) + bytes(31)


def full_of(*ids, **more):
    """An owner whose links are all taken, by inbound ones of these ids."""
    owner = Owner(links=len(ids), inbound=len(ids) - 1, outbound=1, reserved=0, **more)
    for i, id32 in enumerate(ids):
        link = Link(id32, lan(100 + i), 5000, False)
        link.purpose = VISIT
        assert owner.manager.established(link, id32, owner.now) == KEEP
    return owner


def test_a_full_node_has_one_place_for_the_nearest_above_at_first_that_of_the_link_to_the_highest():
    owner = full_of(above(5), above(9), above(7))
    verdict, rival = way_down(owner, above(2), lan(1))
    assert verdict == KEEP and rival.id == above(9)
    assert way_down(owner, above(3), lan(2))[0] == BUSY  # a nearer one is there
    verdict, rival = way_down(owner, above(1), lan(3))
    assert verdict == KEEP and rival.id == above(2)


def test_members_that_chose_ids_just_above_a_node_get_one_place_of_it():
    """However often they come, and however they come back."""
    owner = full_of(above(5), above(9), above(7))
    near = [OWN[:9] + bytes((i,)) + bytes(22) for i in range(40, 0, -1)]
    for i, id32 in enumerate(near):
        way_down(owner, id32, lan(i))
        for purpose in (0, VISIT):
            link = Link(id32, lan(i), 5000, False)
            link.purpose = purpose
            if owner.manager.established(link, id32, owner.now) == KEEP:
                owner.close(owner.manager.rival, DUPLICATE)
    assert sorted(link.id for link in owner.links()) == [near[-1], above(5), above(7)]


def test_members_that_chose_ids_just_above_a_node_take_none_of_the_places_that_it_dials_for():
    owner = Owner(links=4, inbound=2, outbound=2)
    for i in (70, 71):
        assert owner.enter(OWN[:9] + bytes((i,)) + bytes(22), lan(i))[1] == KEEP
    for i in range(40, 0, -1):
        way_down(owner, OWN[:9] + bytes((i,)) + bytes(22), lan(i))
    assert len(owner.links()) == 3  # as many as may come in, and one
    owner.candidates = [(above(3), lan(63), 5000)]
    owner.connect()


def test_members_with_ids_below_get_one_place_of_a_full_node_and_who_takes_no_connections_none():
    owner = full_of(above(5), above(9), above(7))
    for i in range(1, 20):
        link = Link(id_of(i), lan(i), 0, False)
        link.purpose = DOWN
        assert owner.manager.established(link, link.id, owner.now) == BUSY
        way_down(owner, id_of(20 + i), lan(20 + i))
    assert sorted(link.id for link in owner.links()) == [id_of(21), above(5), above(7)]


def test_a_way_down_makes_room_for_a_visit_after_all_other_links():
    owner = full_of(above(5), above(9), above(7))
    for link in owner.links():
        link.purpose = 0
    owner.wait(MINUTE)
    assert way_down(owner, above(1), lan(1))[0] == KEEP
    owner.wait(10 * SECOND)
    _, verdict, rival = visit(owner, 40)
    assert verdict == KEEP and rival.id in (above(5), above(7)) and owner.manager.rival_reason == TRIMMED
    for link in owner.links():
        link.purpose = DOWN
    owner.wait(10 * SECOND)
    assert visit(owner, 41)[1] == KEEP and owner.manager.rival_reason == BUSY  # it may come back


def test_a_way_down_that_made_room_for_a_visit_is_dialed_again_at_once():
    """Not who found no place, or whose place a nearer one took."""
    for lasted, reason, is_at_once in (
        (10 * SECOND, BUSY, True),
        (SECOND, BUSY, False),
        (10 * SECOND, TRIMMED, False),
        (SECOND, DUPLICATE, True),
        (10 * SECOND, BYE, False),
    ):
        owner = Owner(lan_nodes(1, 1), links=2, inbound=1, outbound=1)
        owner.enter(above(1), lan(200))
        link = owner.connect()
        owner.wait(lasted)
        owner.close(link, reason)
        assert (owner.waited(owner.dial) <= 4 * SECOND) == is_at_once, (lasted, reason)


def test_a_node_that_gave_its_way_down_for_a_visit_dials_it_again_at_once():
    owner = Owner(lan_nodes(1, 1), links=2, inbound=1, outbound=1)
    used = owner.enter(above(1), lan(200))[0]
    down = owner.connect()
    owner.manager.in_use = lambda link: link is used
    owner.wait(10 * SECOND)
    visitor, verdict, rival = visit(owner, 0x98)
    assert verdict == KEEP and rival is down
    link = owner.dial(within=4 * SECOND)
    assert link.id == down.id and owner.manager.established(link, link.id, owner.now) == KEEP
    assert owner.manager.rival is visitor


def test_a_visit_from_below_is_no_way_down():
    """It makes room after 2 s, and a node that had no other link stood alone for seconds."""
    owner = Owner(lan_nodes(1, 1))
    assert visit(owner, 40)[0].id < OWN
    assert owner.dial(within=MINUTE).purpose == DOWN


def test_a_way_down_that_was_silent_and_comes_back_has_its_place_again():
    owner = Owner([(id_of(1), lan(1), 5000)], links=4, inbound=1, outbound=2)
    down = owner.connect()
    owner.enter(id_of(2), lan(2))
    owner.wait(20 * SECOND)
    link, verdict = owner.enter(id_of(1), lan(1))
    assert down.purpose == DOWN and verdict == ASK_OLD
    owner.close(down, LOST)
    assert owner.manager.established(link, link.id, owner.now) == KEEP


def test_a_node_with_one_link_neither_has_a_way_down_nor_is_one():
    owner = Owner([(above(4), lan(9), 5000)], links=1)
    assert owner.connect().purpose == 0
    assert owner.manager.crowd(lan(50), owner.now) == 7  # no handshake is worked for in vain
    owner.candidates += lan_nodes(1, 3)
    assert owner.dial(within=30 * MINUTE) is None
    assert not owner.manager.fits(None, True, False, owner.now)  # and it wakes up for none
    assert owner.manager.crowd(lan(50), owner.now) == 5
    assert way_down(owner, above(1), lan(1)) == (BUSY, None)
    assert full_of(above(1), above(2)).manager.crowd(lan(50), 5000) == 3


def test_room_for_ways_down_comes_to_an_end():
    """However many come, in whatever order: at each change the links are to smaller ids."""
    owner = full_of(above(60), above(61), above(62))
    changes = 0
    for i in (50, 40, 45, 30, 55, 20, 58, 35, 19):
        before = sorted(link.id for link in owner.links())
        verdict, rival = way_down(owner, above(i), lan(i))
        if verdict == KEEP and rival:
            changes += 1
            assert sorted(link.id for link in owner.links()) < before
    assert changes == 5 and sorted(link.id for link in owner.links()) == [above(19), above(60), above(61)]


def test_no_way_down_ends_a_link_that_is_used_protected_or_permanent_or_the_own_way_down():
    owner = full_of(id_of(3), above(9))
    assert way_down(owner, above(2), lan(1))[1].id == above(9)
    owner = full_of(id_of(3), above(9))
    owner.manager.values[above(9)] = PROTECTED
    assert way_down(owner, above(2), lan(1)) == (BUSY, None)
    del owner.manager.values[above(9)]
    owner.manager.in_use = lambda link: link.id == above(9)
    assert way_down(owner, above(2), lan(1)) == (BUSY, None)
    owner.manager.in_use = None
    owner.links()[1].is_permanent = 1
    assert way_down(owner, above(2), lan(1)) == (BUSY, None)


def test_of_two_links_to_smaller_ids_one_makes_room_for_who_comes_from_above():
    owner = full_of(id_of(3), id_of(4))
    verdict, rival = way_down(owner, above(2), lan(1))
    assert verdict == KEEP and rival.id == id_of(4)


def test_the_least_node_finds_room_where_nobody_below_is_and_nowhere_else():
    assert way_down(full_of(above(1), above(2)), id_of(1), lan(1))[1].id == above(2)
    assert way_down(full_of(id_of(5), above(2)), id_of(1), lan(1)) == (BUSY, None)


def test_a_node_whose_links_all_lead_up_dials_down_and_gives_the_highest_for_it():
    owner = full_of(above(1), above(2))
    owner.candidates = [(above(3), lan(3), 5000)]
    assert owner.dial(within=MINUTE) is None  # all places are taken
    owner.candidates += lan_nodes(1, 1)
    link = owner.dial(within=MINUTE)
    assert link.id == id_of(1) and link.purpose == DOWN
    assert owner.manager.established(link, link.id, owner.now) == KEEP and owner.manager.rival.id == above(2)
    owner.close(owner.manager.rival, TRIMMED)
    owner.candidates = lan_nodes(4, 4)
    assert sorted(each.id for each in owner.links()) == [id_of(1), above(1)]
    assert not owner.manager.fits(None, True, False, owner.now)  # it has what it needs


def test_a_busy_way_down_is_tried_again_within_a_minute_and_the_next_one_below_before():
    owner = Owner(lan_nodes(1, 4), links=2, inbound=1, outbound=1)
    owner.enter(above(1), lan(200))
    tried = []
    for _ in range(4):
        link = owner.dial(within=20 * SECOND)
        owner.fail(link, BUSY)
        tried.append(link.id)
    assert sorted(tried) == [id_of(1), id_of(2), id_of(3), id_of(4)]
    assert owner.waited(owner.dial) <= MINUTE + 20 * SECOND


def test_who_has_no_answer_three_times_is_left_alone_for_a_minute_however_many_there_are():
    """What was said of each is remembered, or the same ones would be dialed all the time."""
    owner = Owner(lan_nodes(1, 20))
    owner.enter(above(1), lan(200))
    dials = {}
    end = owner.now + 10 * MINUTE
    while owner.now < end:
        link = owner.dial(within=end - owner.now)
        if link:
            dials[link.id] = dials.get(link.id, 0) + 1
            owner.fail(link, NO_ANSWER)
    assert len(dials) > 6 and max(dials.values()) <= 3 * 10 and sum(dials.values()) <= 150


def test_who_does_not_answer_is_not_forgotten_for_what_matters_no_more():
    owner = Owner(lan_nodes(1, 1))
    owner.enter(above(1), lan(200))
    for i in range(16):
        owner.manager.score(id_of(100 + i), lan(100 + i), 1)
    owner.wait(5 * MINUTE)
    for i in range(3):
        owner.fail(owner.dial(within=MINUTE), NO_ANSWER)
        owner.manager.score(id_of(120 + i), lan(120 + i), 1)
    assert owner.dial(within=50 * SECOND) is None


def test_a_door_that_was_taken_is_tried_again_soon_and_later_each_time():
    """Who is behind it may have a set-up of seconds to do, and another waits behind that."""
    owner = Owner(lan_nodes(1, 1))
    for least in (0, 2, 4):
        assert least * SECOND <= owner.waited(lambda: owner.fail(owner.dial(), NO_ANSWER)) <= (least + 3) * SECOND
    assert 30 * SECOND <= owner.waited(owner.dial) <= MINUTE + 20 * SECOND  # the next whole minute


def test_nodes_below_that_do_not_answer_keep_nobody_from_his_other_dials():
    for reason in (LOST, SLOW):
        owner = Owner(lan_nodes(1, 12))
        owner.enter(above(1), lan(200))
        downs = 0
        for _ in range(12):
            link = owner.dial(within=MINUTE)
            downs += link.purpose == DOWN
            assert owner.waited(lambda link=link: owner.fail(link, reason)) <= 20 * SECOND
        assert downs == 6  # and between them others have their turn
        wish = owner.manager.want(above(2), lan(100), 5000, owner.now)
        link = owner.dial(within=4 * SECOND)  # the brake is for who is cut off
        if link is not wish:  # another one was due before
            owner.fail(link, reason)
            assert owner.dial(within=4 * SECOND) is wish


def test_one_below_that_does_not_answer_is_not_dialed_all_the_time():
    for reason in (LOST, SLOW, NO_ANSWER, TRIMMED):
        owner = Owner(lan_nodes(1, 1))
        owner.enter(above(1), lan(200))
        dials = 0
        end = owner.now + 60 * MINUTE
        while owner.now < end:
            link = owner.dial(within=end - owner.now)
            if link:
                owner.fail(link, reason)
                dials += 1
        assert dials <= (180 if reason == NO_ANSWER else 60), reason
