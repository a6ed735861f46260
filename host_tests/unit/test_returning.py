"""Who comes back to a gateway under a key that was revoked."""

from picoswarm.identity import Keyring
from picoswarm.membership import NetworkKey
from picoswarm.returning import Returning

RUNTIMES = ("cpython", "micropython")

EPOCH, REVOKED = 9, 22
A, B, C = b"a" * 32, b"b" * 32, b"c" * 32
RPC, OTHER = object(), object()


class Table:
    """Knows one id."""

    def find(self, buf, at, n):
        return 0 if buf == C else -1


class Session:
    def __init__(self, id32, epoch, *reactors):
        self.id = id32
        self.epoch = epoch
        self.reactors = list(reactors)


def gateway():
    """It had a session with A, and then the key of epoch 1 was revoked."""
    keys = Keyring(NetworkKey(bytes(range(32)), 1))
    returning = Returning(keys, RPC, Table())
    assert returning.refusal(Session(A, 1, OTHER)) == 0
    keys.retired = keys.highest
    keys.highest = NetworkKey(bytes(range(1, 33)), 2)
    return keys, returning


def test_the_retired_key_opens_handshakes_and_nothing_else():
    keys, returning = gateway()
    assert returning.find(1) is keys.retired and keys.find(1) is None
    assert returning.highest is keys.highest and returning.lower is None
    assert returning.find(3) is None


def test_who_was_known_gets_a_session_for_requests_alone():
    _, returning = gateway()
    for id32 in (A, C):
        session = Session(id32, 1, OTHER, RPC)
        assert returning.refusal(session) == 0
        assert session.reactors == [RPC]


def test_strangers_revoked_ones_and_those_without_requests_get_none():
    keys, returning = gateway()
    assert returning.refusal(Session(B, 1, RPC)) == EPOCH
    assert returning.refusal(Session(A, 1, OTHER)) == EPOCH
    keys.revoked = A[:16]
    assert returning.refusal(Session(A, 1, RPC)) == REVOKED
    assert returning.refusal(Session(A, 2, RPC)) == REVOKED


def test_under_the_present_key_all_is_as_ever():
    _, returning = gateway()
    session = Session(B, 2, OTHER, RPC)
    assert returning.refusal(session) == 0 and session.reactors == [OTHER, RPC]


def test_a_longer_memory_is_asked():
    _, returning = gateway()
    returning.remembers = lambda id32: id32 == B
    assert returning.refusal(Session(B, 1, RPC)) == 0


def test_without_a_revocation_an_old_key_opens_nothing():
    keys, returning = gateway()
    keys.retired = None
    assert returning.find(1) is None and returning.refusal(Session(A, 1, RPC)) == EPOCH
