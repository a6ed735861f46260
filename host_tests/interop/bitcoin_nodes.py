"""Real full nodes of Bitcoin on free ports of this machine, that dial nobody: Knots (C++), btcd (Go), bcoin (JavaScript)."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from picoswarm_tools.peers import golang, knots, npm
from small_mesh import HOST, free_port

START_S = 60
USER, PASSWORD = "u", "p"


class RpcError(Exception):
    """The node refused; the text is its own."""


class FullNode:
    """A process with JSON-RPC. `port` is that of its peers."""

    environment: dict[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.rpc_port = free_port()
        self.process: subprocess.Popen | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        """How it is started. Raises runtimes.Missing."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        """As the gateway's table names it."""
        return f"{HOST}:{self.port}"

    async def __aenter__(self) -> Any:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.stop()

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "said.log").open("ab") as said:
            self.process = subprocess.Popen(
                self.command(), stdout=said, stderr=said, env={**os.environ, **self.environment}, cwd=self.folder
            )
        end = time.monotonic() + START_S
        while True:
            with suppress(OSError, RpcError):
                await self.call("getblockcount")
                return
            log = (self.folder / "said.log").read_text(errors="replace")[-2000:]
            assert self.process.poll() is None and time.monotonic() < end, log
            await asyncio.sleep(0.05)

    def stop(self) -> None:
        """Kill it: what it wrote may be lost, as in an outage."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    async def call(self, method: str, *params: Any) -> Any:
        """A JSON-RPC call. Raises RpcError, OSError."""
        return await asyncio.get_running_loop().run_in_executor(None, self._call, method, params)

    def _call(self, method: str, params: tuple) -> Any:
        body = json.dumps({"jsonrpc": "1.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(f"http://{HOST}:{self.rpc_port}/", body)
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                said = json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            raise RpcError(text or str(error)) from None
        if said.get("error"):
            raise RpcError(str(said["error"]))
        return said["result"]

    async def tip(self) -> tuple[int, str]:
        """(height, hash as everybody writes it) of its best block."""
        best = await self.call("getbestblockhash")
        return (await self.call("getblockheader", best))["height"], best


class Knots(FullNode):
    """Bitcoin Knots; `network` regtest or signet."""

    def __init__(self, folder: Path, *more: str, network: str = "regtest") -> None:
        super().__init__(folder)
        self._network = network
        self._more = more

    def command(self) -> list[str]:
        options = (
            "listenonion=0",
            "dnsseed=0",
            "fixedseeds=0",
            "discover=0",
            "natpmp=0",
            "upnp=0",
            "dbcache=16",
            "txindex=1",
        )
        return [
            *knots.find(),
            f"-{self._network}",
            f"-datadir={self.folder}",
            f"-bind={HOST}:{self.port}",
            f"-rpcbind={HOST}",
            f"-rpcallowip={HOST}/32",
            f"-rpcport={self.rpc_port}",
            f"-rpcuser={USER}",
            f"-rpcpassword={PASSWORD}",
            "-maxmempool=5",
            f"-whitelist=noban@{HOST}",  # transactions are announced at once
            *(f"-{option}" for option in (*options, *self._more)),
        ]


class Btcd(FullNode):
    """btcd; `network` regtest or simnet."""

    def __init__(self, folder: Path, network: str = "regtest", *more: str) -> None:
        super().__init__(folder)
        self._network = network
        self._more = more

    def command(self) -> list[str]:
        return [
            str(golang.binary("btcd", "btcd")),
            f"--{self._network}",
            f"--listen={HOST}:{self.port}",
            f"--rpclisten={HOST}:{self.rpc_port}",
            "--notls",
            "-u",
            USER,
            "-P",
            PASSWORD,
            "--nodnsseed",
            f"--datadir={self.folder / 'data'}",
            f"--logdir={self.folder / 'log'}",
            *self._more,
        ]

    environment = {"HOME": "/nonexistent"}


class Bcoin(FullNode):
    """bcoin in regtest."""

    def command(self) -> list[str]:
        return [*npm.command("bcoin", "node.mjs"), str(self.port), str(self.rpc_port), PASSWORD]
