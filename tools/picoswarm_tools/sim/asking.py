"""Requests between nodes in virtual time, as `picoswarm.services` makes them: a session with whom is asked, made where there
is none, and the answer in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from picoswarm.rpc import Rpc
from picoswarm.steering import in_use

from .clock import MILLISECOND, SECOND
from .swarm_node import SwarmMesh, SwarmNode

WITHIN_US = 10 * SECOND
RETRY_US = 50 * MILLISECOND  # as in services.py
CALL, DONE = 1, 2
ESTABLISHED = 4
BUSY, DUPLICATE, TRIMMED = 1, 6, 17  # what may be otherwise in a moment


class Answering(Rpc):
    """Serves "echo" at once; `done`: statuses of own calls, by number, until somebody fetched them."""

    def __init__(self, profile: Any, now: int) -> None:
        super().__init__(profile, now)
        self.register("echo")
        self.done: dict[int, int] = {}
        self.on_done: dict[int, Callable[[], object]] = {}

    def receive(self, peer: Any, channel: int, view: memoryview) -> int:
        reason = super().receive(peer, channel, view)
        self._drain()
        return reason

    def remove_peer(self, peer: Any, reason: int) -> None:
        super().remove_peer(peer, reason)
        self._drain()

    def tick(self, now: int) -> None:
        super().tick(now)
        self._drain()

    def _drain(self) -> None:
        while (event := self.next_event()) is not None:
            if event[0] == CALL:
                self.reply(event[1], 0, event[3])
            else:
                self.done[event[1]] = event[2]
                if (told := self.on_done.pop(event[1], None)) is not None:
                    told()


End = Callable[[bool, str, int], object]  # answered in time, else why not, microseconds


class Requests:
    """See the module. `serve` a node before it boots; then it answers, and may `ask`."""

    def __init__(self, mesh: SwarmMesh) -> None:
        self.mesh = mesh
        self.ends: Counter[str] = Counter()
        self._rpcs: dict[SwarmNode, Answering] = {}

    def serve(self, node: SwarmNode) -> list[Answering]:
        """For SwarmNode.more_reactors."""
        self._rpcs[node] = rpc = Answering(node.profile, node.now)
        return [rpc]

    def keep_busy(self, node: SwarmNode) -> None:
        """A link on which a request waits is not the one that makes room."""
        node.swarm.manager.in_use = partial(in_use, self._rpcs[node], ())

    def ask(self, node: SwarmNode, target: SwarmNode, end: End, payload: bytes = b"x") -> None:
        """Ask; `end` is called once."""
        self._reach(node, target, None, (self.mesh.clock.now_us, node.boots, payload, end))

    def _finish(self, request: tuple[int, int, bytes, End], why: str) -> None:
        since_us, _, _, end = request
        self.ends[why] += 1
        end(why == "answered", why, self.mesh.clock.now_us - since_us)

    def _reach(self, node: SwarmNode, target: SwarmNode, link: Any, request: tuple[int, int, bytes, End]) -> None:
        """One turn of `Services.session`."""
        since_us, boots, payload, _ = request
        if node.swarm is None or node.boots != boots:
            return self._finish(request, "power cut")
        clock = self.mesh.clock
        manager = node.swarm.manager
        is_late = clock.now_us - since_us >= WITHIN_US
        session = node.session(target)
        if (session is not None or is_late) and link is not None and link.state != ESTABLISHED:
            manager.cancel(link)
            node.swarm_turn()
        if session is not None:
            rpc = self._rpcs[node]
            number = rpc.call(session, "echo", payload, node.now)
            if number:
                rpc.on_done[number] = lambda: clock.after(0, self._answered, rpc, number, request)
            node.swarm_turn()
            if number:
                if number in rpc.done and rpc.on_done.pop(number, None) is not None:
                    self._answered(rpc, number, request)
                return None
        elif is_late:
            return self._finish(request, "no session")
        elif link is None:
            if target.id not in node.swarm.peers:
                link = node.want(target)
        elif link.reason in (BUSY, DUPLICATE, TRIMMED):
            if not link.callers or link not in manager.links:
                link = None
        elif link not in manager.links:
            return self._finish(request, f"reason {link.reason}")
        clock.after(RETRY_US, self._reach, node, target, link, request)
        return None

    def _answered(self, rpc: Answering, number: int, request: tuple[int, int, bytes, End]) -> None:
        status = rpc.done.pop(number, None)
        if status is None:
            return
        is_late = self.mesh.clock.now_us - request[0] > WITHIN_US
        self._finish(request, f"status {status}" if status else "late" if is_late else "answered")
