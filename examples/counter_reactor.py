"""A protocol of your own: a reactor on channel 40 that counts how often its peers say hello. Runs on a board and on a
computer. A reactor is told of each peer and of each message, and never waits: see docs/architecture.md.

    python counter_reactor.py FOLDER [BOOTSTRAP_IP:PORT] [OWN_PORT]
"""

import asyncio
import sys

from picoswarm import PORT, Channel, Node, Reactor

CHANNEL = 40  # 32 to 127 are for applications
EVERY_MS = 1000


class Counter(Reactor):
    """Says hello to each peer once a second, and counts what it hears."""

    def __init__(self):
        # id, priority, messages and bytes that may wait to be sent, longest message that is received
        self.channels = (Channel(CHANNEL, 3, 2, 64, 16),)
        self.heard = {}

    def init_peer(self, peer):
        self.heard[peer] = 0

    def add_peer(self, peer):
        self.due = self.now

    def remove_peer(self, peer, reason):
        del self.heard[peer]

    def receive(self, peer, channel, view):
        self.heard[peer] += bytes(view) == b"hello"

    def tick(self, now):
        for peer in self.heard:
            peer.try_send(CHANNEL, b"hello")
        self.due = self.after(EVERY_MS) if self.heard else None


async def main(folder, bootstrap="", port=PORT):
    known = [bootstrap] if bootstrap else []
    host = "127.0.0.1" if bootstrap.startswith("127.") else ""
    counter = Counter()
    node = Node(folder, host=host, port=int(port), bootstrap=known)
    node.register(counter)
    async with node:
        while True:
            await asyncio.sleep(2)
            for peer, count in counter.heard.items():
                print(peer.id.hex()[:8], "said hello", count, "times")


asyncio.run(main(*sys.argv[1:]))
