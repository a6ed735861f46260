"""The connection manager of a node with thousands of sessions: who came by himself and is in, nearly all of them, stands
apart from those that are dialed, by id, so that no event looks at all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from picoswarm import connmgr
from picoswarm.compat import ticks_diff
from picoswarm.connmgr import ConnManager, Link


class HostManager(ConnManager):
    """A ConnManager whose `links` are those that were dialed, shall be dialed, or are permanent; the others are in
    `settled`. What the library's code has to look at among these goes back to `links` for it."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.settled: dict[bytes, Link] = {}
        self._ips: Counter[bytes] = Counter()  # of those
        self._hosts: Counter[bytes] = Counter()  # and by host_key
        self._below: set[bytes] = set()  # ids of those that lead down

    def _settle(self, link: Link) -> None:
        if not (link.is_outbound or link.is_permanent or link.id in self.settled):
            self.links.remove(link)
            self.settled[link.id] = link
            self._ips[link.ip] += 1
            self._hosts[connmgr.host_key(link.ip)] += 1
            if link.port > 0 and link.id < self._id and link.purpose != connmgr._VISIT:
                self._below.add(link.id)
            self.apart += 1

    def recall(self, link: Link | None) -> None:
        """Have this one among `links`."""
        if link is not None and self.settled.get(link.id) is link:
            del self.settled[link.id]
            self._ips[link.ip] -= 1
            if not self._ips[link.ip]:
                del self._ips[link.ip]
            key = connmgr.host_key(link.ip)
            self._hosts[key] -= 1
            if not self._hosts[key]:
                del self._hosts[key]
            self._below.discard(link.id)
            self.apart -= 1
            self.links.append(link)

    def _at(self, ip: bytes, port: int) -> Link | None:
        """The one with this address."""
        if ip in self._ips:
            return next((link for link in self.settled.values() if link.ip == ip and link.port == port), None)
        return None

    def add(self, id32: bytes | None, ip: bytes, port: int, now: int) -> Link:
        self.recall(self.settled.get(id32) if id32 else self._at(ip, port))
        return super().add(id32, ip, port, now)

    def _find(self, id32: bytes | None, ip: bytes, port: int) -> Link | None:
        return (self.settled.get(id32) if id32 else self._at(ip, port)) or super()._find(id32, ip, port)

    def _refusal(self, link: Link, draw: int) -> int:
        reason = super()._refusal(link, draw)
        if not reason:
            same = self.settled.get(link.id)
            if same and (draw or connmgr.scope(same.ip)):  # one through a gateway may be dialed besides
                return connmgr._DUPLICATE
            if link.ip in self._ips and self._is_near(link, draw):
                return connmgr._DUPLICATE
        return reason

    def _is_near(self, link: Link, draw: int) -> bool:
        """Whether somebody else with this IP keeps it from being dialed."""
        is_one_enough = draw and connmgr.scope(link.ip) == connmgr._GLOBAL
        return is_one_enough or self._at(link.ip, link.port) is not None

    def may_enter(self, ip: bytes, is_visit: bool = False, now: int = 0) -> bool:
        return ip in self._ips or super().may_enter(ip, is_visit, now)

    def established(self, link: Link, id32: bytes, now: int) -> int:
        self.recall(self.settled.get(id32))
        reason = super().established(link, id32, now)
        if reason == connmgr._KEEP and not self.rival:
            self._settle(link)
        return reason

    def closed(self, link: Link, reason: int, now: int) -> None:
        self.recall(link)
        super().closed(link, reason, now)

    def fits(self, link: Link | None, is_outbound: bool, is_wish: bool, now: int) -> int:
        fits = super().fits(link, is_outbound, is_wish, now)
        return fits & ~connmgr._DOWN if self._below and is_outbound and not is_wish else fits

    def _count_from(self, key: bytes) -> int:
        return super()._count_from(key) + self._hosts[key]

    def _has_spare(self, link: Link, is_free: bool) -> bool:
        with self._all():
            return super()._has_spare(link, is_free)

    def worst(self, now: int, is_forced: bool, is_visit: bool = False) -> Link | None:
        with self._all():
            return super().worst(now, is_forced, is_visit)

    @contextmanager
    def _all(self) -> Iterator[None]:
        """Have the settled ones among `links`."""
        few, self.links = self.links, [*self.links, *self.settled.values()]
        try:
            yield
        finally:
            self.links = few

    def tick(self, now: int) -> None:
        if ticks_diff(now, self._minute) < 0:
            return
        for link in list(self.settled.values()):
            self.recall(link)
        super().tick(now)
        for link in list(self.links):
            if link.state == connmgr._ESTABLISHED:
                self._settle(link)
