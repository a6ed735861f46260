"""A real mosquitto on a free port, and a client that notes what it hears."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import aiomqtt
from picoswarm_tools import peers, runtimes
from small_mesh import HOST, free_port

VERSIONS = {"3.1.1": aiomqtt.ProtocolVersion.V311, "5": aiomqtt.ProtocolVersion.V5}


def command() -> tuple[list[str], dict[str, str]]:
    """How mosquitto is started; where it is not there it is brought, once. Raises runtimes.Missing."""
    try:
        return peers.mosquitto()
    except runtimes.Missing as missing:
        try:
            peers.bring_mosquitto()
        except Exception as trouble:
            raise runtimes.Missing(f"{missing} ({trouble})") from None
        return peers.mosquitto()


class Mosquitto:
    """One broker. `lines` are added to its configuration."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._path = folder / f"mosquitto-{self.port}.conf"
        listener = f"listener {self.port} {HOST}"
        common = ("allow_anonymous true", "persistence false", "log_dest none", "user root")
        self._path.write_text(
            "\n".join((listener, *lines, *(line for line in common if line.split()[0] not in " ".join(lines)))) + "\n"
        )
        self._command, self._environment = command()
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"mqtt://{HOST}:{self.port}"

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self.process = subprocess.Popen(
            [*self._command, "-c", str(self._path)],
            env={**os.environ, **self._environment},
            stdout=sys.stderr,
            stderr=sys.stderr,
        )
        end = time.monotonic() + 20
        while True:
            with suppress(OSError):
                socket.create_connection((HOST, self.port), 1).close()
                return
            assert self.process.poll() is None and time.monotonic() < end, "mosquitto does not start"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it."""
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(10)
            self.process = None


class Ear:
    """A client that hears a filter. `said`: what came, as (topic, payload, retained, user properties)."""

    def __init__(self, broker: Mosquitto, pattern: str = "#", version: str = "5") -> None:
        self.said: list[tuple[str, bytes, bool, list[tuple[str, str]]]] = []
        self._client = aiomqtt.Client(HOST, broker.port, protocol=VERSIONS[version])
        self._pattern = pattern
        self._task: asyncio.Task | None = None

    async def __aenter__(self) -> Ear:
        await self._client.__aenter__()
        await self._client.subscribe(self._pattern, qos=1)
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._task
        self._task.cancel()
        with suppress(aiomqtt.MqttError):
            await self._client.__aexit__(None, None, None)

    async def _listen(self) -> None:
        async for message in self._client.messages:
            marks = getattr(message.properties, "UserProperty", [])
            self.said.append((str(message.topic), bytes(message.payload), bool(message.retain), list(marks)))

    async def say(self, topic: str, payload: bytes, **more: object) -> None:
        """Publish."""
        await self._client.publish(topic, payload, **{"qos": 1, **more})

    def heard(self, topic: str) -> list[bytes]:
        """The payloads that came under a topic."""
        return [payload for at, payload, *_ in self.said if at == topic]
