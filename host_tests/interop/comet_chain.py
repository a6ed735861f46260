"""A real CometBFT chain on 127.0.0.1: one validator with the key-value application that comes with it, or several."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from pathlib import Path

from picoswarm_tools.peers import golang
from small_mesh import HOST, free_port

READY_S = 60.0


class CometNode:
    """A node of a chain, from its home folder. `address`: id@host:port; `peer`: which version, a folder of peers/go;
    `proxy`: its application, the key-value store that comes with it or "tcp://host:port"."""

    def __init__(
        self,
        home: Path,
        *peers: CometNode,
        more: tuple[tuple[str, str], ...] = (),
        peer: str = "cometbft",
        proxy: str = "kvstore",
    ) -> None:
        self.home = home
        self.proxy = proxy
        self.binary = str(golang.binary(peer, "cometbft"))
        if not (home / "config" / "config.toml").is_file():
            self.run("init")
        self.port, self.rpc_port = free_port(), free_port()
        config = home / "config" / "config.toml"
        text = config.read_text()
        wanted = {
            "addr_book_strict": "false",
            "allow_duplicate_ip": "true",
            "timeout_commit": '"200ms"',
            "persistent_peers": json.dumps(",".join(each.address for each in peers)),
            "prometheus": "false",
            "pprof_laddr": '""',
            **dict(more),
        }
        for key, value in wanted.items():
            text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.M)
        config.write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str) -> str:
        """What a command of the binary prints."""
        command = [self.binary, *arguments, "--home", str(self.home)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    @property
    def id(self) -> str:
        return self.run("show-node-id")

    @property
    def address(self) -> str:
        return f"{self.id}@{HOST}:{self.port}"

    @property
    def rpc(self) -> str:
        return f"http://{HOST}:{self.rpc_port}"

    @property
    def genesis(self) -> Path:
        return self.home / "config" / "genesis.json"

    @property
    def chain(self) -> str:
        return json.loads(self.genesis.read_text())["chain_id"]

    def __enter__(self) -> CometNode:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def launch(self) -> None:
        """Start it, and do not wait."""
        log = (self.home / "log").open("ab")
        where = ["--p2p.laddr", f"tcp://{HOST}:{self.port}", "--rpc.laddr", f"tcp://{HOST}:{self.rpc_port}"]
        command = [self.binary, "node", "--home", str(self.home), "--proxy_app", self.proxy, *where]
        self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def start(self) -> None:
        """Start it, and wait for its first block."""
        self.launch()
        assert self.process
        end = time.monotonic() + READY_S
        while self.height() < 1:
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"cometbft does not start: {(self.home / 'log').read_text()[-500:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def ask(self, what: str) -> dict:
        """A result of its RPC."""
        with urllib.request.urlopen(f"{self.rpc}/{what}", timeout=10) as answer:
            return json.load(answer)["result"]

    def height(self) -> int:
        try:
            return int(self.ask("status")["sync_info"]["latest_block_height"])
        except OSError:
            return 0
