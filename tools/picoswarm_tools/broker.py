"""An MQTT broker for a demo or a picture: mosquitto where there is one, else one made of Python. Always a process. And a
client that hears what comes out of it.

python -m picoswarm_tools.broker PORT     runs the one made of Python (amqtt), which speaks MQTT 3.1.1
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib.util
import logging
import os
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import aiomqtt

from . import peers, runtimes
from .swarm import HOST, Trouble

START_S = 20
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Broker:
    """`async with Broker(folder, port) as broker`. `kind`: "mosquitto" or "embedded"; `url`, `version`: for the gateway's
    table."""

    def __init__(self, folder: Path, port: int) -> None:
        """`folder`: exists, for mosquitto's configuration. Raises Missing where there is no broker at all."""
        self.port = port
        self.url = f"mqtt://{HOST}:{port}"
        self._environment: dict[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None
        try:
            command, self._environment = peers.mosquitto()
        except runtimes.Missing as trouble:
            if importlib.util.find_spec("amqtt") is None:
                raise runtimes.Missing(f"{trouble}; nor is amqtt, which takes its place") from None
            self.kind, self.version = "embedded", "3.1.1"
            self._command = [sys.executable, "-m", __name__, str(port)]
            return
        self.kind, self.version = "mosquitto", "5"
        path = folder / "mosquitto.conf"
        lines = (f"listener {port} {HOST}", "allow_anonymous true", "persistence false", "log_dest none", "user root")
        path.write_text("\n".join(lines) + "\n")
        self._command = [*command, "-c", str(path)]

    @property
    def trouble(self) -> str:
        """Why it is down though nobody ended it; empty when all is well."""
        code = self._process.returncode if self._process else None
        if code is None:
            return ""
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    async def __aenter__(self) -> Broker:
        """Start it, and wait until it takes connections. Raises Trouble."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env={**os.environ, **self._environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        end = time.monotonic() + START_S
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, self.port)
                writer.close()
                return self
            if self.trouble or time.monotonic() > end:
                why = self.trouble or f"silent for {START_S} s"
                await self.__aexit__()
                raise Trouble(f"The broker ({self.kind}) does not start: {why}.")
            await asyncio.sleep(0.05)

    async def __aexit__(self, *exception: object) -> None:
        process, self._process = self._process, None
        if process and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 3)
            except TimeoutError:
                process.kill()
                await process.wait()


class Ear:
    """An MQTT client that hears the readings at the broker. `counts` and `newest` are by the node's name."""

    def __init__(self, broker: Broker, pattern: str) -> None:
        self.counts: Counter[str] = Counter()
        self.newest: dict[str, str] = {}
        self.last = ""  # the name of the node of the newest one
        self._broker = broker
        self._pattern = pattern

    async def listen(self, heard: asyncio.Event) -> None:
        """Hear, for ever; `heard` is set once the broker has taken the subscription."""
        version = aiomqtt.ProtocolVersion.V5 if self._broker.version == "5" else aiomqtt.ProtocolVersion.V311
        while True:
            with suppress(aiomqtt.MqttError):
                async with aiomqtt.Client(HOST, self._broker.port, protocol=version) as client:
                    await client.subscribe(self._pattern, qos=1)
                    heard.set()
                    async for message in client.messages:
                        self._on_message(message)
            await asyncio.sleep(1)

    def _on_message(self, message: aiomqtt.Message) -> None:
        *_, name, _what = str(message.topic).split("/")
        self.last = name
        self.counts[name] += 1
        self.newest[name] = bytes(message.payload).decode(errors="replace")


def _die_with_parent() -> None:
    """In the broker's process: end when the one that started it ends, however that ends."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)


async def embedded(port: int) -> None:
    """The broker made of Python, until SIGTERM."""
    from amqtt.broker import Broker as Amqtt

    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Amqtt({"listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}}, "plugins": plugins})
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    await broker.start()
    await ending.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    asyncio.run(embedded(int(sys.argv[1])))
