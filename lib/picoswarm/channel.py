"""What a fixed channel of a session is (docs/protocol.md, mux): how reactors and the mux speak of it. Pure."""


class Channel:
    """A fixed channel: `id` on the wire, `priority` (its share against others), send queue of `queue` messages and
    `queue_bytes` bytes, and the longest `message` in bytes that is received."""

    def __init__(self, id, priority, queue, queue_bytes, message):
        self.id = id
        self.priority = priority
        self.queue = queue
        self.queue_bytes = queue_bytes
        self.message = message
