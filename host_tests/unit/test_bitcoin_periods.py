"""The difficulty that a board computes itself, each 2,016 blocks (issue 9). The gateway does the same by code of
its own: see host_tests/gateway/test_bitcoin_chain.py, where both follow one chain."""

from mining import EASY, FIRST_TIME, GENESIS, mine, twice
from picoswarm import headers
from picoswarm.headers import Headers, compact, target

RUNTIMES = ("cpython", "micropython")
SPAN = 2016


class Network:
    """A chain that goes on from its newest header; boards that follow it block by block."""

    def __init__(self, step):
        headers.NETWORKS["easy"] = (EASY, 1)
        self.board = Headers("easy", 0, GENESIS, 32)
        self.tip = GENESIS
        self.step = step

    def time(self):
        return FIRST_TIME + (self.board.height + 1) * self.step

    def offer(self, header):
        height = self.board.height
        return self.board.take(height.to_bytes(4, "big") + (height + 1).to_bytes(4, "big") + header[:4] + header[36:])

    def go_on(self, bits):
        header = mine(self.tip, self.time(), bits)
        assert self.offer(header) is None
        self.tip = header


def test_blocks_that_come_too_fast_make_the_next_ones_harder():
    chain = Network(300)
    while chain.board.height < SPAN - 1:
        chain.go_on(EASY)
    bits = compact(target(EASY) * (SPAN - 1) * 300 // 1209600)
    assert chain.offer(mine(chain.tip, chain.time(), EASY)) == "wrong difficulty"
    chain.go_on(bits)
    assert chain.board.height == SPAN and chain.board.hash(SPAN) == twice(chain.tip)
    assert chain.offer(mine(chain.tip, chain.time(), EASY)) == "wrong difficulty", "for the whole period"
    chain.go_on(bits)
    del headers.NETWORKS["easy"]


def test_blocks_that_come_too_slowly_make_them_no_easier_than_the_limit():
    chain = Network(1200)
    while chain.board.height < SPAN:
        chain.go_on(EASY)
    assert chain.offer(mine(chain.tip, chain.time(), 0x2100FFFF)) == "wrong difficulty"
    del headers.NETWORKS["easy"]
