"""Operations: what makes a gateway visible and keeps it so: nodes, history, events, the HTTP API, metrics."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING, Any

from picoswarm.errors import PicoswarmError

from . import log
from .history import STEPS, History
from .http import HttpServer
from .metrics import Metrics
from .nodes import Nodes

if TYPE_CHECKING:
    from .gateway import Gateway

SHOWN = 512  # bytes of a payload that watchers see


class Operations:
    """See the module. The gateway's state (`Gateway.db`) is open before `start` and closed after `stop`."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.messages = 0  # published ones that the gateway heard
        self.history = History(gateway.db)
        self.nodes = Nodes(gateway, gateway.config.nodes.visit_s)
        self.metrics = Metrics(self)
        self.http = HttpServer(self, gateway.config.http) if gateway.config.http.enabled else None
        self._tasks: list[asyncio.Task[None]] = []
        self._family_states: dict[str, str] = {}
        self._is_started = False

    async def start(self) -> None:
        """Begin. Raises OSError where the port is taken, LocalError for a token that cannot be had, StateError."""
        gateway = self.gateway
        await self.history.start()
        await self.nodes.start()
        runs = {"history": self._keep_history, "hearing": self._keep_hearing, "families": self._keep_telling}
        self._tasks = [gateway.loops.begin(name, run) for name, run in runs.items()]
        log.listeners.append(self._on_line)
        if self.http:
            await self.http.start()
        self._is_started = True

    async def stop(self) -> None:
        """End all of it."""
        self._is_started = False
        if self._on_line in log.listeners:
            log.listeners.remove(self._on_line)
        self.gateway.hub.close()
        if self.http:
            await self.http.stop()
        await self.gateway.loops.end(self._tasks)
        await self.nodes.stop()

    def state(self) -> dict[str, Any]:
        """What /api/state has."""
        gateway = self.gateway
        epoch, fingerprint = gateway.node.network()
        return {
            **gateway.state(),
            "version": log.VERSION,
            "t": round(time.time(), 3),
            "epoch": epoch,
            "fingerprint": fingerprint,
            "nodes": self.nodes.counts(),
            "messages": self.messages,
            "gateways": [gateway.id.hex()] + [node.id.hex() for node in self.nodes.known.values() if node.is_gateway],
            "series": self.history.series,
        }

    def lacking(self) -> list[str]:
        """Why the gateway is not ready to serve; empty: it is. A family that is down is no reason: its queue works."""
        lacking = [] if self._is_started else ["it has not started"]
        if self.gateway.db.fault:
            lacking.append(f"the state cannot be written: {self.gateway.db.fault}")
        return lacking

    def tell_message(self, topic: str, payload: bytes, origin: bytes, is_proven: bool) -> None:
        """A published message passed: watchers see the beginning of it."""
        if not self.gateway.hub.watchers:
            return
        shown = payload[:SHOWN]
        try:
            text, encoding = shown.decode(), "text"
        except UnicodeDecodeError:
            text, encoding = base64.b64encode(shown).decode(), "base64"
        message = {"topic": topic, "payload": text, "encoding": encoding, "bytes": len(payload)}
        origin_of = {
            "origin": origin.hex(),
            "name": self.nodes.name(origin),
            "is_proven": is_proven,
            "t": round(time.time(), 3),
        }
        self.gateway.hub.tell("message", {**message, **origin_of})

    def _on_line(self, line: str) -> None:
        self.gateway.hub.tell("log", {"node": None, "text": line, "t": round(time.time(), 3)})

    async def _keep_hearing(self) -> None:
        """Count what is published."""
        try:
            subscription = self.gateway.node.subscribe("#")
        except PicoswarmError:
            return  # a profile without publish/subscribe
        try:
            async for message in subscription:
                self.messages += 1
                self.tell_message(message.topic, message.payload, message.origin, message.is_proven)
        finally:
            subscription.close()

    async def _keep_history(self) -> None:
        at = time.monotonic()
        before = after = (self.messages, *self.nodes.traffic())
        while True:
            now = time.monotonic()
            rates = [(new - old) / (now - at) if now > at else 0.0 for new, old in zip(after, before, strict=True)]
            at, before = now, after
            counts = self.nodes.counts()
            values = {
                "sessions": counts["session"],
                "nodes": counts["session"] + counts["live"],
                "messages": rates[0],
                "bytes_in": rates[1],
                "bytes_out": rates[2],
            }
            self.history.record(values)
            if self.gateway.hub.watchers:
                self.gateway.hub.tell("state", self.state())
            await asyncio.sleep(STEPS[0])
            after = (self.messages, *self.nodes.traffic())

    async def _keep_telling(self) -> None:
        """Families whose state changed."""
        while True:
            await asyncio.sleep(1)
            for name, family in self.gateway.families.items():
                state = family.state()
                if self._family_states.get(name) != state.get("state"):
                    self._family_states[name] = state.get("state", "")
                    self.gateway.hub.tell("family", {"name": name, **state})
