"""A board checks Bitcoin's headers itself: what a gateway may tell it, and what it does not believe (issue 9)."""

from mining import EASY, FIRST_TIME, GENESIS, answer, mine, mine_more, serve, twice
from picoswarm.errors import LocalError
from picoswarm.headers import Headers, compact, target
from support import raises

RUNTIMES = ("cpython", "micropython")


def follower(ring=32):
    return Headers("regtest", 0, GENESIS, ring)


def follow(board, chain):
    """Take all that a gateway has; returns what was wrong, or None."""
    while True:
        before = board.reached
        wrong = board.take(serve(chain, board.points()))
        if wrong or board.reached >= len(chain) - 1 or board.reached == before:
            return wrong


def made(count, salt=0):
    return mine_more([GENESIS], count, salt=salt)


def test_the_first_block_is_the_one_that_everybody_knows():
    board = follower()
    assert board.hash(0) == twice(GENESIS) and twice(GENESIS)[-4:] == b"\xf1\x88\x91\x0f"


def test_a_target_and_its_short_form_agree():
    for bits in (0x1D00FFFF, 0x1B0404CB, 0x207FFFFF, 0x1E0377AE, 0x03123456, 0x05009234):
        assert compact(target(bits)) == bits
    assert target(0x1D00FFFF) == 0xFFFF << 208
    assert target(0x04923456) == 0  # negative


def test_a_board_follows_a_chain_that_is_longer_than_its_ring():
    board = follower()
    chain = made(70)
    assert follow(board, chain) is None
    assert board.height == 70 and board.hash(70) == twice(chain[70])
    assert board.hash(38) is None and board.hash(39) == twice(chain[39])
    assert board.events == [("block", 70, twice(chain[70]), FIRST_TIME + 70 * 600)]


def test_a_header_without_proof_of_work_is_not_believed():
    board = follower()
    chain = made(5)
    forged = chain[5][:76]
    nonce = 0
    while int.from_bytes(twice(forged + nonce.to_bytes(4, "little")), "little") <= target(EASY):
        nonce += 1
    chain[5] = forged + nonce.to_bytes(4, "little")
    assert follow(board, chain) == "no proof of work"
    assert board.height == 4, "what came before it stays"


def test_a_header_of_an_easier_difficulty_is_not_believed():
    board = follower()
    chain = made(3)
    chain.append(mine(chain[-1], FIRST_TIME + 4000, 0x2100FFFF))
    assert follow(board, chain) == "wrong difficulty" and board.height == 3


def test_headers_that_do_not_follow_each_other_are_not_believed():
    """The hash of the one before is no part of an answer: the board puts its own, and the proof of work breaks."""
    board = follower()
    chain, other = made(12), made(12, 1)
    mixed = chain[:6] + other[6:]
    assert follow(board, mixed) in ("no proof of work", "wrong difficulty", "too old")
    assert board.height < 12


def test_a_header_older_than_the_median_of_eleven_is_not_believed():
    board = follower()
    chain = made(12)
    follow(board, chain)
    chain.append(mine(chain[-1], FIRST_TIME + 7 * 600))  # the median is that of block 7
    assert follow(board, chain) == "too old"
    chain[-1] = mine(chain[-2], FIRST_TIME + 7 * 600 + 1)
    assert follow(board, chain) is None and board.height == 13


def test_a_reorganisation_is_followed_and_told():
    board = follower()
    chain = made(25)
    follow(board, chain)
    board.events.clear()
    other = mine_more(chain[:6], 21, salt=1)
    assert follow(board, other) is None
    assert board.height == 26 and board.hash(26) == twice(other[26]) and board.hash(6) == twice(other[6])
    assert [event[:3] for event in board.events] == [("reorganised", 20, 26), ("block", 26, twice(other[26]))]


def test_a_branch_with_less_work_changes_nothing():
    board = follower()
    chain = made(20)
    follow(board, chain)
    board.events.clear()
    other = mine_more(chain[:11], 10, salt=1)  # ten for ten: who came first stays
    assert follow(board, other) == "too little work"
    assert board.height == 20 and board.hash(20) == twice(chain[20]) and not board.events
    mine_more(other, 1, salt=1)
    assert follow(board, other) is None and board.hash(21) == twice(other[21])


def test_a_chain_that_parted_below_the_ring_has_no_point_in_common():
    board = follower()
    chain = made(60)
    follow(board, chain)
    other = mine_more(chain[:20], 60, salt=1)
    assert serve(other, board.points()) is None
    low = board.height - 32 + 11
    assert board.take(answer(other, low - 1)) == "not asked for"
    assert board.height == 60


def test_a_branch_takes_no_more_memory_than_the_ring():
    board = follower()
    chain = made(40)
    follow(board, chain)
    other = mine_more(chain[:30], 8, salt=1)
    for count in range(6):  # a gateway that says it has more, again and again, on a branch that never outweighs
        wrong = board.take(answer(other, board.reached if count else 29, 8, 999))
        assert len(board.points()) < 120
        if wrong:
            break
    assert board.height == 40


def test_malformed_answers_are_named():
    board = follower()
    for junk in (b"", bytes(7), bytes(9), bytes(8 + 47), b"\xff" * 8):
        assert board.take(junk) in ("malformed", "not asked for"), junk
    assert board.take(answer(made(3), 0, 0)) is None


def test_a_transaction_is_proven_by_its_branch_and_a_wrong_one_is_not():
    leaves = [bytes([i]) * 32 for i in range(1, 6)]
    level = leaves
    branches = [b"" for _ in leaves]
    index = list(range(5))
    while len(level) > 1:
        if len(level) % 2:
            level = level + level[-1:]
        for i in range(5):
            branches[i] += level[index[i] ^ 1]
            index[i] //= 2
        level = [twice(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    board = follower()
    chain = made(2)
    chain.append(mine(chain[-1], FIRST_TIME + 2000, root=level[0]))
    follow(board, chain)
    for i in range(5):
        assert board.proves(leaves[i], 3, i, branches[i])
    assert not board.proves(leaves[0], 3, 1, branches[0])
    assert not board.proves(leaves[0], 3, 0, branches[1])
    assert not board.proves(leaves[0], 2, 0, branches[0])
    assert not board.proves(leaves[0], 3, 8, branches[0])  # a place that a tree of this depth has not
    assert not board.proves(leaves[0], 3, 0, branches[0][:-1])
    assert not board.proves(leaves[0], 3, 0, bytes(32 * 17))
    assert not board.proves(leaves[0], 9, 0, branches[0])


def test_what_cannot_be_followed_is_refused_at_once():
    raises(LocalError, Headers, "dogenet", 0, GENESIS)
    raises(LocalError, Headers, "main", 2015, GENESIS)
    raises(LocalError, Headers, "regtest", 0, GENESIS[:79])
