"""The RPC of a CometBFT node, for what its peers do not tell each other: validators, result codes, the state of the
application. Nothing of it is believed that a verified header can contradict (chain.py).
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from .proto import blob, number

PAGE = 100  # validators in an answer
ANSWER_S = 5.0
ANSWER_MAX = 4 << 20  # bytes
VALIDATORS_MAX = 10_000  # as CometBFT has it
BAD = (KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError)  # of JSON that is not as it should be
Validators = list[tuple[bytes, int]]


class RpcError(Exception):
    """It did not answer, or not with that."""


class NotFound(RpcError):
    """It has no such thing (yet)."""


@dataclass
class TxResult:
    """What became of a transaction."""

    height: int
    index: int
    code: int
    log: str


@dataclass
class Queried:
    """What an application says of a key. `proof`: its proof operations, as bytes, empty where it gives none."""

    height: int
    code: int
    value: bytes
    proof: bytes


class Rpc:
    """One node's. `client` is closed by `close`."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=ANSWER_S, trust_env=False)

    async def close(self) -> None:
        """End its connections."""
        await self._client.aclose()

    async def call(self, method: str, **arguments: Any) -> Any:
        """The result of a method. Raises RpcError."""
        try:
            told = json.loads(await self._post({"jsonrpc": "2.0", "id": 1, "method": method, "params": arguments}))
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            raise RpcError(f"the RPC does not answer: {error}") from None
        if not isinstance(told, dict) or "result" not in told:
            fault = told.get("error", {}) if isinstance(told, dict) else {}
            if not isinstance(fault, dict):
                raise RpcError("no result")
            text = f"{fault.get('message', '')} {fault.get('data', '')}"
            raise (NotFound if "not found" in text or "must be less" in text else RpcError)(text.strip() or "no result")
        return told["result"]

    async def _post(self, request: dict[str, Any]) -> bytearray:
        text = bytearray()
        async with asyncio.timeout(ANSWER_S), self._client.stream("POST", "/", json=request) as answer:
            async for part in answer.aiter_bytes():
                text += part
                if len(text) > ANSWER_MAX:
                    raise ValueError(f"more than {ANSWER_MAX} bytes")
        return text

    async def validators(self, height: int) -> Validators:
        """(Ed25519 key, votes) of each, in the order of the commit. Raises RpcError."""
        found: Validators = []
        page = 1
        while True:
            told = await self.call("validators", height=str(height), page=str(page), per_page=str(PAGE))
            try:
                found += validators_of(told["validators"])
                if len(found) >= int(told["total"]) or not told["validators"]:
                    return found
                if len(found) > VALIDATORS_MAX:
                    raise ValueError("too many")
            except BAD as error:
                raise RpcError(f"validators that cannot be read: {error}") from None
            page += 1

    async def signed_header(self, height: int) -> tuple[bytes, bytes]:
        """A header and its commit, as bytes. Raises RpcError."""
        told = await self.call("commit", height=str(height))
        try:
            signed = told["signed_header"]
            return header_bytes(signed["header"]), commit_bytes(signed["commit"])
        except BAD as error:
            raise RpcError(f"a header that cannot be read: {error}") from None

    async def check(self, tx: bytes) -> int:
        """The code with which the application lets a transaction into blocks: 0, or why not. Raises RpcError."""
        told = await self.call("check_tx", tx=base64.b64encode(tx).decode())
        try:
            return _uint(told.get("code", 0), 32)
        except BAD as error:
            raise RpcError(f"a code that cannot be read: {error}") from None

    async def result(self, tx_hash: bytes) -> TxResult:
        """Raises NotFound while it is in no block, RpcError."""
        told = await self.call("tx", hash=base64.b64encode(tx_hash).decode())
        try:
            result = told["tx_result"]
            height, index, code = _uint(told["height"]), _uint(told["index"], 32), _uint(result.get("code", 0), 32)
            return TxResult(height, index, code, str(result.get("log", "")))
        except BAD as error:
            raise RpcError(f"a result that cannot be read: {error}") from None

    async def results(self, height: int) -> list[bytes]:
        """What each transaction of a block gave, as it goes into the hash of the next header. Raises RpcError."""
        told = await self.call("block_results", height=str(height))
        try:
            return [
                number(1, int(each.get("code", 0)))
                + blob(2, base64.b64decode(each.get("data") or ""))
                + number(5, int(each.get("gas_wanted", 0)))
                + number(6, int(each.get("gas_used", 0)))
                for each in told.get("txs_results") or ()
            ]
        except BAD as error:
            raise RpcError(f"results that cannot be read: {error}") from None

    async def query(self, path: str, data: bytes) -> Queried:
        """Ask the application. Raises RpcError."""
        told = await self.call("abci_query", path=path, data=data.hex(), prove=True)
        try:
            answer = told["response"]
            ops = (answer.get("proofOps") or {}).get("ops") or ()
            proof = b"".join(
                blob(1, blob(1, op["type"].encode()) + blob(2, _raw(op["key"])) + blob(3, _raw(op["data"])), True)
                for op in ops
            )
            height, code = _uint(answer.get("height", 0)), _uint(answer.get("code", 0), 32)
            return Queried(height, code, _raw(answer.get("value")), proof)
        except BAD as error:
            raise RpcError(f"an answer that cannot be read: {error}") from None


def _raw(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def _uint(text: Any, bits: int = 63) -> int:
    value = int(text)
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{value} is out of range")
    return value


def validators_of(listed: list[dict[str, Any]]) -> Validators:
    """From JSON, of the RPC or of a genesis file. Raises ValueError, KeyError."""
    found = []
    for each in listed:
        key = each["pub_key"]
        if key["type"] != "tendermint/PubKeyEd25519":
            raise ValueError(f"a validator's key is of the type {key['type']}, and only Ed25519 can be checked")
        found.append((_raw(key["value"]), _uint(each.get("voting_power") or each["power"])))
    return found


def _time(text: str) -> bytes:
    """A Timestamp from RFC 3339 with up to nine digits."""
    whole, _, rest = text.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return number(1, seconds) + number(2, int(rest.ljust(9, "0")) if rest else 0)


def _block_id(told: dict[str, Any]) -> bytes:
    parts = told.get("parts") or {}
    head = number(1, int(parts.get("total", 0))) + blob(2, bytes.fromhex(parts.get("hash", "")))
    return blob(1, bytes.fromhex(told.get("hash", ""))) + blob(2, head, True)


HASHES = (  # fields 6 to 14 of a header
    "last_commit_hash",
    "data_hash",
    "validators_hash",
    "next_validators_hash",
    "consensus_hash",
    "app_hash",
    "last_results_hash",
    "evidence_hash",
    "proposer_address",
)


def header_bytes(told: dict[str, Any]) -> bytes:
    """A header as bytes, from JSON."""
    version = number(1, int(told["version"].get("block", 0))) + number(2, int(told["version"].get("app", 0)))
    return (
        blob(1, version, True)
        + blob(2, told["chain_id"].encode())
        + number(3, int(told["height"]))
        + blob(4, _time(told["time"]), True)
        + blob(5, _block_id(told["last_block_id"]), True)
        + b"".join(_hashes(told))
    )


def _hashes(told: dict[str, Any]) -> Iterator[bytes]:
    for field, name in enumerate(HASHES, 6):
        yield blob(field, bytes.fromhex(told[name]))


def commit_bytes(told: dict[str, Any]) -> bytes:
    """A commit as bytes, from JSON."""
    signatures = b"".join(
        blob(
            4,
            number(1, int(each["block_id_flag"]))
            + blob(2, bytes.fromhex(each["validator_address"]))
            + blob(3, _time(each["timestamp"]) if each["block_id_flag"] != 1 else number(1, -62135596800), True)
            + blob(4, _raw(each["signature"])),
            True,
        )
        for each in told["signatures"]
    )
    return (
        number(1, int(told["height"]))
        + number(2, int(told["round"]))
        + blob(3, _block_id(told["block_id"]), True)
        + signatures
    )
