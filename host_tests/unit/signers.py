"""A world in which messages are signed, with one node that has a real key."""

from fake_peers import Publishers, heard
from picoswarm.compat import collect
from picoswarm.crypto import run
from picoswarm.ed25519 import PublicKey
from picoswarm.signing import sign

SEED = b"\x01" * 32
ID = run(PublicKey(SEED))
assert ID[31] < 0x80


class Checkers(Publishers):
    """A world of small nodes; nobody checks anything before `check`."""

    def node(self, *filters, **numbers):
        return super().node(*filters, seen=8, recent=4, **numbers)

    def signer(self):
        """A node with a real key."""
        node = self.node()
        node.id = node.reactors[0].own_id = ID
        return node

    def publish_signed(self, signer):
        signer.reactors[0].publish(bytearray(GOOD), self.now)
        self.settle()


def signed(topic, payload):
    """A message of the node that has a key, as others pass it on."""
    text = Checkers().signer().reactors[0].compose(topic, payload, True)
    text[-64:] = run(sign(text, SEED))
    collect()
    return bytes(text)


GOOD = signed("door", b"open")


def check(node):
    """Let a node do its public-key work. Returns in how many slices."""
    collect()
    slices = 1
    while node.reactors[0].checks.step():
        slices += 1
    return slices


def events(node):
    return [(event[1], event[3]) for event in heard(node)]
