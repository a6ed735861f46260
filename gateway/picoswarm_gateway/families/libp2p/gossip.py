"""The router of gossipsub, with floodsub as its plain case: which message goes to whom (libp2p specs, gossipsub). It has no
sockets: what a peer said comes in with the time, what goes to peers comes out as Rpcs.

It takes part in the topics that it is subscribed to and passes their messages on in the mesh, as every subscriber does; it
keeps no scores of others.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from .messages import Message, Rpc

MESH, MESH_LOW, MESH_HIGH, LAZY = 6, 4, 12, 6  # peers of a topic
HEARTBEAT_S = 1.0
SEEN_S, SEEN_MOST = 120.0, 65_536
HISTORY, GOSSIP = 5, 3  # heartbeats for which messages are kept, and told of
BACKOFF_S, LEAVE_BACKOFF_S = 60, 10
BACKOFF_MOST_S = 3600
GRAFT_AGAIN_S = 1.0  # after the end of a back-off
IWANT_MOST = 5000  # ids that are asked of a peer in a heartbeat
IWANT_TIMES = 3  # that a peer gets the same message
TOPICS_MOST, TOPIC_LONGEST = 256, 1024  # of one peer; letters
NUMBER_MOST = 64  # bytes of the number of a message, which has 8
MESSAGES_MOST = 2048  # that are kept of a heartbeat
KEPT_MOST = 16 << 20  # bytes of all that are kept


@dataclass
class _Peer:
    is_mesh: bool  # gossipsub, and not floodsub
    topics: set[str] = field(default_factory=set)
    asked: int = 0  # ids in this heartbeat
    sent: Counter[bytes] = field(default_factory=Counter)  # messages that it asked for


class Router:
    """See the module. `send(peer, rpc)` brings an Rpc to a peer; `deliver(message)` hands a message to who hears its
    topic."""

    def __init__(self, own: bytes, send: Callable[[bytes, Rpc], None], deliver: Callable[[Message], None]) -> None:
        self.counts: Counter[str] = Counter()
        self.topics: set[str] = set()
        self.mesh: dict[str, set[bytes]] = {}
        self.peers: dict[bytes, _Peer] = {}
        self._own = own
        self._send = send
        self._deliver = deliver
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        self._kept: list[dict[bytes, Message]] = [{}]  # by heartbeat, the newest first
        self._room = KEPT_MOST // HISTORY  # bytes that may still be kept of this heartbeat
        self._backoff: dict[tuple[str, bytes], float] = {}  # until when

    # What the user does

    def subscribe(self, topic: str, now: float) -> None:
        """Hear a topic from now on."""
        if topic not in self.topics:
            self.topics.add(topic)
            self.mesh[topic] = set()
            for peer in self.peers:
                self._send(peer, Rpc(subscriptions=[(True, topic)]))
            self._fill(topic, now)

    def unsubscribe(self, topic: str, now: float) -> None:
        """Hear it no more."""
        if topic in self.topics:
            self.topics.discard(topic)
            for peer in self.mesh.pop(topic):
                self._prune(topic, peer, LEAVE_BACKOFF_S, now)
            for peer in self.peers:
                self._send(peer, Rpc(subscriptions=[(False, topic)]))

    def publish(self, message: Message, now: float) -> int:
        """Send an own message to all peers that hear its topic. Returns to how many."""
        self._is_new(message.id, now)
        self._keep(message)
        to = [peer for peer, known in self.peers.items() if message.topic in known.topics]
        for peer in to:
            self._send(peer, Rpc(publish=[message]))
        return len(to)

    # What peers do

    def hello(self) -> Rpc:
        """What a peer is told first: the own topics."""
        return Rpc(subscriptions=[(True, topic) for topic in sorted(self.topics)])

    def connected(self, peer: bytes, is_mesh: bool) -> None:
        """There is a stream of pubsub to a peer, or from it."""
        self.peers.setdefault(peer, _Peer(is_mesh)).is_mesh |= is_mesh

    def silenced(self, peer: bytes) -> None:
        """The stream to a peer is gone, and what was sent by it."""
        for members in self.mesh.values():
            members.discard(peer)

    def deafened(self, peer: bytes) -> None:
        """The stream from a peer is gone; by the next it says again what it hears."""
        if peer in self.peers:
            self.peers[peer].topics.clear()
        self.silenced(peer)

    def lost(self, peer: bytes) -> None:
        """A peer is gone."""
        self.peers.pop(peer, None)
        self.silenced(peer)

    def receive(self, peer: bytes, rpc: Rpc, now: float) -> None:
        """Take what a peer said."""
        known = self.peers.get(peer)
        if known is None:
            return
        for is_on, topic in rpc.subscriptions:
            if is_on and len(known.topics) < TOPICS_MOST and len(topic) <= TOPIC_LONGEST:
                known.topics.add(topic)
                if topic in self.topics and len(self.mesh[topic]) < MESH_LOW:
                    self._fill(topic, now)
            elif not is_on:
                known.topics.discard(topic)
                self.mesh.get(topic, set()).discard(peer)
        for message in rpc.publish:
            self._take(peer, message, now)
        for topic in dict.fromkeys(rpc.graft):
            self._grafted(peer, known, topic, now)
        for topic, backoff in rpc.prune:
            if topic in self.mesh:
                self.mesh[topic].discard(peer)
                self._backoff[topic, peer] = now + min(backoff or BACKOFF_S, BACKOFF_MOST_S)
        self._have(peer, known, rpc.ihave)
        wanted = [message for each in rpc.iwant if (message := self._wanted(known, each))]
        if wanted:
            self._send(peer, Rpc(publish=wanted))

    def _take(self, peer: bytes, message: Message, now: float) -> None:
        if message.topic not in self.topics:
            self.counts["unwanted"] += 1
        elif message.id in self._seen or message.origin == self._own:
            self.counts["repeats"] += 1
        elif len(message.seqno) > NUMBER_MOST or not message.is_good():
            self.counts["forged"] += 1
        else:
            self._is_new(message.id, now)
            self._keep(message)
            self.counts["delivered"] += 1
            self._deliver(message)
            for other, known in self.peers.items():
                is_near = other in self.mesh[message.topic] or not known.is_mesh and message.topic in known.topics
                if is_near and other not in (peer, message.origin):
                    self._send(other, Rpc(publish=[message]))

    def _is_new(self, number: bytes, now: float) -> None:
        self._seen[number] = now
        while self._seen and (len(self._seen) > SEEN_MOST or now - next(iter(self._seen.values())) > SEEN_S):
            self._seen.popitem(last=False)

    def _keep(self, message: Message) -> None:
        if len(self._kept[0]) < MESSAGES_MOST and len(message.data) <= self._room:
            self._kept[0][message.id] = message
            self._room -= len(message.data)

    def _grafted(self, peer: bytes, known: _Peer, topic: str, now: float) -> None:
        members = self.mesh.get(topic)
        if members is None or peer in members:
            return  # of a topic that is not heard: no answer, so that nobody is sent answers for nothing
        rests = self._backoff.get((topic, peer), 0.0) > now
        if rests or len(members) >= MESH_HIGH or not known.is_mesh:
            self.counts["graft_refused"] += 1
            self._prune(topic, peer, BACKOFF_S, now)
        else:
            known.topics.add(topic)
            members.add(peer)
            self.counts["grafted"] += 1

    def _prune(self, topic: str, peer: bytes, backoff: int, now: float) -> None:
        self._backoff[topic, peer] = now + backoff
        if peer in self.peers and self.peers[peer].is_mesh:
            self._send(peer, Rpc(prune=[(topic, backoff)]))

    def _have(self, peer: bytes, known: _Peer, ihave: list[tuple[str, list[bytes]]]) -> None:
        wanted: dict[bytes, None] = {}
        for topic, ids in ihave:
            if topic in self.topics:
                wanted.update(dict.fromkeys(each for each in ids if each not in self._seen))
        ids = list(wanted)[: max(0, IWANT_MOST - known.asked)]
        if ids:
            known.asked += len(ids)
            self.counts["iwant"] += len(ids)
            self._send(peer, Rpc(iwant=ids))

    def _wanted(self, known: _Peer, number: bytes) -> Message | None:
        if known.sent[number] >= IWANT_TIMES:
            return None
        for each in self._kept:
            if number in each:
                known.sent[number] += 1
                return each[number]
        return None

    # Time

    def heartbeat(self, now: float) -> None:
        """Once a second: keep the meshes at their size, and tell others what they may have missed."""
        self._backoff = {key: until for key, until in self._backoff.items() if until + GRAFT_AGAIN_S > now}
        for known in self.peers.values():
            known.asked = 0
        for topic, members in self.mesh.items():
            if len(members) < MESH_LOW:
                self._fill(topic, now)
            elif len(members) > MESH_HIGH:
                for peer in random.sample(sorted(members), len(members) - MESH):
                    members.discard(peer)
                    self._prune(topic, peer, BACKOFF_S, now)
            self._gossip(topic, members)
        self._kept.insert(0, {})
        self._room = KEPT_MOST // HISTORY
        if len(self._kept) > HISTORY:
            gone = self._kept.pop()
            for known in self.peers.values():
                for number in gone:
                    known.sent.pop(number, None)

    def _candidates(self, topic: str, without: set[bytes]) -> list[bytes]:
        return [p for p, known in self.peers.items() if known.is_mesh and topic in known.topics and p not in without]

    def _fill(self, topic: str, now: float) -> None:
        members = self.mesh[topic]
        rested = [p for p in self._candidates(topic, members) if self._backoff.get((topic, p), 0.0) + GRAFT_AGAIN_S <= now]
        for peer in random.sample(rested, min(len(rested), MESH - len(members))):
            members.add(peer)
            self._send(peer, Rpc(graft=[topic]))

    def _gossip(self, topic: str, members: set[bytes]) -> None:
        ids = [number for each in self._kept[:GOSSIP] for number, message in each.items() if message.topic == topic]
        if ids:
            others = self._candidates(topic, members)
            for peer in random.sample(others, min(len(others), max(LAZY, len(others) // 4))):
                self._send(peer, Rpc(ihave=[(topic, ids)]))
