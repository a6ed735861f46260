"""A chain of headers that may have too little work to be kept is weighed first. Pure.

On the first pass each header is checked, and of STEP of them one hash is remembered. Once there is enough work, they are
asked for again, from where they left our chain; each part is kept when it ends with the hash that was remembered. So a long
chain of little work costs 32 bytes for STEP headers, and nothing on the disk. The idea is that of Bitcoin Core.
"""

from __future__ import annotations

from collections import deque

from .chain import MEDIAN, Block, Chain, Unconnected
from .networks import SPAN, double_sha256
from .wire import MOST_HEADERS, Malformed

STEP = MOST_HEADERS
PACE_S = 600
MARGIN = 2  # times as many blocks as the network's pace would have made are too many,
REDUCED_MARGIN = 8  # or so many times, where they become easy after a while


class Weighing:
    """One chain, of one peer. `height`: of the newest header that was looked at. `is_enough`: its work is, and this is the
    second pass. `is_done`: all of it was given back."""

    def __init__(self, chain: Chain, start: Block, began: float, now: int) -> None:
        """`start`: the block of ours that the first header follows. `began`: monotonic seconds. `now`: unix seconds."""
        self.began = began
        self.is_enough = self.is_done = False
        self.height = start.height
        self._chain = chain
        self._start = start
        self._enough = chain.enough
        margin = REDUCED_MARGIN if chain.network.reduces else MARGIN
        self._most = start.height + margin * max(0, now - start.time) // PACE_S + SPAN
        self._recent = deque([start], MEDIAN + 1)
        self._marks: deque[tuple[int, bytes]] = deque()  # (height, hash)
        self._part: list[bytes] = []
        self._last = start.hash

    @property
    def locator(self) -> list[bytes]:
        """What the next headers are asked by."""
        return [self._last, self._start.hash]

    @property
    def held(self) -> int:
        """Bytes that are kept of it."""
        return 32 * len(self._marks) + 80 * len(self._part)

    def take(self, headers: list[bytes], now: int) -> list[bytes]:
        """Headers that follow. Returns those that the chain may have. Raises Unconnected, and Malformed."""
        return self._take_again(headers) if self.is_enough else self._weigh(headers, now)

    def _weigh(self, headers: list[bytes], now: int) -> list[bytes]:
        before = self._recent[-1]
        for header in headers:
            if header[4:36] != before.hash:
                raise Unconnected
            block = self._chain.follow(double_sha256(header), header, before, now)
            if block.height > self._most:
                raise Malformed("a long chain with little work")
            if len(self._recent) == MEDIAN + 1:
                self._recent[1].before = None  # what lies further back is needed no more
            self._recent.append(block)
            self.is_enough = block.work >= self._enough
            if self.is_enough or (block.height - self._start.height) % STEP == 0:
                self._marks.append((block.height, block.hash))
            before = block
            if self.is_enough:
                self._recent.clear()
                self.height, self._last = self._start.height, self._start.hash
                return []
        self.height, self._last = before.height, before.hash
        return []

    def _take_again(self, headers: list[bytes]) -> list[bytes]:
        ready: list[bytes] = []
        for at, header in enumerate(headers):
            if header[4:36] != self._last:
                raise Unconnected
            self._last = double_sha256(header)
            self.height += 1
            self._part.append(header)
            height, mark = self._marks[0]
            if self.height < height:
                continue
            if self._last != mark:
                raise Malformed("another chain than the first time")
            ready += self._part
            self._part = []
            self._marks.popleft()
            if not self._marks:
                self.is_done = True
                return ready + headers[at + 1 :]
        return ready
