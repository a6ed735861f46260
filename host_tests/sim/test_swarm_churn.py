"""Connects and disconnects in every way there is, and nothing is left of them (issue 4: 1,000 of them, A24, B5, B42)."""

import gc
import os
import sys
from collections import Counter
from random import Random

from picoswarm.session import Session
from picoswarm_tools.sim import stream
from picoswarm_tools.sim.clock import MILLISECOND, MINUTE, SECOND
from picoswarm_tools.sim.mesh import BOOTSTRAP
from picoswarm_tools.sim.swarm_node import SwarmMesh
from picoswarm_tools.sim.tcp import End

LONG = os.environ.get("PICOSWARM_LONG") == "1"
CONNECTS, EACH = (1000, 50) if LONG else (150, 8)
PENDING, ESTABLISHED = 3, 4  # states of a link, see connmgr.py


class Churn:
    """Ten nodes that dial whom the test says. Pairs of them meet, a few at a time, and part in one of the ways of WAYS."""

    WAYS = ("goodbye", "cancel", "late", "both", "reset", "silence", "reboot")

    def __init__(self, seed: int) -> None:
        self.random: Random = stream(seed, "churn")
        self.mesh = mesh = SwarmMesh(seed, profile={"pubsub": 1})
        self.ways: Counter[str] = Counter()  # that came to pass, and "connect", "disconnect"
        self.told: dict[object, list[str]] = {}
        for number in range(10):
            node = mesh.add(know=mesh.nodes[:1], profile={} if number else BOOTSTRAP)
            node.on_swarm_event = self._note
        mesh.clock.run_for(SECOND)
        self._tame()
        mesh.clock.run_for(2 * MINUTE)
        self.free = list(mesh.nodes)

    def _tame(self) -> None:
        """No node dials by itself."""
        for node in self.mesh.nodes:
            node.swarm.manager.pick = None
            for session in list(node.swarm.sessions):
                node.swarm.end(session, 0)
            node.swarm_turn()

    def _note(self, node, event) -> None:
        """Every session opens before it closes, once each."""
        kind = {3: "connect", 4: "disconnect"}.get(event[0])
        if kind:
            self.ways[kind] += 1
            assert self.told.setdefault(event[1], []) == ([] if kind == "connect" else ["connect"])
            self.told[event[1]].append(kind)

    def meet(self, way: str) -> None:
        """Let two free nodes meet and part; they are free again when nothing is left between them."""
        a, b = self.random.sample(self.free, 2)
        self.free.remove(a)
        self.free.remove(b)
        link = a.want(b)
        links = [(a, link)]
        if way == "both":
            links.append((b, b.want(a)))
        self._watch(way, a, b, links, self.mesh.clock.now_us)

    def _watch(self, way, a, b, links, since_us, step="dial") -> None:
        clock = self.mesh.clock
        again_us = 10 * MILLISECOND
        link = links[0][1]
        ours, theirs = a.session(b), b.session(a)
        is_nothing_left = not (a.swarm.sessions or b.swarm.sessions or a.swarm.manager.links or b.swarm.manager.links)
        if step == "dial":
            dialing = [session for session in a.swarm.sessions if session.link is link]
            if way in ("cancel", "late") and dialing and link.state == PENDING:
                stage = dialing[0].stage
                if way == "late" or stage == 1:  # while the socket is on its way; in the middle of the handshake
                    a.swarm.manager.cancel(link)
                    a.swarm_turn()
                    self.ways[way] += 1
                    step = "end"
            elif ours is not None and theirs is not None and (way != "both" or self._are_settled(a, b)):
                self.ways[way if way in ("both", "goodbye") else "met"] += 1
                assert a.end_of(ours).other is b.end_of(theirs)
                for node, wish in links:  # as whoever waited for the session does
                    if wish.state != ESTABLISHED:
                        node.swarm.manager.cancel(wish)
                self._part(way, a, b, ours, theirs)
                step = "end"
            elif is_nothing_left:  # refused, or held back at the door
                self.ways["failed"] += 1
                step = "end"
        elif is_nothing_left or clock.now_us - since_us > 3 * MINUTE:
            assert is_nothing_left, (way, a.swarm.sessions, b.swarm.sessions)
            for node in (a, b):
                node.tcp_host.side = 0
                self.free.append(node)
            return
        else:
            again_us = 100 * MILLISECOND
        clock.after(again_us, self._watch, way, a, b, links, since_us, step)

    def _are_settled(self, a, b) -> bool:
        """Of two dials one is over."""
        return len(a.swarm.sessions) == len(b.swarm.sessions) == 1

    def _part(self, way, a, b, ours, theirs) -> None:
        if way in ("goodbye", "both", "late", "cancel"):
            for session in ((ours,), (theirs,), (ours, theirs))[self.random.randrange(3)]:
                session.close()
        elif way == "reset":
            end = a.end_of(ours)

            def half(data: bytes) -> None:
                End.send(end, data[: len(data) // 2])
                self.mesh.clock.after(200 * MILLISECOND, end.reset)
                self.ways["reset"] += 1

            end.send = half
            assert ours.try_send(2, bytes((0x10,)))  # whatever: half of it arrives
        elif way == "silence":
            a.tcp_host.side = 1
            self.ways["silence"] += 1
        elif way == "reboot":
            b.power_off()
            b.power_on()
            b.swarm.manager.pick = None
            self.ways["reboot"] += 1
        for node in (a, b):
            node.swarm_turn()

    def is_at_rest(self) -> None:
        """Nothing is left anywhere of what was."""
        for node in self.mesh.nodes:
            swarm = node.swarm
            assert swarm.sessions == [] and swarm.peers == {} and swarm.unsent == [] and swarm.manager.links == []
            assert not swarm.events and swarm.fault is None
            assert swarm._at_door is None and swarm._greeted is None and swarm._parked == []
            assert swarm._door.deadline is None
            for reactor in swarm._reactors:
                assert not getattr(reactor, "peers", None) and not getattr(reactor, "_peers", None)
            assert node._links == {} and not node.tcp_host.ends
        gc.collect()
        sessions = {session for session in gc.get_objects() if isinstance(session, Session)}
        assert sessions <= set(self.told), "sessions that nobody has ended"


def test_a_thousand_connects_and_disconnects_leave_nothing(monkeypatch):
    monkeypatch.setattr("picoswarm.missed.miss", lambda *_contact: None)  # or who was cut off meets again
    seed = int(os.environ.get("SEED", "11"))
    print(f"seed {seed}", file=sys.stderr)
    churn = Churn(seed)
    clock = churn.mesh.clock
    churn.is_at_rest()
    timers = len(clock)
    rounds = 0
    while churn.ways["connect"] < 2 * CONNECTS or min(churn.ways[way] for way in churn.WAYS) < EACH:
        rounds += 1
        assert rounds < 20 * CONNECTS, churn.ways
        for _ in range(200):
            if len(churn.free) >= 4:
                break
            clock.run_for(SECOND)
        scarce = [way for way in churn.WAYS if churn.ways[way] < EACH]
        churn.meet(churn.random.choice(scarce or ["goodbye", "both", "reset", "cancel"]))
        clock.run_for(churn.random.randrange(SECOND))
    clock.run_for(5 * MINUTE)
    print(dict(churn.ways), file=sys.stderr)
    assert churn.ways["connect"] == churn.ways["disconnect"] + sum(told == ["connect"] for told in churn.told.values())
    churn.is_at_rest()
    assert len(clock) <= timers + 4  # a datagram or two may be under way
