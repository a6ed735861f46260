"""What strangers, and members that break the rules, cost a swarm: nothing but their own sockets and sessions (rows E7, E8,
E10, T9-T11, B27, B31; A8, A10, A12-A16, A22)."""

from swarming import (
    BANNED,
    BYE,
    CHANNEL,
    CREDIT,
    FORGED,
    MALFORMED,
    MINUTE,
    SECOND,
    SLOW,
    STREAM,
    TOO_LONG,
    UNLISTED,
    A,
    B,
    Node,
    Puppet,
    World,
    frame,
)

RUNTIMES = ("cpython", "small")  # two swarms and this file take more than 64 KB

_C = Node(bytes(range(1, 33)))
_WAN = b"\x29\1\2\3"
_LAN = b"\x0a\0\0\x63"
_LOOPBACK = b"\x7f\0\0\1"
_CHALLENGE = 18  # bytes of a challenge


def test_a_socket_that_says_nothing_is_closed_after_two_seconds():
    world = World()
    a = world.add(A, 1)
    stranger = world.knock(a, _WAN)
    world.run(1900)
    assert not stranger.has_ended
    world.run(1200)
    assert stranger.has_ended and a.is_at_rest()
    assert stranger.other.said == b""  # not a byte to a stranger


def test_a_newcomer_takes_the_place_of_a_silent_socket_after_half_a_second():
    world = World()
    a = world.add(A, 1)
    first = world.knock(a, _WAN)
    world.run(400)
    assert world.knock(a, _LAN).has_ended and not first.has_ended
    world.run(200)
    assert not world.knock(a, _LAN).has_ended
    world.settle()
    assert first.has_ended and len(a.sockets) == 1


def test_who_left_without_a_word_waits_before_he_may_come_again():
    for ip, ms in ((_WAN, 30000), (_LAN, 5000), (_LOOPBACK, 0)):
        world = World()
        a = world.add(A, 1)
        world.cut(world.knock(a, ip))
        waited = 0
        while world.knock(a, ip).has_ended:
            world.run(500)
            waited += 500
        assert ms - 500 <= waited <= ms + 500, (ip, waited)


def test_a_member_comes_in_while_strangers_knock_all_the_time():
    world = World()
    a, b = world.add(A, 1), world.add(B, 2)
    b.needs(a)
    for i in range(80):
        world.knock(a, bytes((41, i, 2, 3)))
        world.run(700)
    assert a.session(b)


def test_junk_is_no_message_1():
    world = World()
    a = world.add(A, 1)
    stranger = world.knock(a, _WAN)
    stranger.other.inbox += bytes(range(51))
    world.settle()
    assert stranger.has_ended and a.is_at_rest() and stranger.other.said == b""


def test_a_byte_now_and_then_buys_no_time():
    world = World()
    a = world.add(A, 1)
    stranger = world.knock(a, _WAN)
    for i in range(30):
        stranger.other.inbox += b"\x11" if i == 0 else b"\0"
        world.run(100)
    world.run(200)
    assert stranger.has_ended and a.is_at_rest()


def test_a_member_that_opens_and_says_no_more_has_five_seconds():
    world = World()
    a = world.add(B, 1)
    puppet = Puppet(world, a)
    puppet.send(puppet.open())
    world.run(4 * SECOND)
    assert not puppet.socket.has_ended
    world.run(2500)
    assert puppet.socket.has_ended and a.is_at_rest()


def test_one_whose_turn_has_not_come_waits_undisturbed_and_then_has_its_own_five_seconds():
    world = World()
    a = world.add(B, 1)
    first = Puppet(world, a)
    first.send(first.open())
    second = Puppet(world, a, _C, b"\x0a\0\0\x0a")
    second.send(second.open())
    assert second.socket.inbox == b"" and not second.socket.has_ended
    world.run(SECOND)
    assert world.knock(a, _LAN).has_ended  # the door is taken
    world.run(5 * SECOND)
    assert first.socket.has_ended and not second.socket.has_ended and second.socket.inbox
    world.run(3 * SECOND)
    second.send(second.open())
    assert _C.id in a.swarm.peers


def test_a_recorded_first_message_gets_nothing_the_second_time():
    world = World()
    a = world.add(B, 1)
    puppet = Puppet(world, a)
    recording = puppet.open()
    puppet.send(recording)
    assert puppet.socket.inbox
    world.cut(puppet.socket)
    thief = world.knock(a, _WAN)
    thief.other.inbox += recording
    world.settle()
    assert thief.has_ended and thief.inbox == b"" and not a.swarm.sessions


def _opens(world, member, i):
    """A member's first message from the `i`th address, and nothing more. Returns its socket."""
    puppet = Puppet(world, member, _C, bytes((10, 0, 0, 20 + i)))
    puppet.send(puppet.open())
    return puppet.socket


def test_after_two_that_did_not_finish_newcomers_are_challenged():
    world = World()
    a, b = world.add(B, 1), world.add(A, 2)
    for i in range(2):
        socket = _opens(world, a, i)
        assert len(socket.inbox) > _CHALLENGE
        world.cut(socket)
    socket = _opens(world, a, 2)
    assert len(socket.inbox) == _CHALLENGE
    world.cut(socket)
    b.wants(a)
    world.run(4 * SECOND)
    assert a.session(b)  # a real one answers it


def test_many_that_find_no_place_do_not_make_it_challenge_anybody():
    world = World()
    a, b = world.add(B, 1, links=1, reserved=0), world.add(A, 2)
    world.join(a, b)
    for i in range(4):
        socket = _opens(world, a, i)
        assert socket.has_ended and socket.inbox == b""
    a.session(b).close()
    world.run(SECOND)
    a.swarm.manager.add(_C.id, b"\x0a\0\0\x63", 5000, world.now)
    assert len(_opens(world, a, 9).inbox) > _CHALLENGE


def test_a_puppet_that_keeps_the_rules_stays():
    world = World()
    b = world.add(B, 1)
    puppet = Puppet(world, b).join()
    puppet.say(frame(0, b"\1"))
    assert frame(0, b"\2") in puppet.heard()  # a PONG
    world.run(MINUTE // 2)
    assert A.id in b.swarm.peers and not puppet.socket.has_ended


def test_records_that_break_the_rules_end_the_session_with_the_reason():
    for text, reason in (
        (frame(128, b"/echo/1.0.0", 0x20) + frame(128, bytes(254)), CREDIT),  # a stream has 256 with the header
        (frame(CHANNEL + 1, b"x"), UNLISTED),
        (frame(CHANNEL, bytes(301)), TOO_LONG),
        (frame(CHANNEL, b"", 0), MALFORMED),
        (frame(0, b"\3" + bytes((CHANNEL,)) + b"\xff\xff") * 2, CREDIT),
        (frame(0, b"\x09"), MALFORMED),
        (frame(129, b"/echo/1.0.0", 0x20), STREAM),  # an odd id is not the initiator's
        (b"\x28\x10", MALFORMED),
        (b"\x28\x13\xff", MALFORMED),
    ):
        world = World()
        b = world.add(B, 1)
        puppet = Puppet(world, b).join()
        puppet.say(frame(0, b"\1"))
        puppet.heard()
        puppet.say(text)
        assert b.closed() == [reason], (b.closed(), reason)
        assert puppet.was_told(reason)
        world.run(2 * SECOND)
        assert b.is_at_rest()


def test_who_does_it_again_is_banned():
    world = World()
    b = world.add(B, 1)
    for _ in range(2):
        puppet = Puppet(world, b).join()
        puppet.say(frame(0, b"\1"))
        puppet.say(frame(CHANNEL, b"", 0))
        assert puppet.was_told(MALFORMED)
    puppet = Puppet(world, b).join()
    assert puppet.was_told(BANNED) and b.opened() == 2


def test_a_record_that_was_not_sealed_by_the_peer_ends_the_session():
    for spoil in (0, 5, 20):
        world = World()
        b = world.add(B, 1)
        puppet = Puppet(world, b).join()
        puppet.say(frame(0, b"\1"))
        record = bytearray(puppet.record(frame(0, b"\1")))
        record[spoil + 1 if not spoil else spoil] ^= 1
        puppet.send(bytes(record) + bytes(9))
        assert b.closed() in ([FORGED], [MALFORMED]) and puppet.socket.has_ended


def test_a_record_that_comes_twice_ends_the_session():
    world = World()
    b = world.add(B, 1)
    puppet = Puppet(world, b).join()
    record = puppet.record(frame(0, b"\1"))
    puppet.send(record)
    puppet.send(record)
    assert b.closed() == [FORGED]


def test_a_record_longer_than_was_agreed_is_refused_by_its_length():
    world = World()
    b = world.add(B, 1)
    puppet = Puppet(world, b).join()
    puppet.say(frame(0, b"\1"))
    puppet.send(b"\x03\x11")
    assert b.closed() == [MALFORMED]


def test_half_a_record_and_then_nothing_has_ten_seconds_and_single_bytes_win_no_more():
    for drips in (False, True):
        world = World()
        b = world.add(B, 1)
        puppet = Puppet(world, b).join()
        puppet.say(frame(0, b"\1"))
        record = puppet.record(frame(0, bytes(200)))
        puppet.send(record[:20])
        for i in range(9):
            world.run(SECOND)
            if drips:
                puppet.send(record[20 + i : 21 + i])
        assert b.closed() == []
        world.run(2 * SECOND)
        assert b.closed() == [SLOW] and puppet.was_told(SLOW)


def test_records_may_come_byte_by_byte_and_several_at_once():
    world = World()
    b = world.add(B, 1)
    puppet = Puppet(world, b).join()
    for byte in puppet.record(frame(0, b"\1") + frame(CHANNEL, b"slow")):
        puppet.send(bytes((byte,)))
    data = b"".join([puppet.record(frame(CHANNEL, text)) for text in (b"one", b"two", b"3")])
    puppet.send(data[:-1])
    puppet.send(data[-1:])
    assert [more for what, _, more in b.recorder.told if what == "message"] == [b"slow", b"one", b"two", b"3"]


def test_a_first_record_that_came_with_the_handshake_is_not_forgotten():
    world = World()
    b = world.add(B, 1)
    puppet = Puppet(world, b)
    puppet.send(puppet.open())
    last = puppet.open()
    puppet.send(last + puppet.record(frame(0, b"\1")))
    assert A.id in b.swarm.peers and b.opened() == 1
    assert frame(0, b"\2") in puppet.heard()


def test_a_member_that_never_sends_a_record_is_no_peer_and_goes_after_ten_seconds():
    world = World()
    b = world.add(B, 1)
    puppet = Puppet(world, b).join()
    world.run(9 * SECOND)
    assert b.opened() == 0 and not puppet.socket.has_ended
    world.run(3 * SECOND)
    assert puppet.was_told(SLOW) and b.is_at_rest() and b.closed() == []


def test_a_flood_of_pings_is_one_pong():
    world = World()
    b = world.add(B, 1)
    puppet = Puppet(world, b).join()
    puppet.say(frame(0, b"\1"))
    puppet.heard()
    puppet.send(puppet.record(frame(0, b"\1") * 150))
    assert puppet.heard() == frame(0, b"\2")
    assert b.closed() == []


def test_a_member_that_reads_nothing_and_breaks_a_rule_goes_within_a_second():
    world = World()
    b = world.add(B, 1)
    puppet = Puppet(world, b).join()
    puppet.say(frame(0, b"\1"))
    b.sockets[b.swarm.peers[A.id]].is_full = True  # the last record finds no way out either
    assert b.swarm.peers[A.id].try_send(CHANNEL, b"what waits goes no more")
    b.recorder.reason = MALFORMED
    puppet.say(frame(CHANNEL, b"what its reactor refuses"))
    world.run(2 * SECOND)
    assert b.closed() == [MALFORMED] and puppet.socket.has_ended and b.is_at_rest()


def test_what_follows_a_goodbye_is_ignored_in_the_next_record_too():
    for text in (b"late", bytes(301)):
        world = World()
        b = world.add(B, 1)
        puppet = Puppet(world, b).join()
        puppet.say(frame(0, b"\1"))
        puppet.send(puppet.record(frame(0, b"\4\0")) + puppet.record(frame(CHANNEL, text)))
        assert b.closed() == [BYE] and "message" not in b.recorder.words()


def test_a_challenged_member_that_was_displaced_may_come_again_at_once():
    world = World()
    a = world.add(B, 1)
    for i in range(2):
        world.cut(_opens(world, a, i))
    socket = _opens(world, a, 2)
    assert len(socket.inbox) == _CHALLENGE
    world.run(600)
    stranger = world.knock(a, _WAN)
    world.settle()
    assert socket.has_ended and not stranger.has_ended
    world.run(600)
    socket = _opens(world, a, 2)
    assert not socket.has_ended
    world.run(600)
    again = _opens(world, a, 2)  # who displaces himself may have recorded all that he says
    assert socket.has_ended and not again.has_ended
    world.cut(again)
    world.run(600)
    assert _opens(world, a, 2).has_ended
