"""What a fixed channel of a session is (docs/protocol.md 5), and what a reactor is that serves it (docs/architecture.md).
Pure."""

from .compat import ticks_add


class Channel:
    """A fixed channel: `id` on the wire, `priority` (its share against others), send queue of `queue` messages and
    `queue_bytes` bytes, and the longest `message` in bytes that is received."""

    def __init__(self, id, priority, queue, queue_bytes, message):
        self.id = id
        self.priority = priority
        self.queue = queue
        self.queue_bytes = queue_bytes
        self.message = message


class Reactor:
    """What handles the messages of its `channels` (row T2). `now`, in ticks, is set before each call; `tick` is called once
    it is `due` (ticks, or None), and may be called earlier. Peers are Sessions: `id`, `hello`, `ip`, `is_outbound`,
    `try_send(channel, data)`, `can_send(channel)`, `close(reason)`, which tasks of yours may call at any time, too. Nothing
    here may block. What raises costs the peer that it was about, and nobody else; what is about no peer (`tick`, `work`,
    `next_time`) is not called for a second then."""

    channels = ()
    now = 0
    due = None
    is_busy = False  # set by `receive`: there is `work`

    def after(self, ms):
        """Ticks `ms` milliseconds from now."""
        return ticks_add(self.now, ms)

    def init_peer(self, peer):
        """A session comes to be; messages may arrive before `add_peer`."""

    def add_peer(self, peer):
        """The peer can be sent to."""

    def remove_peer(self, peer, reason):
        """The session is over; called once for each `init_peer`, and again a second later where it lacked memory."""

    def receive(self, peer, channel, view):
        """A message, a memoryview that holds during this call. Returns 0, or the reason to close the session."""

    def writable(self, peer, channel):
        """There is room for any message again, after `try_send` had none."""

    def next_time(self):
        """Ticks when `tick` is due, or None."""
        return self.due

    def tick(self, now):
        """It is time."""

    def work(self):
        """One slice of work, less than 20 ms on a board. True: there is more."""
        return False
