"""Headers with real proof of work, of the easiest target that there is: what the tests of Bitcoin follow."""

from picoswarm.compat import sha256
from picoswarm.headers import target

EASY = 0x207FFFFF  # every second hash is small enough
FIRST_TIME = 1296688602  # of regtest
GENESIS = (
    b"\1\0\0\0"
    + bytes(32)
    + bytes(
        b"\x3b\xa3\xed\xfd\x7a\x7b\x12\xb2\x7a\xc7\x2c\x3e\x67\x76\x8f\x61\x7f\xc8\x1b\xc3\x88\x8a\x51\x32\x3a\x9f\xb8\xaa"
        b"\x4b\x1e\x5e\x4a"
    )
    + FIRST_TIME.to_bytes(4, "little")
    + EASY.to_bytes(4, "little")
    + b"\2\0\0\0"
)


def twice(data):
    return sha256(sha256(data).digest()).digest()


def mine(before, time, bits=EASY, root=None, version=4):
    """A header that follows another one."""
    head = version.to_bytes(4, "little") + twice(before) + (root or twice(before + time.to_bytes(4, "little")))
    head += time.to_bytes(4, "little") + bits.to_bytes(4, "little")
    most = target(bits)
    nonce = 0
    while True:
        header = head + nonce.to_bytes(4, "little")
        if int.from_bytes(twice(header), "little") <= most:
            return header
        nonce += 1


def mine_more(chain, count, step=600, salt=0):
    """Add headers to a list that begins with the genesis; another salt gives other blocks."""
    for _ in range(count):
        time = int.from_bytes(chain[-1][68:72], "little") + step + salt
        chain.append(mine(chain[-1], time))
    return chain


def answer(chain, after, count=8, tip=None):
    """What a gateway with this chain answers who has its block `after`."""
    out = after.to_bytes(4, "big") + (len(chain) - 1 if tip is None else tip).to_bytes(4, "big")
    for header in chain[after + 1 : after + 1 + count]:
        out += header[:4] + header[36:]
    return out


def serve(chain, points):
    """As a gateway does: what follows the first of the points that the chain has; None for none."""
    for at in range(0, len(points), 12):
        height = int.from_bytes(points[at : at + 4], "big")
        if height < len(chain) and twice(chain[height])[:8] == points[at + 4 : at + 12]:
            return answer(chain, height)
