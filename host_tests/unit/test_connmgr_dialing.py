"""Whom the connection manager dials and when (rows B1-B6, E3, E4, L4, L7, T21, T23, T24)."""

from linking import (
    BUSY,
    BYE,
    CANCELED,
    DISCONNECTED,
    ESTABLISHED,
    FAILING,
    FORGED,
    INCOMPATIBLE,
    KEEP,
    LOST,
    MEMORY,
    MINUTE,
    NO_ANSWER,
    OWN,
    PENDING,
    SECOND,
    SELF,
    USELESS,
    VISIT,
    WRONG_ID,
    Owner,
    id_of,
    lan,
    lan_nodes,
    world,
)
from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.connmgr import Link

RUNTIMES = ("cpython", "micropython", "board")


def test_two_outbound_links_are_kept_to_candidates():
    owner = Owner(lan_nodes(1, 9))
    first, second = owner.connect(), owner.connect()
    assert {first.state, second.state} == {ESTABLISHED} and first.id != second.id
    assert owner.dial() is None


def test_one_dial_at_a_time():
    owner = Owner(lan_nodes(1, 9))
    link = owner.dial()
    assert link.state == PENDING and link in owner.manager.links
    assert owner.dial(within=MINUTE) is None
    owner.manager.established(link, link.id, owner.now)
    assert owner.dial() is not None


def test_a_profile_may_dial_several_at_a_time():
    owner = Owner(lan_nodes(1, 9), dials=2)
    assert owner.dial().id != owner.dial().id
    assert owner.dial(within=MINUTE) is None


def waits_for_a_dial(callers=None, nodes=()):
    """Milliseconds that 40 nodes wait before they dial one of `nodes`, or one that so many callers want."""
    waits = []
    for seed in range(40):
        owner = Owner(nodes, seed=seed)
        if callers is not None:
            link = owner.manager.want(id_of(1), lan(1), 5000, owner.now, callers)
            assert link.callers == callers and link.purpose == VISIT
        waits.append(owner.waited(owner.dial))
    return waits


def test_each_dial_waits_up_to_three_seconds_at_random():
    waits = waits_for_a_dial(nodes=lan_nodes(1, 2))
    assert min(waits) < 500 and 2500 < max(waits) <= 3000


def test_what_somebody_waits_for_is_dialed_within_a_quarter_of_a_second():
    waits = waits_for_a_dial(callers=1)
    assert min(waits) < 60 and 200 < max(waits) <= 256


def test_a_visit_that_nobody_waits_for_has_the_wait_of_any_other_dial_until_somebody_does():
    waits = waits_for_a_dial(callers=0)
    assert min(waits) < 500 and 2500 < max(waits) <= 3000
    owner = Owner(seed=0)
    link = owner.manager.want(id_of(1), lan(1), 5000, owner.now, 0)
    assert owner.manager.want(id_of(1), lan(1), 5000, owner.now) is link
    assert owner.waited(owner.dial) <= 256


def test_a_second_caller_does_not_hasten_a_dial_that_waits_for_a_place():
    owner = Owner()
    link = owner.manager.want(id_of(1), lan(1), 5000, owner.now)
    assert owner.dial() is link
    owner.fail(link, BUSY)
    at = link.at
    owner.manager.want(id_of(1), lan(1), 5000, owner.now)
    assert link.at == at


def test_a_node_that_looked_too_early_looks_again_soon_and_one_with_links_does_not():
    for seed in range(10):
        owner = Owner(seed=seed)
        assert owner.dial(3 * SECOND) is None  # it knows nobody yet
        owner.candidates = lan_nodes(1, 9)
        assert owner.waited(owner.connect) <= 4 * SECOND
        owner.candidates = []
        assert owner.dial(3 * SECOND) is None  # and wants a second one
        owner.candidates = lan_nodes(2, 9)
        assert owner.waited(owner.dial) >= 7 * SECOND


def test_a_reconnect_storm_is_spread_over_seconds():
    """A23: a building gets its power back; a hundred nodes lost their permanent peer in one instant."""
    dials = []
    for seed in range(100):
        owner = Owner(seed=seed)
        owner.manager.add(id_of(1), lan(1), 5000, owner.now)
        link = owner.connect()
        owner.now = 100000
        owner.close(link, LOST)
        owner.dial()
        dials.append(owner.now // 500)
    assert max(dials.count(half_second) for half_second in dials) <= 25
    assert max(dials) - min(dials) >= 8


def test_another_candidate_takes_the_place_of_a_lost_one():
    """B3: no clinging to a dead address."""
    owner = Owner(lan_nodes(1, 9))
    owner.connect()
    lost = owner.connect()
    owner.close(lost, LOST)
    assert lost.state == DISCONNECTED and lost not in owner.manager.links
    assert owner.dial().id != lost.id


def test_a_node_is_not_dialed_again_within_a_minute():
    for reason in (LOST, MEMORY):  # here or there
        owner = Owner(lan_nodes(1, 1))
        owner.fail(owner.dial(), reason)
        assert 60 * SECOND <= owner.waited(owner.dial) <= 130 * SECOND


def test_want_of_memory_is_no_failure_of_those_that_were_dialed():
    """Eight in a row that nobody answers close the brake (B4); of this node's own shortage no peer is to blame."""
    owner = Owner(lan_nodes(1, 20))
    for _ in range(12):
        owner.fail(owner.dial(), MEMORY)
    assert owner.waited(owner.dial) < 25 * SECOND


def test_a_permanent_peer_is_dialed_for_ever_with_longer_and_longer_waits():
    """B2, L7, T21: 5 s + tries squared, at most 300 s, a quarter more or less, and 0-3 s."""
    owner = Owner()
    link = owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    assert owner.dial() is link
    for tries in range(60):
        owner.fail(link, BUSY)  # no failure for the global brake, which is another test's
        assert link.state == FAILING
        wait = min(300, 5 + tries * tries) * SECOND
        waited = owner.waited(owner.dial)
        assert 0.74 * wait <= waited <= 1.25 * wait + 3 * SECOND
    assert link.state == PENDING


def test_the_wait_begins_anew_after_a_link_that_lasted_a_minute():
    owner = Owner()
    link = owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    for _ in range(6):
        owner.fail(owner.dial(), BUSY)
    owner.connect()
    owner.close(link, LOST)
    assert owner.waited(owner.dial) > 20 * SECOND  # it came up and went at once
    owner.manager.established(link, link.id, owner.now)
    owner.wait(MINUTE)
    owner.close(link, LOST)
    assert owner.waited(owner.dial) < 10 * SECOND


def test_what_happens_to_others_does_not_shorten_the_wait_for_a_permanent_peer():
    owner = Owner()
    owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    for _ in range(20):
        owner.fail(owner.dial(), BUSY)
    before = owner.manager.links[0].at
    owner.manager.failed(Link(None, lan(2), 0, False), LOST, owner.now)
    for i in range(3, 6):
        owner.close(owner.enter(id_of(i), lan(i))[0], LOST)
    assert owner.manager.links[0].at == before


def test_a_permanent_peer_that_was_removed_is_dialed_no_more():
    """B6: disconnect retries, remove does not."""
    owner = Owner()
    link = owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    owner.connect()
    owner.close(link, BYE)
    assert owner.dial() is link
    owner.manager.established(link, link.id, owner.now)
    owner.manager.remove(link)
    assert link.state == ESTABLISHED
    owner.close(link, BYE)
    assert owner.manager.links == [] and owner.dial() is None


def test_a_waiting_permanent_peer_can_be_removed():
    owner = Owner()
    link = owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    owner.manager.remove(link)
    assert owner.manager.links == [] and owner.dial() is None


def test_the_brake_closes_at_the_eighth_failure_in_a_row():
    """B4: the ninth dial waits 30 s, and so does each further one until something succeeds."""
    owner = Owner(lan_nodes(1, 30))
    for _ in range(8):
        assert owner.waited(lambda: owner.fail(owner.dial())) < 10 * SECOND
    for _ in range(3):
        assert 30 * SECOND <= owner.waited(lambda: owner.fail(owner.dial())) <= 40 * SECOND
    owner.wait(30 * SECOND)
    owner.connect()
    assert owner.waited(lambda: owner.fail(owner.dial())) < 10 * SECOND


def test_an_inbound_link_lets_the_brake_go():
    owner = Owner(lan_nodes(1, 30))
    for _ in range(8):
        owner.fail(owner.dial())
    assert owner.enter(id_of(99), lan(99))[1] == KEEP
    assert owner.waited(owner.dial) < 10 * SECOND


def test_the_brake_holds_permanent_and_wanted_peers_too():
    owner = Owner(lan_nodes(1, 30))
    for _ in range(8):
        owner.fail(owner.dial())
    owner.manager.add(id_of(90), lan(90), 5000, owner.now)
    owner.manager.want(id_of(91), lan(91), 5000, owner.now)
    assert owner.waited(owner.dial) >= 29 * SECOND


def test_the_brake_of_last_week_holds_nothing():
    """Ticks tell six days only; the brake must not close again when they wrap."""
    owner = Owner(lan_nodes(1, 8), links=1, outbound=1)
    for _ in range(8):
        owner.fail(owner.dial())
    owner.candidates = []
    owner.wait(7 * 24 * 60 * MINUTE)
    owner.candidates = lan_nodes(20, 1)
    assert owner.waited(owner.dial) < 10 * SECOND


def test_a_refusal_is_no_failure():
    owner = Owner(lan_nodes(1, 40))
    for reason in (BUSY, INCOMPATIBLE, 6, 17, 18, WRONG_ID, BUSY, 18, INCOMPATIBLE, 6):
        owner.fail(owner.dial(), reason)
    assert owner.waited(owner.dial) < 10 * SECOND


def test_who_finds_no_place_dials_less_and_less_often_until_a_link_ends():
    for reason in (BUSY, NO_ANSWER, 17):
        owner = Owner(lan_nodes(1, 20))
        link = owner.connect()
        for least in (0, 0, 0, 0, 10, 20, 40, 80, 80):
            waited = owner.waited(lambda owner=owner, reason=reason: owner.fail(owner.dial(), reason)) // SECOND
            assert least <= waited <= least + 6, (reason, least, waited)
        owner.close(link)
        assert owner.waited(owner.dial) <= 3 * SECOND


def test_a_busy_peer_is_left_alone_for_minutes_and_an_incompatible_one_for_an_hour():
    for reason, least, most in ((BUSY, 5, 7), (INCOMPATIBLE, 60, 62)):
        owner = Owner(lan_nodes(1, 1))
        owner.enter(id_of(60), lan(60))  # its way down
        owner.fail(owner.dial(), reason)
        waited = owner.waited(lambda: owner.dial(within=120 * MINUTE))
        assert least * MINUTE <= waited <= most * MINUTE


def test_three_handshakes_without_an_answer_are_one_failed_dial():
    """Protocol 4.1: the initiator cannot tell a busy peer from a wrong key."""
    owner = Owner()
    link = owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    for i in range(1, 22):
        owner.fail(owner.dial(), NO_ANSWER)
        assert link.reason == (LOST if i % 3 == 0 else BUSY)
    link.tries = 0
    for _ in range(3):
        owner.wait(MINUTE)
        owner.fail(owner.dial(), NO_ANSWER)
    assert owner.waited(owner.dial) >= 29 * SECOND  # that was the eighth failure


def test_an_answer_in_between_starts_the_three_anew():
    owner = Owner()
    link = owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    for _ in range(2):
        owner.fail(owner.dial(), NO_ANSWER)
    owner.close(owner.connect())
    owner.fail(owner.dial(), NO_ANSWER)
    assert link.reason == BUSY


def test_late_success_of_a_cancelled_dial_says_close():
    """A24, B5: three leaked sockets are a dead board."""
    owner = Owner()
    link = owner.manager.want(id_of(1), lan(1), 5000, owner.now)
    assert owner.dial() is link
    owner.manager.cancel(link)
    assert link.state == CANCELED
    assert owner.manager.established(link, link.id, owner.now) == BYE
    assert owner.manager.links == []


def test_a_cancelled_dial_counts_as_a_socket_until_it_ended_and_never_as_a_failure():
    owner = Owner()
    for i in range(8):
        link = owner.manager.want(id_of(i), lan(i), 5000, owner.now)
        assert owner.dial() is link
        owner.manager.cancel(link)
        assert owner.dial(within=SECOND) is None
        owner.fail(link, LOST)
        assert owner.manager.links == []
    owner.manager.want(id_of(50), lan(50), 5000, owner.now)
    assert owner.waited(owner.dial) <= 3 * SECOND


def test_a_cancelled_dial_takes_the_place_of_a_link_until_it_ended():
    owner = Owner(lan_nodes(1, 9), dials=2, links=1)
    link = owner.manager.want(id_of(50), lan(50), 5000, owner.now)
    assert owner.dial() is link
    owner.manager.cancel(link)
    assert owner.dial(within=MINUTE) is None
    owner.fail(link)
    assert owner.dial() is not None


def test_later_callers_join_a_dial_and_one_of_them_cannot_cancel_it():
    """L4: N callers, one dial."""
    owner = Owner()
    manager = owner.manager
    link = manager.want(id_of(1), lan(1), 5000, owner.now)
    assert owner.dial() is link
    assert manager.want(id_of(1), lan(1), 5000, owner.now) is link
    manager.cancel(link)
    assert link.state == PENDING
    assert manager.established(link, link.id, owner.now) == KEEP
    assert manager.want(id_of(1), lan(1), 5000, owner.now) is link
    manager.cancel(link)
    assert link.state == ESTABLISHED


def test_a_caller_who_joined_cannot_cancel_what_the_node_dials_for_itself():
    owner = Owner(lan_nodes(1, 1))
    link = owner.dial()
    owner.manager.want(id_of(1), lan(1), 5000, owner.now)
    owner.manager.cancel(link)
    assert link.state == PENDING
    permanent = owner.manager.add(id_of(2), lan(2), 5000, owner.now)
    owner.manager.want(id_of(2), lan(2), 5000, owner.now)
    owner.manager.cancel(permanent)
    assert permanent in owner.manager.links


def test_a_wanted_peer_comes_before_candidates_and_is_dialed_once():
    owner = Owner(lan_nodes(1, 9))
    owner.wait(5 * SECOND)
    link = owner.manager.want(id_of(50), lan(50), 5000, owner.now)
    owner.wait(3 * SECOND)
    assert owner.dial() is link
    owner.fail(link)
    assert link.state == FAILING and link.reason == LOST and link not in owner.manager.links


def test_a_wanted_peer_that_is_busy_is_dialed_again_while_somebody_waits():
    """Whether it said so or closed after message 1: then it can be nothing else but a wrong key."""
    owner = Owner()
    link = owner.manager.want(id_of(50), lan(50), 5000, owner.now)
    assert link.purpose == VISIT
    for reason in (NO_ANSWER, BUSY, NO_ANSWER, NO_ANSWER, NO_ANSWER):
        assert owner.dial(within=3 * SECOND) is link
        owner.fail(link, reason)
        assert link.state == DISCONNECTED and link in owner.manager.links
        assert owner.dial(within=SECOND // 10) is None
    owner.manager.cancel(link)
    assert not owner.manager.links and owner.dial() is None
    link = owner.manager.want(id_of(51), lan(51), 5000, owner.now)
    assert owner.dial(within=3 * SECOND) is link
    owner.manager.cancel(link)  # nobody waits any more when the answer comes
    owner.fail(link, BUSY)
    assert not owner.manager.links


def test_a_candidate_that_is_busy_is_not_waited_for():
    owner = Owner(lan_nodes(1, 1))
    link = owner.dial()
    owner.fail(link, BUSY)
    assert link.purpose != VISIT and not owner.manager.links


def test_a_wanted_peer_that_waits_for_its_next_try_is_dialed_at_once():
    owner = Owner()
    link = owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    for _ in range(7):
        owner.fail(owner.dial(), BUSY)
    assert owner.manager.want(id_of(1), lan(1), 5000, owner.now) is link
    assert owner.waited(owner.dial) <= 3 * SECOND


def test_a_permanent_peer_that_is_busy_is_dialed_again_while_somebody_waits_and_then_as_seldom_as_before():
    owner = Owner()
    link = owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    owner.fail(owner.dial(), BUSY)
    owner.manager.want(id_of(1), lan(1), 5000, owner.now)
    for reason in (BUSY, NO_ANSWER, BUSY, NO_ANSWER, BUSY):
        assert owner.dial(within=1300) is link
        owner.fail(link, reason)
    owner.manager.cancel(link)
    owner.fail(owner.dial(), BUSY)
    assert owner.manager.links == [link] and owner.waited(owner.dial) > 20 * SECOND


def test_a_wanted_permanent_peer_is_dialed_at_once_whoever_gave_up_before():
    """A request waited for a minute of back-off: who had given up before was counted below zero."""
    owner = Owner()
    link = owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    for reason in (LOST, BUSY, LOST, LOST, LOST, BUSY, LOST):
        assert owner.manager.want(id_of(1), lan(1), 5000, owner.now) is link
        assert owner.dial(within=256) is link
        owner.fail(link, reason)
        owner.manager.cancel(link)
        owner.manager.cancel(link)  # nobody else is there
        assert link.callers == 0


def test_a_peer_that_is_permanent_no_more_is_dialed_for_who_waits():
    owner = Owner(lan_nodes(1, 1))
    for is_dialed in (False, True):
        link = owner.manager.want(id_of(2), lan(2), 5000, owner.now)
        assert not is_dialed or owner.dial() is link
        owner.manager.remove(owner.manager.add(id_of(2), lan(2), 5000, owner.now))
        assert link.state == (PENDING if is_dialed else DISCONNECTED) and owner.manager.links == [link]
        owner.manager.cancel(link)
        if is_dialed:
            assert link.state == CANCELED
            owner.fail(link, BYE)
        assert owner.manager.links == []
    link = owner.dial()  # and for the node itself
    owner.manager.remove(owner.manager.add(link.id, link.ip, link.port, owner.now))
    assert link.state == PENDING


def test_what_cannot_be_dialed_is_said_at_once():
    owner = Owner()
    manager = owner.manager
    for id32, ip, port, reason in (
        (OWN, lan(1), 5000, SELF),
        (id_of(1), lan(1), 0, USELESS),
        (id_of(1), lan(1), 80, USELESS),
        (id_of(1), bytes(4), 5000, USELESS),
    ):
        link = manager.want(id32, ip, port, owner.now)
        assert (link.state, link.reason) == (FAILING, reason)
    assert manager.links == [] and owner.dial() is None


def test_unusable_candidates_are_passed_over():
    good = (id_of(9), lan(9), 5000)
    owner = Owner([(OWN, lan(1), 5000), (id_of(1), lan(1), 0), (id_of(2), b"\xe0\0\0\1", 5000), good])
    assert owner.dial().id == good[0]


def test_connected_dialing_and_waiting_peers_are_no_candidates():
    owner = Owner([(id_of(1), lan(1), 5000), (id_of(1), lan(2), 5001), (id_of(3), lan(1), 5000)])
    owner.manager.add(id_of(1), lan(1), 5000, owner.now)
    permanent = owner.connect()
    assert owner.dial() is None
    owner.close(permanent)
    assert owner.dial() is permanent
    owner.fail(permanent)
    assert owner.dial() is permanent


def test_an_address_that_turned_out_to_be_this_node_is_never_dialed_again():
    """T24, A20."""
    owner = Owner([(id_of(1), lan(1), 5000)])
    owner.enter(id_of(60), lan(60))
    owner.fail(owner.dial(), SELF)
    assert owner.dial(within=180 * MINUTE) is None
    assert owner.manager.want(id_of(2), lan(1), 5000, owner.now).reason == SELF


def test_who_leads_our_own_words_back_to_us_takes_no_permanent_peer_away():
    """A20: somebody on the way answers our dial with our own listener."""
    owner = Owner()
    for id32, i in ((None, 5), (id_of(6), 6)):
        link = owner.manager.add(id32, lan(i), 5000, owner.now)
        assert owner.dial() is link
        assert owner.manager.established(link, OWN, owner.now) == SELF
        assert owner.dial() is link
        owner.manager.established(link, id_of(i), owner.now)
        assert link.state == ESTABLISHED


def test_who_answers_under_another_id_is_refused():
    """L2, A21."""
    owner = Owner(lan_nodes(1, 1))
    link = owner.dial()
    assert owner.manager.established(link, id_of(2), owner.now) == WRONG_ID
    assert owner.manager.links == []


def test_a_permanent_peer_given_by_its_address_is_known_by_its_id_afterwards():
    owner = Owner([(id_of(4), lan(9), 5001)])
    link = owner.manager.add(None, lan(1), 5000, owner.now)
    assert owner.dial() is link
    assert owner.manager.established(link, id_of(4), owner.now) == KEEP
    assert link.id == id_of(4)
    assert owner.dial() is None


def test_another_board_at_the_address_of_a_permanent_peer_is_found_out():
    owner = Owner()
    link = owner.manager.add(None, lan(1), 5000, owner.now)
    assert owner.dial() is link
    assert owner.manager.established(link, id_of(4), owner.now) == KEEP
    owner.close(link, LOST)
    assert owner.dial() is link
    assert owner.manager.established(link, id_of(5), owner.now) == WRONG_ID
    assert owner.dial() is link
    assert owner.manager.established(link, id_of(5), owner.now) == KEEP


def test_beyond_the_lan_candidates_of_other_networks_come_first():
    """B23, A2: a /16 that is dialed already waits until nothing else is found."""
    crowd = [(id_of(i), world(i, network=7), 5000) for i in range(1, 7)]
    other = (id_of(60), world(60), 5000)
    owner = Owner(crowd[:3] + [other] + crowd[3:])
    owner.enter(id_of(61), lan(61))  # its way down
    owner.connect()
    assert owner.dial().id == other[0]
    owner = Owner(crowd)
    owner.connect()
    assert owner.dial() is not None


def test_one_address_beyond_the_lan_is_dialed_once():
    """L19, T27."""
    ip = world(1)
    owner = Owner([(id_of(1), ip, 5000), (id_of(2), ip, 5001)])
    owner.connect()
    assert owner.dial() is None


def test_the_gate_is_asked_before_a_dial():
    owner = Owner(lan_nodes(1, 3))
    owner.manager.allow = lambda stage, id32, ip: stage == "dial" and id32 == id_of(2)
    assert owner.dial().id == id_of(2)
    assert owner.manager.want(id_of(1), lan(1), 5000, owner.now).reason == 18


def test_what_ended_is_counted_by_reason():
    owner = Owner(lan_nodes(1, 9))
    owner.fail(owner.dial())
    owner.close(owner.connect(), FORGED)
    owner.close(owner.connect(), 99)  # a reason of a later version
    assert owner.manager.ends[LOST] == owner.manager.ends[FORGED] == owner.manager.ends[BYE] == 1


def test_time_goes_on_across_the_wrap_of_the_ticks():
    owner = Owner(lan_nodes(1, 3), now=0x3FFFFFFF - 500)
    owner.manager.add(id_of(9), lan(9), 5000, owner.now)
    assert owner.connect() and owner.connect()
    assert ticks_diff(owner.now, 0x3FFFFFFF) < 10 * SECOND
    assert ticks_diff(owner.manager.next_time(owner.now), owner.now) <= MINUTE


def test_after_a_week_of_rest_a_lost_link_is_replaced_at_once():
    owner = Owner(lan_nodes(1, 9), links=1, outbound=1)
    link = owner.connect()
    owner.wait(7 * 24 * 60 * MINUTE)
    owner.close(link, LOST)
    assert owner.waited(owner.dial) <= 3 * SECOND
    assert ticks_add(owner.now, 0) == owner.now


def test_a_look_for_candidates_that_a_wish_cut_short_begins_anew():
    """Row B23: the first half of 16 candidates comes from networks without a link."""
    same = [(id_of(300 + i), world(10 + i, 41), 5000) for i in range(3)]
    others = [(id_of(400 + i), world(i, 90 + i), 5000) for i in range(12)]
    for looks in range(1, 5):  # before the wish comes, in the first half
        owner = Owner(same[:1], own=bytes(31) + b"\1", links=8, inbound=4, outbound=4, reserved=0)
        manager = owner.manager
        first = owner.connect()
        owner.candidates = same[1:]
        for _ in range(looks):
            owner.now = manager.next_time(owner.now)
            manager.tick(owner.now)
            assert manager.next_dial(owner.now) is None
        wish = manager.want(id_of(500), lan(5), 5000, owner.now)
        owner.wait(4 * SECOND)
        assert manager.next_dial(owner.now) is wish and manager.established(wish, wish.id, owner.now) == KEEP
        owner.wait(60 * MINUTE)
        owner.candidates = same[1:] + others
        assert owner.dial().ip[:2] != first.ip[:2]
