"""This node's address as others see it, behind NAT or not (row D35). Pure.

Every proven answer from beyond the own network states the address that our datagram came from. One peer may lie and one
operator may run many, so a statement counts once per network of the peer and only for a while, and three must agree.
"""

from .compat import const

_STATEMENTS = const(8)
_AGREE = const(3)
_WINDOW_S = const(600)


class Outside:
    """The predicted outside address: `ip` (bytes) and `port`, or None and 0 while the statements do not agree."""

    def __init__(self):
        self.ip = None
        self.port = 0
        self._said = []  # (network of the peer, ip, port, uptime), the latest last

    def state(self, source, ip, port, uptime):
        """Note that a peer at address `source` saw this node at ip:port. True when the prediction changed."""
        network = bytes(source[: 3 if len(source) == 4 else 6])
        kept = [s for s in self._said if s[0] != network and uptime - s[3] < _WINDOW_S]
        kept.append((network, bytes(ip), port, uptime))
        self._said = kept[-_STATEMENTS:]
        before = self.ip, self.port
        if self._is_backed(ip, port):
            self.ip = bytes(ip)
            self.port = port
        elif not self._is_backed(self.ip, self.port):
            self.ip = None
            self.port = 0
        return before != (self.ip, self.port)

    def _is_backed(self, ip, port):
        """Whether a majority states this address."""
        votes = 0
        for s in self._said:
            if s[1] == ip and s[2] == port:
                votes += 1
        return votes >= _AGREE and votes * 2 > len(self._said)

    def agrees(self, ip):
        """Whether an address as seen may be ours: its IP is the predicted one, or there is no prediction. The port is the
        router's affair: a mapping that was idle for a minute or two comes back with another."""
        return self.ip is None or self.ip == ip
