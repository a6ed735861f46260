"""Requests to a peer: what is answered, what is turned away, and what is never answered."""

from fake_peers import World
from picoswarm.compat import ticks_add
from picoswarm.counters import names
from picoswarm.errors import LocalError
from picoswarm.profile import Profile
from picoswarm.rpc import Rpc
from support import raises

RUNTIMES = ("cpython", "micropython", "board")

CALL, DONE, ENDED = 1, 2, 3
OK, NO_METHOD, REFUSED, FAILED, BUSY, TOO_LONG = range(6)
TIMEOUT, LOST = 128, 129

GRACE_MS = 5000


class Callers(World):
    """Two nodes with a session: the first asks, the second serves "echo"."""

    def __init__(self, room=8, **numbers):
        super().__init__()
        self.asker, self.server = [self.add(Rpc(Profile(**numbers).check(), self.now)) for _ in range(2)]
        self.connect(self.asker, self.server, room)
        self.to_server = self.asker.peers[1]
        self.to_asker = self.server.peers[0]
        self.server.reactors[0].register("echo")

    def call(self, payload=b"hello", method="echo", ms=10000):
        """Ask; returns the id."""
        number = self.asker.reactors[0].call(self.to_server, method, payload, self.now, ms)
        self.settle()
        return number

    def reply(self, event, status=OK, payload=b"world"):
        """Answer a call."""
        done = self.server.reactors[0].reply(event[1], status, payload)
        self.settle()
        return done

    def say(self, data):
        """The asker sends bytes of its own choice. Returns the reason for which the server closes the session."""
        self.server.hand_over(self.to_asker, 3, data, self.now)
        self.settle()
        return self.to_asker.reason


def event(node):
    return node.reactors[0].next_event()


def counted(node, name):
    return node.reactors[0].counts[names("rpc").split().index(name)]


def test_a_call_reaches_its_method_and_the_answer_the_caller():
    world = Callers()
    number = world.call(b"hello")
    call = event(world.server)
    assert call[1][:2] == [world.to_asker, number] and call[2:] == ("echo", b"hello")
    assert world.reply(call, OK, b"world")
    assert event(world.asker) == (DONE, number, OK, b"world")
    assert event(world.asker) is None and event(world.server) is None


def test_answers_may_come_in_any_order():
    world = Callers()
    numbers = [world.call(bytes((i,))) for i in range(3)]
    calls = [event(world.server) for _ in range(3)]
    for i in (2, 0, 1):
        world.reply(calls[i], OK, calls[i][3])
    assert [event(world.asker) for _ in range(3)] == [(DONE, numbers[i], OK, bytes((i,))) for i in (2, 0, 1)]


def test_a_handler_that_fails_says_why():
    world = Callers()
    number = world.call()
    world.reply(event(world.server), FAILED, b"no such pin")
    assert event(world.asker) == (DONE, number, FAILED, b"no such pin")


def test_an_unknown_method_is_answered_at_once():
    world = Callers()
    for method in ("reboot", "ech", "echoo"):
        number = world.call(method=method)
        assert event(world.asker) == (DONE, number, NO_METHOD, b"")
    assert event(world.server) is None and counted(world.server, "turned_away") == 3


def test_who_may_not_call_a_method_is_refused():
    world = Callers()
    asked = []

    def allow(peer, method):
        asked.append((peer, method))
        return False

    world.server.reactors[0].allow = allow
    number = world.call()
    assert event(world.asker) == (DONE, number, REFUSED, b"")
    assert asked == [(world.to_asker, "echo")] and event(world.server) is None


def test_a_fifth_request_waits_here_for_the_answer_to_another():
    world = Callers()
    numbers = [world.call() for _ in range(4)]
    assert world.call() == 0
    world.reply(event(world.server))
    assert event(world.asker) == (DONE, numbers[0], OK, b"world")
    assert world.call() and event(world.asker) is None


def test_a_fifth_request_of_a_peer_that_does_not_wait_is_answered_busy():
    world = Callers()
    for number in range(1, 6):
        assert not world.say(bytes((0, 0, number, 4)) + b"echo")
    assert counted(world.server, "turned_away") == 1 and counted(world.asker, "unasked") == 1
    world.reply(event(world.server))
    assert not world.say(b"\0\0\x06\x04echo")
    assert counted(world.server, "turned_away") == 1


def test_so_is_one_beyond_what_the_node_serves_in_all():
    world = Callers(requests=2)
    other = world.add(Rpc(Profile(), world.now))
    to_server = world.connect(other, world.server)[0]
    world.call()
    other.reactors[0].call(to_server, "echo", b"", world.now)
    number = other.reactors[0].call(to_server, "echo", b"", world.now)
    world.settle()
    assert event(other) == (DONE, number, BUSY, b"")


def test_no_more_calls_are_on_the_way_than_the_profile_allows():
    world = Callers(requests=3)
    assert [world.call() > 0 for _ in range(4)] == [True, True, True, False]
    world.reply(event(world.server))
    assert world.call() == 0  # until the answer is fetched
    assert event(world.asker) and world.call() > 0


def test_a_full_queue_refuses_the_call():
    world = Callers(room=1)
    world.to_server.is_slow = True
    assert world.call() > 0 and world.call() == 0
    world.pass_ms(10000)
    assert event(world.asker)[2] == TIMEOUT and event(world.asker) is None


def test_a_call_ends_at_its_deadline_and_a_late_answer_is_counted():
    world = Callers()
    number = world.call(ms=500)
    world.pass_ms(499)
    assert event(world.asker) is None
    world.pass_ms(1)
    assert event(world.asker) == (DONE, number, TIMEOUT, b"")
    assert not world.reply(event(world.server))  # it knows that nobody waits
    assert event(world.asker) is None and counted(world.asker, "late") == 0


def test_an_answer_that_crosses_the_end_of_the_wait_is_counted():
    world = Callers()
    number = world.call(ms=500)
    world.to_asker.is_slow = True
    world.reply(event(world.server))
    world.pass_ms(500)
    assert event(world.asker) == (DONE, number, TIMEOUT, b"")
    world.to_asker.is_slow = False
    world.settle()
    assert event(world.asker) is None and counted(world.asker, "late") == 1


def test_handlers_that_hang_give_their_places_back_once_nobody_waits():
    world = Callers()
    for _ in range(4):
        world.call(ms=500)
    hanging = [event(world.server) for _ in range(4)]
    world.pass_ms(499 + GRACE_MS)
    assert event(world.server) is None
    number = [event(world.asker) for _ in range(4)] and world.call()
    assert event(world.asker) == (DONE, number, BUSY, b"")
    world.pass_ms(1)
    assert [event(world.server) for _ in range(5)] == [(ENDED, call[1]) for call in hanging] + [None]
    assert counted(world.server, "ended") == 4 and not world.server.reactors[0].served
    number = world.call()
    assert world.reply(event(world.server), OK, b"again") and event(world.asker) == (DONE, number, OK, b"again")
    assert not world.reply(hanging[0])


def test_a_handler_that_comes_to_its_end_meanwhile_is_left_alone():
    world = Callers()
    world.call(ms=500)
    world.pass_ms(500 + GRACE_MS - 1)
    assert not world.reply(event(world.server))
    world.pass_ms(GRACE_MS)
    assert event(world.server) is None and not world.server.reactors[0].served


def test_so_do_those_whose_session_ended():
    world = Callers()
    for _ in range(2):
        world.call()
    first, second = event(world.server), event(world.server)
    world.reply(second)
    world.call()
    third = event(world.server)
    world.to_asker.is_slow = True
    world.reply(third)
    world.to_asker.queue *= 8  # full
    world.cut(world.asker, world.server)
    world.pass_ms(GRACE_MS - 1)
    assert event(world.server) is None and world.server.reactors[0].served == [first[1]]
    world.pass_ms(1)
    assert event(world.server) == (ENDED, first[1]) and event(world.server) is None
    assert not world.server.reactors[0].served and world.server.reactors[0].next_time() is None


def test_the_id_of_a_request_that_was_given_up_is_free():
    world = Callers()
    request, given_up = b"\0\x12\x34\x04echo", b"\x01\x12\x34"
    assert not world.say(request) and not world.say(given_up) and not world.say(given_up) and not world.say(request)
    old, new = event(world.server), event(world.server)
    assert not world.reply(old, OK, b"old") and counted(world.asker, "unasked") == 0
    assert world.reply(new, OK, b"new") and counted(world.asker, "unasked") == 1


def test_a_peer_gives_up_its_own_requests_only():
    world = Callers()
    other = world.add(Rpc(Profile(), world.now))
    world.connect(other, world.server)
    number = world.call()
    world.server.hand_over(world.server.peers[2], 3, bytes((1, number >> 8, number & 0xFF)), world.now)
    assert world.reply(event(world.server)) and event(world.asker)[2] == OK


def test_the_next_deadline_is_the_earliest():
    world = Callers()
    for ms in (3000, 700, 9000):
        world.call(ms=ms)
    assert world.asker.reactors[0].next_time() == ticks_add(world.now, 700)
    world.pass_ms(20000)
    assert world.asker.reactors[0].next_time() is None


def test_when_the_session_ends_its_calls_are_lost_and_others_go_on():
    world = Callers()
    other = world.add(Rpc(Profile(), world.now))
    other.reactors[0].register("echo")
    lost = world.call()
    kept = world.asker.reactors[0].call(world.connect(world.asker, other)[0], "echo", b"", world.now)
    world.settle()
    call = event(world.server)
    world.cut(world.asker, world.server)
    assert event(world.asker) == (DONE, lost, LOST, b"") and event(world.asker) is None
    assert not world.reply(call)
    served = event(other)
    other.reactors[0].reply(served[1], OK, b"")
    world.settle()
    assert event(world.asker) == (DONE, kept, OK, b"")


def test_an_answer_that_nobody_asked_for_is_counted_and_dropped():
    world = Callers()
    assert world.say(b"\x80\x12\x34") is None
    assert event(world.server) is None and counted(world.server, "unasked") == 1


def test_another_peer_cannot_answer_in_the_place_of_the_one_that_was_asked():
    world = Callers()
    posing = world.add(Rpc(Profile(), world.now))
    world.connect(world.asker, posing)
    number = world.call()
    world.asker.hand_over(world.asker.peers[2], 3, bytes((0x80, number >> 8, number & 0xFF)) + b"false", world.now)
    assert event(world.asker) is None and counted(world.asker, "unasked") == 1
    world.reply(event(world.server), OK, b"true")
    assert event(world.asker) == (DONE, number, OK, b"true")


def test_a_peer_cannot_send_what_only_the_own_node_may_say():
    """Above 127 a status would mean: nobody answered."""
    world = Callers()
    number = world.call()
    world.asker.hand_over(world.to_server, 3, bytes((0xFF, number >> 8, number & 0xFF)), world.now)
    assert event(world.asker) == (DONE, number, 127, b"")


def test_an_answer_is_given_once():
    world = Callers()
    world.call()
    call = event(world.server)
    assert world.reply(call) and not world.reply(call)


def test_an_answer_that_is_too_long_becomes_that_status():
    world = Callers()
    for n, status in ((397, OK), (398, TOO_LONG)):
        number = world.call()
        world.reply(event(world.server), OK, bytes(n))
        assert event(world.asker) == (DONE, number, status, bytes(n) if status == OK else b"")


def test_an_answer_waits_for_room_in_the_queue():
    world = Callers(room=1)
    numbers = [world.call(), world.call()]
    world.to_asker.is_slow = True
    for _ in range(2):
        call = event(world.server)
        assert world.reply(call)
    assert not world.reply(call)  # it waits already
    assert len(world.to_asker.queue) == 1
    world.pass_ms(1000)
    world.to_asker.is_slow = False
    world.settle()
    world.pass_ms(100)
    assert [event(world.asker)[1] for _ in range(2)] == numbers


def test_a_request_that_is_too_long_is_the_callers_mistake():
    world = Callers()
    world.server.reactors[0].register("m" * 64)
    for method in ("", "m" * 65):
        raises(LocalError, world.call, b"", method)
    raises(LocalError, world.call, bytes(393))
    assert world.call(bytes(392)) and event(world.server)[3] == bytes(392)
    assert world.call(b"", "m" * 64) and event(world.server)[2] == "m" * 64


def test_requests_and_answers_keep_to_what_the_other_side_takes():
    world = Callers(request_max=480)
    board = world.add(Rpc(Profile(), world.now))
    to_board, to_server = world.connect(world.server, board)
    board.reactors[0].register("echo")
    server = world.server.reactors[0]
    raises(LocalError, server.call, to_board, "echo", bytes(393), world.now)
    assert server.call(to_board, "echo", bytes(392), world.now)
    number = board.reactors[0].call(to_server, "echo", b"", world.now)
    world.settle()
    for n, status in ((398, TOO_LONG), (397, OK)):
        call = event(world.server)
        assert server.reply(call[1], OK, bytes(n))
        world.settle()
        calls = [event(board), event(board)]
        assert (DONE, number, status, bytes(n) if status == OK else b"") in calls
        number = board.reactors[0].call(to_server, "echo", b"", world.now)
        world.settle()
    assert world.call(bytes(472))  # who takes more is sent more


def test_malformed_messages_close_the_session():
    good = b"\0\x12\x34\x04echo"
    for n in range(8):
        world = Callers()
        assert world.say(good[:n]) == 11, n
    world = Callers()
    assert world.say(good) is None and world.say(good) == 11  # an id that is being served
    for data in (b"\0\x12\x34\0", b"\0\x12\x34\x41" + b"m" * 65, b"\x80", b"\x80\x12"):
        assert Callers().say(data) == 11, data
    assert Callers().say(b"\x02\x12\x34") is None  # of a later version


def test_ids_go_round_and_leave_out_those_on_the_way():
    world = Callers()
    first = world.call(ms=100000)
    world.asker.reactors[0]._id = 0xFFFE
    assert [world.call(), world.call()] == [0xFFFF, first % 0xFFFF + 1] and first == 1
