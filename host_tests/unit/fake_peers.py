"""A little world of reactors: nodes that hold sessions with bounded queues, under a clock that the test moves. What is
queued arrives with `settle`, unless its peer is slow or cut off."""

from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.counters import names
from picoswarm.profile import Profile
from picoswarm.pubsub import PubSub
from picoswarm.topics import subscribe, unsubscribe

LONGEST = 512


def node_id(n):
    """A valid node id for a small number."""
    return bytes((n + 2, 0x55)) + bytes(30)


def draws(seed):
    """An `rng` that repeats itself with its seed."""
    state = [seed * 7919 + 1]

    def draw(n):
        out = bytearray(n)
        for i in range(n):
            state[0] = (state[0] * 75 + 74) % 65537
            out[i] = state[0] & 0xFF
        return bytes(out)

    return draw


class Limits:
    """What its HELLO says of the messages that it takes."""

    publish_max = request_max = 400


class Peer:
    """What one end of a session shows to the reactors of its node. `room`: messages that its queue takes."""

    def __init__(self, owner, other, room):
        self.owner = owner
        self.other = other
        self.id = other.id
        self.is_outbound = True
        self.ip = b"\x0a\x00\x00\x01"
        self.hello = Limits()
        self.state = None
        self.back = None  # the other end
        self.room = room
        self.queue = []
        self.is_slow = False  # nothing leaves the queue
        self.reason = None  # why it was closed

    def try_send(self, channel, data):
        assert 0 < len(data) <= LONGEST
        if len(self.queue) >= self.room:
            return False
        self.queue.append((channel, bytes(data)))
        return True

    def can_send(self, channel):
        return len(self.queue) < self.room

    def close(self, reason):
        self.reason = reason


class Node:
    """A node with some reactors, and its sessions by the number of the other node."""

    def __init__(self, n, reactors, now):
        self.number = n
        self.id = node_id(n)
        self.reactors = reactors
        self.peers = {}

    def hand_over(self, peer, channel, data, now):
        """A message of a peer to its reactor; what the reactor finds wrong closes the session."""
        for reactor in self.reactors:
            if channel in [each.id for each in reactor.channels]:
                assert len(data) <= reactor.channels[0].message
                reactor.now = now
                reason = reactor.receive(peer, channel, memoryview(data))
                if reason:
                    peer.close(reason)
                return
        raise AssertionError("no reactor for channel %d" % channel)


class World:
    """Nodes, sessions and time. It begins shortly before the ticks wrap."""

    def __init__(self):
        self.now = 0x3FFFFFFF - 3000
        self.nodes = []
        self.carried = 0  # messages that arrived

    def add(self, *reactors):
        """One more node."""
        node = Node(len(self.nodes), reactors, self.now)
        self.nodes.append(node)
        return node

    def connect(self, a, b, room=8):
        """Open a session between two nodes. Returns the ends, that of `a` first."""
        ends = Peer(a, b, room), Peer(b, a, room)
        ends[0].back = ends[1]
        ends[1].back = ends[0]
        for end in ends:
            end.owner.peers[end.other.number] = end
            for reactor in end.other.reactors:
                channel = reactor.channels[0]
                if channel.id == 2:
                    end.hello.publish_max = channel.message
                elif channel.id == 3:
                    end.hello.request_max = channel.message
            for reactor in end.owner.reactors:
                reactor.now = self.now
                reactor.init_peer(end)
        for end in ends:
            for reactor in end.owner.reactors:
                reactor.add_peer(end)
        self.settle()
        return ends

    def cut(self, a, b):
        """End a session; what its queues held is lost."""
        for node, other in ((a, b), (b, a)):
            peer = node.peers.pop(other.number)
            for reactor in node.reactors:
                reactor.now = self.now
                reactor.remove_peer(peer, 20)

    def settle(self):
        """Let everything happen that is due now."""
        for _ in range(2000):
            is_quiet = True
            for node in self.nodes:
                for reactor in node.reactors:
                    due = reactor.next_time()
                    if due is not None and ticks_diff(self.now, due) >= 0:
                        reactor.tick(self.now)
                        is_quiet = False
                for peer in list(node.peers.values()):
                    while peer.queue and not peer.is_slow:
                        is_quiet = False
                        channel, data = peer.queue.pop(0)
                        self.carried += 1
                        peer.other.hand_over(peer.back, channel, data, self.now)
            if is_quiet:
                return
        raise AssertionError("it never ends")

    def pass_ms(self, ms):
        """Let time pass, and what is due meanwhile happen."""
        end = ticks_add(self.now, ms)
        while True:
            soonest = end
            for node in self.nodes:
                for reactor in node.reactors:
                    due = reactor.next_time()
                    if due is not None and ticks_diff(due, soonest) < 0:
                        soonest = due
            self.now = soonest
            self.settle()
            if soonest == end:
                return


class Publishers(World):
    """A world of nodes that publish and subscribe."""

    def node(self, *filters, drop_new=False, **numbers):
        """One more node, with these filters."""
        n = len(self.nodes)
        profile = Profile(**numbers).check()
        profile.seen = numbers.get("seen", 16)  # so that many nodes have room in a small heap
        node = self.add(PubSub(node_id(n), profile, draws(n), self.now, drop_new))
        for each in filters:
            self.subscribe(node, each)
        return node

    def line(self, n, *filters, **numbers):
        """`n` nodes, each connected with the next."""
        nodes = [self.node(*filters, **numbers) for _ in range(n)]
        for i in range(1, n):
            self.connect(nodes[i - 1], nodes[i])
        return nodes

    def subscribe(self, node, topic_filter, signed=False):
        subscribe(node.reactors[0], topic_filter, self.now, signed)
        self.settle()

    def unsubscribe(self, node, topic_filter):
        unsubscribe(node.reactors[0], topic_filter, self.now)
        self.settle()

    def publish(self, node, topic, payload=b"x"):
        """Publish and let it arrive. Returns for how many peers it was queued at once."""
        pubsub = node.reactors[0]
        count = pubsub.publish(pubsub.compose(topic, payload), self.now)
        self.settle()
        return count


def heard(node):
    """What the node has to deliver: (topic, payload, number of the origin, whether that is proven)."""
    found = []
    event = node.reactors[0].next_event()
    while event:
        topic, payload, origin, is_proven = event
        found.append((topic, payload, origin[0] - 2, bool(is_proven)))
        event = node.reactors[0].next_event()
    return found


def payloads(node):
    """The payloads that the node has to deliver."""
    return [event[1] for event in heard(node)]


def counted(node, name):
    """One of the counters of a publishing node."""
    return node.reactors[0].counts[names("pubsub").split().index(name)]


def say(world, end, data):
    """Let the node that has this end of a session send bytes of its own choice on channel 2. Returns the reason for which
    the other closed the session, or None."""
    end.other.hand_over(end.back, 2, data, world.now)
    world.settle()
    return end.back.reason


def told(*filters):
    """A list of filters as it is told to peers."""
    return b"".join([bytes((len(each),)) + each.encode() for each in filters])


def published(topic, payload=b"x", nonce=b"\0\0\0\0", origin=b"", hops=0, signature=b""):
    """A message as bytes, with the origin left out unless given."""
    first = hops | (0x40 if origin else 0) | (0x80 if signature else 0)
    return bytes((first,)) + origin + nonce + told(topic) + payload + signature
