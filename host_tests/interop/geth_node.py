"""A real geth on 127.0.0.1: host_tests/interop/peers/go/geth, with a block a second and an address that owns ether."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path

from coincurve import PrivateKey
from picoswarm_gateway.families.ethereum import rlp
from picoswarm_gateway.families.ethereum.keys import keccak256, public_bytes, sign
from picoswarm_tools.peers import golang
from small_mesh import HOST, free_port

CHAIN = 1337
RICH = PrivateKey(bytes(31) + b"\7")


def address_of(key: PrivateKey) -> bytes:
    """20 bytes."""
    return keccak256(public_bytes(key.public_key))[12:]


def payment(nonce: int, to: bytes, wei: int) -> bytes:
    """A signed transaction of type 2 from RICH, as it is sent."""
    fee = 10**10
    content = [CHAIN, nonce, fee, 10 * fee, 21000, to, wei, b"", []]
    signature = sign(RICH, keccak256(b"\2" + rlp.encode(content)))
    r, s = (signature[i : i + 32].lstrip(b"\0") for i in (0, 32))
    return b"\2" + rlp.encode([*content, signature[64], r, s])


class Geth:
    """A running node. `enode`, `genesis`."""

    def __init__(self, folder: Path) -> None:
        self.port, self.rpc_port = free_port(), free_port()
        self._log = folder / "geth.log"
        self._binary = str(golang.binary("geth"))

    def __enter__(self) -> Geth:
        where = ["-p2p", f"{HOST}:{self.port}", "-http", str(self.rpc_port), "-faucet", address_of(RICH).hex()]
        self.process = subprocess.Popen([self._binary, *where], stdout=subprocess.PIPE, stderr=self._log.open("wb"))
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, self._log.read_text()[-800:]
        told = json.loads(line)
        self.enode, self.genesis = told["enode"].split("?")[0], told["genesis"]
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.terminate()
        self.process.wait(20)

    def ask(self, method: str, *arguments: object) -> object:
        """A result of its RPC."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": arguments}).encode()
        request = urllib.request.Request(f"http://{HOST}:{self.rpc_port}", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            told = json.load(answer)
        assert "error" not in told, told
        return told["result"]
