"""The PING of a proven peer, which machine code answers: what it says and leaves behind is what the bytecode of every other
case would (responder.py), and what it must not answer is left to that."""

from forms import encode_ping
from link import PORT, Link, Puppet, keys, small
from picoswarm.compat import KERNELS, ticks_add
from picoswarm.membership import Membership

RUNTIMES = ("cpython", "board")

_SEALED = 6  # Responder.kind of an answer that machine code wrote
_PONG = 2
_ANY_PORT = 7000


class Twins:
    """Two engines that are the same and live through the same: of PINGs, one is told by `receive`, the other by what
    `receive` does where there is no machine code for a PING."""

    def __init__(self):
        self.links = [Link(), Link()]
        self.nodes = []
        self.puppets = []
        for link in self.links:
            self.nodes.append(link.add(0, small(), Membership(keys(1), keys(2, 7))))
            link.pass_ms(100)
            self.puppets.append(Puppet(link, 1, membership=Membership(keys(1), keys(2, 7))))
        self.pair = self.puppets[0].pair(self.nodes[0])
        self.token = [puppet.befriend(node, self.pair) for puppet, node in zip(self.puppets, self.nodes)][0]
        self.pings = 0
        self.said = None  # the last answer: bytes, IP, port
        self.record = -1
        self.ping()
        self.record = self.nodes[0].table.find(self.puppets[0].id, 0, 32)
        self.pass_ms(1000)

    def pass_ms(self, ms):
        for link in self.links:
            link.pass_ms(ms)

    def ping(self, token=None, is_full=False, pair=None, key=None, ip=None, port=PORT, capabilities=0, size=50, flip=-1):
        """The kind of answer that the first one has for a PING of the puppet, both having been asked. `flip`: this byte of
        the plaintext is another one, under a right envelope."""
        self.pings += 1
        puppet, other = self.puppets[0], self.puppets[1]
        rid = b"rid" + bytes((self.pings,))
        key = key or puppet.key
        token = self.token if token is None else token or None
        n = encode_ping(puppet.codec, puppet.out, rid, key, pair or self.pair, is_full, _ANY_PORT, capabilities, token, size)
        if flip >= 0:
            key.stream.xor(puppet.out, 1, 0, puppet.out, 13, n)
            puppet.out[flip] ^= 1
            key.mac.sign(puppet.out, 13, n, 1)
            key.stream.xor(puppet.out, 1, 0, puppet.out, 13, n)
        other.out[:n] = puppet.out[:n]
        ip = ip or puppet.ip
        one, two = self.nodes
        one.receive(puppet.out, n, ip, port, one.now)
        two.counts[0] += 1
        two.counts[18] += n
        d = two.codec
        d.ip = ip
        d.port = port
        d.scope = 2
        why = d.open(other.out, n)
        if why:
            two.count(why)
        else:
            two.responder.on_request()
        kind = one.responder.kind
        answers = [self.answer(node) for node in self.nodes]
        assert answers[0] == answers[1]
        self.said = answers[0]
        assert self.state(one) == self.state(two)
        return kind

    def answer(self, node):
        out = bytearray(512)
        n = node.to_send(out)
        return n and (bytes(out[:n]), node.to_ip, node.to_port)

    def state(self, node):
        budgets = [[each.wait_ms(node.now) for each in (node.responder.proven, node.responder._others)]]
        return bytes(node.table.pool), node.counts, node.revalidation.suspects, budgets, node.next_event()


USUAL = _SEALED if KERNELS == "viper" else _PONG


def test_the_ping_of_a_proven_peer_is_answered_as_by_bytecode():
    twins = Twins()
    assert twins.ping() == USUAL
    assert twins.ping(capabilities=0x0F) == USUAL
    twins.pass_ms(1000)
    assert twins.ping(capabilities=0x02) == USUAL  # flags go, too
    assert twins.ping(size=62) == USUAL  # longer than its answer
    twins.pass_ms(1000)
    for node in twins.nodes:
        node.uptime += 0x12345
    assert twins.ping() == USUAL


def test_one_that_missed_pings_or_is_to_be_asked_is_as_good_as_new():
    twins = Twins()
    for state, credit in ((0x0D, 9), (0x51, 0), (0x01, 80)):
        for node in twins.nodes:
            node.table.pool[twins.record + 63] = state
            node.table.pool[twins.record + 62] = credit
            node.revalidation.suspect(twins.record, 2, node.now)
        assert twins.ping() == USUAL
        assert twins.record not in twins.nodes[0].revalidation.suspects
        twins.pass_ms(1000)


def test_what_machine_code_does_not_answer_is_answered_by_bytecode():
    twins = Twins()
    assert twins.ping(is_full=True) == _PONG
    assert twins.ping(token=b"") == _PONG  # it shows none
    twins.pass_ms(1000)
    assert twins.ping(token=bytes(8)) == _PONG  # a wrong one
    twins.pass_ms(1000)
    assert twins.ping(port=PORT + 1) == _PONG  # it moved
    twins.pass_ms(9000)
    assert twins.ping(ip=b"\x0a\x00\x00\x63") == _PONG
    twins.pass_ms(9000)
    for kind in (2, 3):  # a replacement; a pair key that is no entry
        for node in twins.nodes:
            node.table.pool[twins.record + 63] = kind
            node.table.entries -= 1
        assert twins.ping() == _PONG
        twins.pass_ms(1000)


def test_a_peer_that_proves_another_address_is_asked_at_the_old_one_first():
    for ip, port in ((None, PORT + 1), (b"\x0a\x00\x00\x63", PORT)):
        twins = Twins()
        assert twins.ping(ip=ip, port=port) == _PONG
        puppet = twins.puppets[0]
        assert puppet.hear(twins.said[0]) == 0
        token = bytes(puppet.buf[puppet.codec.token : puppet.codec.token + 8])
        twins.pass_ms(1000)
        assert twins.ping(token=token, ip=ip, port=port) == _PONG
        assert twins.said[1:] == (ip or puppet.ip, port)
        for node in twins.nodes:
            assert len(node.requests.pool) == 1 and node.contact(puppet.id)[:2] == (puppet.ip, PORT)


def test_a_token_that_is_no_longer_the_present_one_is_replaced():
    twins = Twins()
    for node in twins.nodes:
        node.tokens.rotate(7200)
    assert twins.ping() == _PONG
    assert twins.ping() == _PONG


def test_under_each_network_key_the_answer_comes_under_the_same():
    twins = Twins()
    lower, higher = keys(1), keys(2, 7)
    for key in (lower, higher, lower):
        assert twins.ping(key=key) == USUAL
        twins.pass_ms(1000)


def test_a_wrong_pair_tag_is_a_counted_drop():
    twins = Twins()
    before = twins.nodes[0].counts[9]
    assert twins.ping(pair=bytearray(16)) == 0
    assert twins.ping(flip=44) == 0  # in the pair tag
    assert twins.ping(flip=30) == 0  # before it
    assert twins.nodes[0].counts[9] == before + 3
    assert twins.ping() == USUAL  # whoever spoils a tag spends nothing of the peer's share


def test_a_peer_is_answered_twice_in_a_second():
    twins = Twins()
    assert [twins.ping() for _ in range(4)] == [USUAL, USUAL, 0, 0]
    assert twins.nodes[0].counts[11] == 2
    twins.pass_ms(1000)
    assert twins.ping() == USUAL


def test_the_budget_of_proven_peers_holds_for_machine_code():
    twins = Twins()
    spent = twins.record + 65

    def again():
        for node in twins.nodes:
            node.table.pool[spent] = 0  # the peer's own share is not what ends it
        return twins.ping()

    assert [again() for _ in range(11)] == [USUAL] * 10 + [0]
    for link, node in zip(twins.links, twins.nodes):
        link.now = node.now = ticks_add(link.now, 100)
    assert [again(), again()] == [USUAL, 0]
    for link, node in zip(twins.links, twins.nodes):
        link.now = node.now = ticks_add(link.now, -50)  # a clock that jumps back gains nothing
    assert again() == 0


def test_a_second_ping_does_not_write_over_an_answer_that_waits():
    twins = Twins()
    node, puppet = twins.nodes[0], twins.puppets[0]
    answers = []
    for _ in range(2):
        twins.pings += 1
        rid = b"rid" + bytes((twins.pings,))
        n = encode_ping(puppet.codec, puppet.out, rid, puppet.key, twins.pair, False, 0, 0, twins.token, 50)
        node.receive(puppet.out, n, puppet.ip, PORT, node.now)
        answers.append(rid)
    assert node.counts[11] == 1
    out = bytearray(512)
    n = node.to_send(out)
    assert puppet.hear(out[:n]) == 0 and bytes(puppet.buf[14:18]) == answers[0]
    assert node.to_send(out) == 0


def test_an_answer_goes_to_who_asked_whatever_comes_before_it_is_sent():
    """As where the heap is full in the turn that it belongs to."""
    twins = Twins()
    node, puppet = twins.nodes[0], twins.puppets[0]
    n = encode_ping(puppet.codec, puppet.out, b"ridX", puppet.key, twins.pair, False, 0, 0, twins.token, 50)
    node.receive(puppet.out, n, puppet.ip, PORT, node.now)
    assert node.responder.kind == USUAL
    node.receive(bytearray(60), 60, b"\x0a\x00\x00\x63", 7777, node.now)
    assert node.to_send(bytearray(512)) == 50
    assert (node.to_ip, node.to_port) == (puppet.ip, PORT)
