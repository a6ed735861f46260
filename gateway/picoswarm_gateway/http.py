"""The HTTP server of the gateway: uvicorn in the gateway's own loop, on a socket that is there before it starts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import uvicorn
from picoswarm.errors import LocalError
from uvicorn.protocols.http.h11_impl import H11Protocol

from .config import NO_TOKEN, HttpTable, is_token
from .tomlfile import file_of

if TYPE_CHECKING:
    from .operations import Operations

CONNECTIONS = 256  # at once; for one more, who is silent for longest goes; where none is, it is answered by 503
HEAD_S = 10.0  # that a client has to say what it wants
ANSWER_S = 60.0  # that it has to take the answer; streams of events have a limit of their own
EVENTS = "/api/events"
LAST_S = 2  # for answers under way when the gateway ends


def read_token(table: HttpTable) -> str:
    """What writes need; empty: nobody may write. Raises LocalError where the file cannot be read or others can read it."""
    if not table.token_file:
        return table.token
    path = file_of(table.token_file)
    try:
        mode = path.stat().st_mode
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"http.token_file cannot be read: {error}") from None
    if mode & 0o027:  # the group may read: so systemd hands out its credentials
        raise LocalError(f"http.token_file: others can read or change {path}; chmod 600 it")
    if not token:
        raise LocalError(f"http.token_file: {path} is empty")
    if not is_token(token):
        raise LocalError(f"http.token_file: {path}: {NO_TOKEN}")
    return token


class _Server(uvicorn.Server):
    """Signals are the gateway's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Connection(H11Protocol):
    """One that says or takes nothing is let go, so that nobody holds the places of others."""

    silent: dict[_Connection, None]  # whose turn it is to say something, oldest first; one for each server
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()
        if len(self.connections) >= CONNECTIONS:
            oldest = next(iter(self.silent))
            if oldest is not self:
                oldest.leave()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._stop()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        self._stop()
        super().on_response_complete()
        self._look()

    def leave(self) -> None:
        """End it now; its place is free at once, however many come in the same turn of the loop."""
        self._stop()
        self.connections.discard(self)
        self.transport.abort()

    def _look(self) -> None:
        """Whose turn it is may have changed."""
        is_silent = self.cycle is None or self.cycle.response_complete
        if self._timer and is_silent == (self in self.silent):
            return
        self._stop()
        if self.transport.is_closing():
            return
        if is_silent:
            self.silent[self] = None
        if is_silent or self.scope["path"] != EVENTS:
            self._timer = self.loop.call_later(HEAD_S if is_silent else ANSWER_S, self.leave)

    def _stop(self) -> None:
        self.silent.pop(self, None)
        if self._timer:
            self._timer.cancel()
            self._timer = None


class HttpServer:
    """See the module. `port` is the one that it listens on."""

    def __init__(self, operations: Operations, table: HttpTable) -> None:
        self.host = table.host
        self.port = table.port
        self._operations = operations
        self._table = table
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it answers."""
        return self._server is not None and self._server.started and not self._server.should_exit

    async def start(self) -> None:
        """Listen. Raises OSError, and LocalError for a token that cannot be had."""
        from .api import HEAD, Api

        class Connection(_Connection):
            silent = {}

        api = Api(self._operations, read_token(self._table), self._table.hosts)
        sock = _listen(self.host, self.port)
        self.port = sock.getsockname()[1]
        config = uvicorn.Config(
            api.app,
            log_config=None,
            access_log=False,
            lifespan="off",
            http=Connection,  # h11 knows a limit for a head that comes in pieces
            ws="none",
            server_header=False,
            date_header=False,
            limit_concurrency=CONNECTIONS,
            h11_max_incomplete_event_size=HEAD,
            timeout_graceful_shutdown=LAST_S,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve([sock]))
        while not self._server.started:
            if self._task.done():
                await self._task
                raise OSError("the HTTP server ended at once")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Answer what is under way, for LAST_S at most, and listen no more."""
        if self._server and self._task:
            self._server.should_exit = True
            await self._task
            self._server = self._task = None


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        sock = socket.socket(family, kind, number)
    except OSError as error:
        raise OSError(error.errno, f"http.host {host!r} is no address of this machine") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"HTTP port {port} of {host} cannot be opened; another program may have it") from None
    return sock
