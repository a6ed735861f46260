"""The HTTP API: what answers each path (docs/gateway.md). Reading is for whoever reaches the port; writing needs the token.

Errors are JSON, {"error": text}, with the status that HTTP has for them.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from picoswarm.errors import PicoswarmError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import families, log
from .families.update.bundle import LONGEST, Refused
from .http import EVENTS
from .known import KnownNode
from .limits import Allowance
from .nodes import Unknown

if TYPE_CHECKING:
    from .operations import Operations

HEAD = 16 * 1024  # bytes of a request's head
BODY = 64 * 1024
BODIES = {"/api/updates": LONGEST}  # longer ones, by path
WATCHERS = 32  # clients of /api/events at once
PING_S = 15  # a comment, so that an idle stream stays open
SEND_S = 30  # a client that takes nothing for so long is let go
DAY_S = 366 * 86400
ASKED, ASKED_EACH_S = 10, 3.0  # questions to boards for clients without the token: so many at once, then one in so long
PAGE = Path(__file__).parent / "dashboard"
# The page is files of our own, with neither scripts nor styles in its text: what somebody smuggles into it can load nothing.
SAFETY = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Json(Response):
    """JSON by msgspec."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


class Refusal(HTTPException):
    """A request that is answered by an error."""


class Guard:
    """Stands before the application: which host is asked for, and how long the body is.

    A browser that was led here by a name of somebody else's (DNS rebinding) sends that name: only addresses, `localhost`,
    this machine's name and the names of the configuration are answered. What another site makes a browser ask for is
    refused: it could not read the answer, but it could take all places of watchers, and have boards asked.
    """

    def __init__(self, app: ASGIApp, hosts: set[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        error = None
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD:
            error = Json({"error": f"the head of a request has at most {HEAD} bytes"}, 431)
        if headers.get(b"sec-fetch-site") == b"cross-site" and scope["path"] != "/":
            error = Json({"error": "other sites have no business here"}, 403)
        if not self._is_ours(headers.get(b"host", b"").decode("latin-1")):
            error = Json({"error": "this host name is not served here; see http.hosts"}, 421)
        length = headers.get(b"content-length", b"0")
        most = BODIES.get(scope["path"], BODY)
        if not length.isdigit() or int(length) > most:
            error = Json({"error": f"a request has at most {most} bytes"}, 413)
        if error:
            return await error(scope, receive, send)
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise Refusal(413, f"a request has at most {most} bytes")
            return message

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                have = {name.lower() for name, _ in message["headers"]}
                added = [(name.encode(), value.encode()) for name, value in SAFETY.items() if name.encode() not in have]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, bounded, safe)

    def _is_ours(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        name = name.strip("[]").lower()
        try:
            ipaddress.ip_address(name)
            return True
        except ValueError:
            return name in self._hosts


class Api:
    """See the module."""

    def __init__(self, operations: Operations, token: str, hosts: list[str]) -> None:
        """`token`: what writes need; empty: nobody may write."""
        self._ops = operations
        self._gateway = operations.gateway
        self._token = token.encode()
        self._asking = Allowance(ASKED, ASKED_EACH_S)
        machine = socket.gethostname().lower()
        names = {"localhost", machine, f"{machine}.local", *(host.lower() for host in hosts)}
        get, post = ["GET"], ["POST"]
        routes: list[Any] = [
            Route("/healthz", self._healthz, methods=get),
            Route("/readyz", self._readyz, methods=get),
            Route("/metrics", self._metrics, methods=get),
            Route("/api/state", self._state, methods=get),
            Route("/api/nodes", self._nodes, methods=get),
            Route("/api/topology", self._topology, methods=get),
            Route("/api/history", self._history, methods=get),
            Route("/api/log", self._log, methods=get),
            Route("/api/trace", self._trace, methods=get),
            Route("/api/find", self._find, methods=get),
            Route(EVENTS, self._events, methods=get),
            Route("/api/updates", self._updates, methods=get),
            Route("/api/updates", self._put_update, methods=post),
            Route("/api/publish", self._publish, methods=post),
            Route("/api/ping", self._ping, methods=post),
        ]
        if PAGE.is_dir():
            routes.append(Route("/", self._page, methods=get))
            routes.append(Mount("/static", StaticFiles(directory=PAGE)))
        self.app = Starlette(
            routes=routes,
            middleware=[Middleware(Guard, hosts=names)],
            exception_handlers={HTTPException: _answer_refusal, Exception: self._answer_fault},
        )

    # Reading

    async def _healthz(self, _request: Request) -> Response:
        return Json({"ok": True})

    async def _readyz(self, _request: Request) -> Response:
        lacking = self._ops.lacking()
        return Json({"ready": not lacking, "lacking": lacking}, 503 if lacking else 200)

    async def _metrics(self, _request: Request) -> Response:
        text, kind = self._ops.metrics.render()
        return Response(text, media_type=kind)

    async def _state(self, _request: Request) -> Response:
        return Json({**self._ops.state(), "may_write": bool(self._token)})

    async def _nodes(self, _request: Request) -> Response:
        return Json(self._ops.nodes.table())

    async def _topology(self, _request: Request) -> Response:
        return Json(self._ops.nodes.topology())

    async def _history(self, request: Request) -> Response:
        history = self._ops.history
        series = request.query_params.get("series", "")
        if series not in history.series:
            raise Refusal(404, f"no such series; there are: {', '.join(history.series)}")
        return Json(await history.read(series, _number(request, "seconds", 3600, 1, DAY_S)))

    async def _log(self, request: Request) -> Response:
        if "node" not in request.query_params:
            return Json({"node": None, "text": "".join(log.recent)})
        node = self._node(request.query_params["node"])
        self._allow_asking(request)
        return Json({"node": node.id.hex(), "text": await _told(self._ops.nodes.read_log(node))})

    async def _trace(self, request: Request) -> Response:
        node = self._node(request.query_params.get("node", ""))
        self._allow_asking(request)
        return Json(await _told(self._ops.nodes.trace(node)))

    async def _find(self, request: Request) -> Response:
        family = self._gateway.families.get("libp2p")
        if family is None:
            raise Refusal(404, "this gateway has no family libp2p; see libp2p.enabled")
        self._allow_asking(request)
        try:
            return Json(await family.look_up(request.query_params.get("what", "")))
        except families.Refused as error:
            raise Refusal(400, str(error)) from None

    async def _events(self, request: Request) -> Response:
        from sse_starlette import EventSourceResponse

        hub = self._gateway.hub
        if len(hub.watchers) >= WATCHERS:
            raise Refusal(503, f"{WATCHERS} clients watch already")
        wanted = set(filter(None, request.query_params.get("only", "").split(",")))

        async def events() -> AsyncIterator[dict[str, str]]:
            watcher = hub.watch()  # here: of a client that has gone before, nothing is left
            try:
                if not wanted or "state" in wanted:
                    yield {"event": "state", "data": msgspec.json.encode(self._ops.state()).decode()}
                async for name, data in watcher:
                    if not wanted or name in wanted:
                        yield {"event": name, "data": data}
            finally:
                watcher.close()

        return EventSourceResponse(events(), ping=PING_S, send_timeout=SEND_S)

    async def _page(self, _request: Request) -> Response:
        page = PAGE / "index.html"
        if not page.is_file():
            raise Refusal(404, "this installation has no dashboard")
        return Response(page.read_bytes(), media_type="text/html; charset=utf-8")

    async def _updates(self, _request: Request) -> Response:
        return Json(self._update_family().overview())

    # Who may

    def _has_token(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode(), self._token)
        return bool(self._token) and scheme.lower() == "bearer" and is_right

    def _allow_asking(self, request: Request) -> None:
        """It makes the gateway ask boards: all who come without the token share what they are worth."""
        if not self._has_token(request) and not self._asking.take():
            later = {"retry-after": f"{ASKED_EACH_S:.0f}"}
            raise Refusal(429, "boards were asked too often; the token, or a little patience, helps", later)

    def _authorize(self, request: Request) -> None:
        if not self._token:
            raise Refusal(403, "no token is configured, so nobody may write; see http.token")
        if not self._has_token(request):
            raise Refusal(401, "this needs the header 'Authorization: Bearer TOKEN'", {"www-authenticate": "Bearer"})

    # Writing

    async def _publish(self, request: Request) -> Response:
        self._authorize(request)
        body = await _body(request)
        topic, payload, encoding = body.get("topic"), body.get("payload", ""), body.get("encoding", "text")
        if not isinstance(topic, str) or not isinstance(payload, str) or encoding not in ("text", "base64"):
            raise Refusal(400, 'topic and payload are texts, encoding is "text" or "base64"')
        try:
            raw = payload.encode() if encoding == "text" else base64.b64decode(payload, validate=True)
        except (binascii.Error, ValueError):
            raise Refusal(400, "the payload is not base64") from None
        try:
            peers = await self._gateway.node.publish(topic, raw)
        except PicoswarmError as error:
            raise Refusal(400, str(error)) from None
        self._ops.tell_message(topic, raw, self._gateway.id, True)
        return Json({"peers": peers})

    async def _ping(self, request: Request) -> Response:
        self._authorize(request)
        node = self._node((await _body(request)).get("id", ""))
        rtt = round(await _told(self._ops.nodes.questions.ping(node)), 2)
        return Json({"id": node.id.hex(), "name": node.name, "rtt_ms": rtt})

    async def _put_update(self, request: Request) -> Response:
        self._authorize(request)
        try:
            return Json(self._update_family().put(await request.body()))
        except Refused as error:
            raise Refusal(400, str(error)) from None
        except OSError as error:
            raise Refusal(507, f"the bundle cannot be kept: {error}") from None

    # Helpers

    def _update_family(self) -> Any:
        family = self._gateway.families.get("update")
        if family is None:
            raise Refusal(404, "updates are off; see update.enabled")
        return family

    def _node(self, text: Any) -> KnownNode:
        try:
            return self._ops.nodes.find(str(text))
        except Unknown as error:
            raise Refusal(404, str(error)) from None

    async def _answer_fault(self, request: Request, error: Exception) -> Response:
        self._gateway.log.error("a request failed", path=request.url.path, error=repr(error))
        return Json({"error": "the gateway failed at this; its log says how"}, 500)


async def _answer_refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = error.detail if isinstance(error, Refusal) else f"{error.detail.lower()}: see docs/gateway.md for what there is"
    return Json({"error": text}, error.status_code, error.headers)


async def _told(asked: Awaitable[Any]) -> Any:
    """What a node answers; where it does not, a Refusal."""
    try:
        return await asked
    except PicoswarmError as error:
        raise Refusal(504, f"the node does not answer: {error or type(error).__name__}") from None


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(await request.body())
    except msgspec.DecodeError as error:
        raise Refusal(400, f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refusal(400, "the body is a JSON object")
    return body


def _number(request: Request, name: str, default: float, least: float, most: float) -> float:
    try:
        value = float(request.query_params.get(name, default))
    except ValueError:
        value = -1.0
    if not least <= value <= most:
        raise Refusal(400, f"{name} lies in {least:g}..{most:g}")
    return value
