"""A client of the gateway's HTTP interface, for commands: reads, writes with the token, and the stream of events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any

import httpx

PATIENCE_S = 10.0
SILENCE_S = 40.0  # of a stream of events; the gateway says something every 15 s
LONGEST = 1 << 20  # bytes of an event; a longer one is no gateway's


class NoAnswer(Exception):
    """The gateway does not answer, or refuses; the text says so to a user. `status` is that of HTTP, or 0."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Client:
    """`async with Client("http://127.0.0.1:8742", token) as client`. Every method raises NoAnswer, after `patience_s` at
    the latest."""

    def __init__(self, url: str, token: str = "", patience_s: float = PATIENCE_S) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            # trust_env: a proxy of the environment is not asked for a gateway on this machine
            self._http = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=patience_s, trust_env=False)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise NoAnswer(f"{url!r} and this token make no request: {error}") from None

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._http.aclose()

    async def get(self, path: str, **parameters: Any) -> Any:
        """JSON of a path such as "/api/nodes"."""
        return await self._ask("GET", path, params=parameters)

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer to a write."""
        return await self._ask("POST", path, json=body)

    async def send(self, path: str, raw: bytes) -> Any:
        """The same, with bytes that are no JSON."""
        return await self._ask("POST", path, content=raw)

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = await self._http.request(method, path, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAnswer(f"{self.url} does not answer: {error or type(error).__name__}") from None
        try:
            told = answer.json()
        except ValueError:
            raise NoAnswer(f"{self.url}{path} is not a gateway's: it answers no JSON", answer.status_code) from None
        if answer.is_error:
            text = told.get("error") if isinstance(told, dict) else None
            raise NoAnswer(str(text or f"status {answer.status_code}"), answer.status_code)
        return told

    async def events(self, *only: str) -> AsyncIterator[tuple[str, Any]]:
        """(name, data) of each event from now on, of all or of the named ones, until the gateway ends."""
        parameters = {"only": ",".join(only)} if only else {}
        timeout = httpx.Timeout(PATIENCE_S, read=SILENCE_S)
        try:
            async with self._http.stream("GET", "/api/events", params=parameters, timeout=timeout) as answer:
                if answer.is_error:
                    raise NoAnswer(f"{self.url} gives no events: status {answer.status_code}", answer.status_code)
                async for event in _events(answer.aiter_lines()):
                    yield event
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAnswer(f"{self.url} does not answer: {error or type(error).__name__}") from None


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, Any]]:
    """The events of a text/event-stream. One whose data are no JSON is left out."""
    name, data = "", ""
    async for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data" and len(data) + len(value) <= LONGEST:
            data += value
        elif not line and name:
            with suppress(ValueError):
                yield name, json.loads(data)
            name, data = "", ""
