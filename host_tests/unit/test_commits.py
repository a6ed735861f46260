"""Headers of a real chain and the votes behind them, and what is refused."""

from comet_blocks import BLOCK_4, BLOCK_5, BLOCK_9, CHAIN, HASH_4, HASH_5, HASH_9
from picoswarm.commits import Commit, merkle, read_header, validators_hash
from picoswarm.compat import sha256
from picoswarm.crypto import run
from picoswarm.ed25519 import Verify

RUNTIMES = ("cpython", "micropython")


class Block:
    """A recorded block, taken apart."""

    def __init__(self, data):
        n = int.from_bytes(data[:2], "big")
        self.raw = data[2 : 2 + n]
        at = 2 + n
        self.round = int.from_bytes(data[at : at + 4], "big")
        n = data[at + 4]
        self.block = data[at + 5 : at + 5 + n]
        at += 5 + n
        n = int.from_bytes(data[at : at + 2], "big")
        at += 2
        self.validators = []
        for _ in range(n):
            self.validators.append((data[at : at + 32], int.from_bytes(data[at + 32 : at + 40], "big")))
            at += 40
        self.votes = []
        while at < len(data):
            self.votes.append(data[at + 1 : at + 1 + data[at]])
            at += 1 + data[at]
        self.header = read_header(self.raw)

    def commit(self, trusted=None):
        return Commit(self.header, self.round, self.block, self.validators, trusted)


def count(commit, votes, verify=True):
    """How many votes it takes until they are enough, None: they never are."""
    for i in range(len(votes)):
        vote = commit.vote(i, votes[i])
        if vote is None:
            continue
        if verify and not run(Verify(*vote)):
            return None
        commit.count(i)
        if commit.is_enough():
            return i + 1
    return None


def test_the_hash_of_a_header_is_that_of_the_chain():
    for data, expected in ((BLOCK_4, HASH_4), (BLOCK_5, HASH_5), (BLOCK_9, HASH_9)):
        block = Block(data)
        assert block.header.hash == expected and block.header.chain == CHAIN
        assert validators_hash(block.validators) == block.header.validators_hash


def test_three_of_four_validators_are_enough():
    block = Block(BLOCK_5)
    commit = block.commit()
    assert commit.refusal() is None
    counted = count(commit, block.votes)
    assert counted in (3, 4) and 3 * commit.votes > 2 * commit.total


def test_two_of_four_are_not():
    block = Block(BLOCK_5)
    assert count(block.commit(), block.votes[:2], False) is None


def test_one_vote_given_twice_counts_once():
    block = Block(BLOCK_5)
    commit = block.commit()
    first = [i for i in range(4) if commit.vote(i, block.votes[i])][0]
    commit = block.commit()
    assert commit.vote(first, block.votes[first]) is not None
    commit.count(first)
    assert commit.vote(first, block.votes[first]) is None


def test_a_vote_for_another_block_is_not_authentic():
    block = Block(BLOCK_5)
    other = Block(BLOCK_4)
    commit = Commit(block.header, block.round, block.block, block.validators)
    vote = [commit.vote(i, other.votes[i]) for i in range(4)]
    vote = [each for each in vote if each][0]
    assert not run(Verify(*vote))


def test_every_changed_byte_of_a_header_changes_its_hash_or_is_refused():
    block = Block(BLOCK_4)
    for i in range(len(block.raw)):
        changed = bytearray(block.raw)
        changed[i] ^= 1
        header = read_header(bytes(changed))
        assert header is None or header.hash != HASH_4, i


def test_a_cut_header_is_none_or_another():
    raw = Block(BLOCK_4).raw
    for n in range(len(raw)):
        header = read_header(raw[:n])
        assert header is None or header.hash != HASH_4


def test_validators_that_the_header_does_not_name_are_refused():
    block = Block(BLOCK_5)
    key, votes = block.validators[0]
    more = [(key, votes + 1)] + block.validators[1:]
    assert Commit(block.header, block.round, block.block, more).refusal() is not None
    assert Commit(block.header, block.round, block.block, []).refusal() is not None


def test_a_commit_of_another_block_is_refused():
    block = Block(BLOCK_5)
    assert Commit(block.header, block.round, Block(BLOCK_4).block, block.validators).refusal() is not None
    assert Commit(block.header, block.round, b"\xff", block.validators).refusal() is not None


def test_over_a_gap_more_than_a_third_of_who_is_trusted_must_have_signed():
    block = Block(BLOCK_9)
    stranger = (b"s" * 32, 1000)
    assert count(block.commit(block.validators), block.votes, False) is not None
    assert count(block.commit(block.validators + [stranger]), block.votes, False) is None
    assert count(block.commit([stranger]), block.votes, False) is None


def test_the_root_of_a_tree_is_that_of_its_definition():
    assert merkle([]) == sha256(b"").digest()
    a, b, c = (sha256(b"\0" + each).digest() for each in (b"a", b"b", b"c"))
    assert merkle([b"a"]) == a
    left = sha256(b"\1" + a + b).digest()
    assert merkle([b"a", b"b", b"c"]) == sha256(b"\1" + left + c).digest()
