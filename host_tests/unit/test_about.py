"""What a node answers to who asks with whom it has sessions."""

from fake_peers import Limits, node_id
from picoswarm.about import about
from picoswarm.profile import Profile

RUNTIMES = ("cpython", "micropython", "board")

STATUS = 3  # bytes of an answer before its payload


class Session:
    """An open one."""

    stage = 4
    is_outbound = 1

    def __init__(self, n, request_max):
        self.id = node_id(n)
        self.hello = Limits()
        self.hello.capabilities = 0
        self.hello.request_max = request_max


class Answerer:
    """A node's services and its swarm in one, with sessions of peers that take so long answers."""

    def __init__(self, request_max, *limits):
        self.swarm = self
        self.profile = Profile(request_max=request_max)
        self.peers = {}
        for n, limit in enumerate(limits):
            self.peers[node_id(n)] = Session(n, limit)

    def answer(self, n, first=b""):
        """What the peer of that number gets: (bytes of the message, sessions, ids)."""
        text = about(self, node_id(n), first)
        at = 1 + text[0]
        ids = [bytes(text[i + 1 : i + 33]) for i in range(at + 2, len(text), 33)]
        return STATUS + len(text), text[at] << 8 | text[at + 1], ids


def test_an_answer_has_as_many_sessions_as_both_nodes_take():
    node = Answerer(800, *(400, 800, 2000) * 10)
    for asker, limit in enumerate((400, 800, 800)):
        size, count, ids = node.answer(asker)
        assert limit - 33 < size <= limit, (asker, size)
        assert count == 30 and len(set(ids)) == len(ids) > 7


def test_the_rest_is_asked_for_by_its_number():
    node = Answerer(400, *(400,) * 12)
    ids = []
    while len(ids) < 12:
        more = node.answer(0, bytes((0, len(ids))))[2]
        assert more
        ids += more
    assert set(ids) == {node_id(n) for n in range(12)}


def test_who_has_gone_meanwhile_costs_no_error():
    assert Answerer(400, 400).answer(5)[1] == 1
