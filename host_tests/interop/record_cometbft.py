"""Write host_tests/unit/comet_blocks.py: blocks of a chain of four real CometBFT validators, as a gateway tells them.

build/venv/bin/python host_tests/interop/record_cometbft.py
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import ExitStack
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[1] / "gateway")]
from comet_chain import CometNode  # noqa: E402
from picoswarm.commits import read_header  # noqa: E402
from picoswarm_gateway.families.cometbft.chain import LightBlock  # noqa: E402
from picoswarm_gateway.families.cometbft.rpc import commit_bytes, header_bytes, validators_of  # noqa: E402
from picoswarm_tools.peers import golang  # noqa: E402

TARGET = Path(__file__).resolve().parents[1] / "unit" / "comet_blocks.py"
HEIGHTS = (4, 5, 9)
VALIDATORS = 4
HEAD = '''"""Written by record_cometbft.py: blocks of a chain of four validators of CometBFT 0.38.25, each
as `LightBlock.pieces` has it, and the hash that its RPC tells of it."""

from binascii import unhexlify

CHAIN = "{chain}"
'''


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    binary = golang.binary("cometbft", "cometbft")
    command = [binary, "testnet", "--v", str(VALIDATORS), "--o", str(folder), "--starting-ip-address", "127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    try:
        with ExitStack() as stack:
            nodes: list[CometNode] = []
            for i in range(VALIDATORS):
                nodes.append(CometNode(folder / f"node{i}", *nodes))
            for node in nodes:
                node.launch()
                stack.callback(node.stop)
            while nodes[0].height() <= max(HEIGHTS):
                time.sleep(0.1)
            text = HEAD.format(chain=nodes[0].chain)
            for height in HEIGHTS:
                signed = nodes[0].ask(f"commit?height={height}")["signed_header"]
                raw = header_bytes(signed["header"])
                validators = validators_of(nodes[0].ask(f"validators?height={height}")["validators"])
                header = read_header(raw)
                assert header and header.hash.hex().upper() == signed["commit"]["block_id"]["hash"], json.dumps(signed)
                pieces = LightBlock(header, raw, commit_bytes(signed["commit"]), validators).pieces()
                lines = textwrap.fill(pieces.hex(), 110, initial_indent='    b"', subsequent_indent='    b"')
                text += f'\nHASH_{height} = unhexlify("{header.hash.hex()}")\nBLOCK_{height} = unhexlify(\n'
                text += "\n".join(f'{line}"' for line in lines.splitlines()) + "\n)\n"
            TARGET.write_text(text)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
