"""An RPC of CometBFT that answers with what it should not: an RpcError, whatever it is."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
from picoswarm_gateway.families.cometbft.rpc import ANSWER_MAX, Rpc, RpcError
from small_mesh import HOST

PATIENCE_S = 30.0
LONG = "9" * 30


def result(told: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": told}).encode()


async def answered(body: bytes, ask) -> None:
    """Ask an RPC that answers anything with this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        with suppress(OSError):  # it was enough
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    rpc = Rpc(f"http://{HOST}:{server.sockets[0].getsockname()[1]}")
    try:
        await ask(rpc)
    finally:
        await rpc.close()
        server.close()


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"[" * 100_000,
        b'{"error": "text"}',
        b'{"error": [1]}',
        result(None),
        result([]),
        result("text"),
        result({"code": -1, "height": "-1", "index": 0, "tx_result": {}, "total": "1", "validators": [[]]}),
        result({"code": LONG, "height": LONG, "index": 0, "tx_result": [], "total": LONG, "validators": "x"}),
        result({"code": {}, "response": [], "signed_header": {"header": [], "commit": []}, "txs_results": [[]]}),
        result({"response": {"height": "-5", "code": 1 << 40, "proofOps": {"ops": [1]}}, "validators": [{"pub_key": 5}]}),
        result({"code": "x", "response": {"value": 5}, "pad": "x" * ANSWER_MAX}),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_any_answer_is_read_or_an_rpc_error(body):
    async def story():
        async def ask_all(rpc: Rpc) -> None:
            asks = [rpc.validators(1), rpc.signed_header(1), rpc.check(b"x"), rpc.result(bytes(32)), rpc.query("", b"x")]
            for each in (*asks, rpc.results(1)):
                with suppress(RpcError):  # or it can be read, and then a board can be told it
                    told = await each
                    numbers = [told] if isinstance(told, int) else [getattr(told, name, 0) for name in ("height", "code")]
                    assert all(0 <= number < 1 << 63 for number in numbers)

        await answered(body, ask_all)

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))
