"""Publish/subscribe of a gateway. The library asks every peer for every message whether it wants it; here those that do are
found by the topic, and a message that makes room is taken from those alone that may have had it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from picoswarm import pubsub
from picoswarm.pubsub import PubSub

TOLD, OWED, GIVEN, PEER = pubsub._TOLD, pubsub._OWED, pubsub._GIVEN, pubsub._PEER
HAS_ORIGIN, TOPIC_AT, ORIGIN = pubsub._HAS_ORIGIN, pubsub._TOPIC_AT, pubsub._ORIGIN

Peers = dict[Any, list[Any]]  # session -> what is known of it, as in PubSub.peers


class HostPubSub(PubSub):
    """See the module. What is sent to whom is the same."""

    def __init__(self, *arguments: Any) -> None:
        self._by_topic: dict[bytes, Peers] = {}  # peers with a filter that is a topic
        self._patterns: Peers = {}  # those with one that is not
        self._behind: Peers = {}  # those that are owed something; and since the last tick, some that were
        super().__init__(*arguments)
        self._holders: list[Peers] = [{} for _ in self._kept]  # by slot: those that have the message, or are owed it

    def set_filters(self, told: bytes, now: int) -> None:
        super().set_filters(told, now)
        self._behind = dict(self.peers)  # all are owed them

    def add_peer(self, peer: Any) -> None:
        super().add_peer(peer)
        state = self.peers[peer]
        if state[OWED]:
            self._behind[peer] = state

    def remove_peer(self, peer: Any, reason: int) -> None:
        state = self.peers[peer]
        self._forget(peer, state[TOLD])
        for peers in (self._behind, *self._holders):
            peers.pop(peer, None)
        super().remove_peer(peer, reason)

    def receive(self, peer: Any, channel: int, view: bytes | memoryview) -> int:
        state = self.peers[peer]
        told = state[TOLD]
        try:
            return super().receive(peer, channel, view)
        finally:  # what fails after the filters changed must not leave them in the index
            if state[TOLD] is not told:
                self._forget(peer, told)
                for text in filters(state[TOLD]):
                    found = self._patterns if b"+" in text or b"#" in text else self._by_topic.setdefault(text, {})
                    found[peer] = state

    def _forget(self, peer: Any, told: bytes) -> None:
        self._patterns.pop(peer, None)
        for text in filters(told):
            peers = self._by_topic.get(text)
            if peers is not None:
                peers.pop(peer, None)
                if not peers:
                    del self._by_topic[text]

    def _spread(self, text: bytes, source: list[Any] | None) -> int:
        at = TOPIC_AT - (0 if text[0] & HAS_ORIGIN else ORIGIN)
        topic = bytes(text[at : at + text[at - 1]])
        wanting = {**self._behind, **self._patterns, **self._by_topic.get(topic, {})}
        if source is not None:
            wanting[source[PEER]] = source
        peers, self.peers = self.peers, wanting
        try:
            return super()._spread(text, source)
        finally:
            self.peers = peers
            if source is not None:
                self._holders[self._newest][source[PEER]] = source  # it has the message, and was not offered it

    def _offer(self, state: list[Any], slots: Iterable[int]) -> None:
        try:
            super()._offer(state, slots)
        finally:
            peer = state[PEER]
            bits = state[OWED] | state[GIVEN]
            for slot in slots:
                if bits >> slot & 1:
                    self._holders[slot][peer] = state
            if state[OWED]:
                self._behind[peer] = state

    def _drop(self, slot: int) -> None:
        peers, self.peers = self.peers, self._holders[slot]
        try:
            super()._drop(slot)
        finally:
            self.peers = peers
        self._holders[slot] = {}

    def tick(self, now: int) -> None:
        peers, self.peers = self.peers, self._behind
        try:
            super().tick(now)
        finally:
            self.peers = peers
            self._behind = {peer: state for peer, state in self._behind.items() if state[OWED]}


def filters(told: bytes) -> list[bytes]:
    """The filters that a peer told, without what stands before each."""
    found = []
    at = 0
    while at < len(told):
        end = at + 1 + (told[at] & 0x7F)
        found.append(told[at + 1 : end])
        at = end
    return found
