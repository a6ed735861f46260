"""The HTTP API: what it tells, who may write, and what it refuses."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
import structlog
from picoswarm.errors import LocalError
from picoswarm_gateway import api, http, log
from picoswarm_gateway.api import BODY, Api
from picoswarm_gateway.config import HttpTable
from picoswarm_gateway.gateway import Gateway
from picoswarm_gateway.http import CONNECTIONS
from picoswarm_gateway.hub import QUEUE, Hub
from picoswarm_gateway.limits import Allowance
from prometheus_client.parser import text_string_to_metric_families
from running_mesh import AUTHORIZED, TOKEN, RunningMesh
from small_mesh import PATIENCE_S
from starlette.requests import Request


@pytest.fixture(scope="module")
def mesh(tmp_path_factory) -> Iterator[RunningMesh]:
    with RunningMesh(tmp_path_factory.mktemp("mesh")) as running:
        yield running


def node_row(mesh: RunningMesh, name: str) -> dict:
    (row,) = [row for row in mesh.get("/api/nodes") if row["name"] == name]
    return row


class Listener:
    """Reads /api/events in a thread; `events` has (name, data)."""

    def __init__(self, mesh: RunningMesh, query: str = "") -> None:
        self.events: list[tuple[str, dict]] = []
        self._mesh = mesh
        self._stream = mesh.web.stream("GET", "/api/events" + query)

    def __enter__(self) -> Listener:
        self._answer = self._stream.__enter__()
        assert self._answer.headers["content-type"].startswith("text/event-stream")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stream.__exit__(None, None, None)

    def _read(self) -> None:
        name = ""
        try:
            for line in self._answer.iter_lines():
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    self.events.append((name, json.loads(line[6:])))
        except httpx.HTTPError:
            pass  # the test is over

    def wait(self, event: str, **parts: object) -> dict:
        """The data of the first event of a kind that has these parts."""
        return self._mesh.wait(lambda: next(self._matching(event, parts), None))

    def _matching(self, name: str, parts: dict) -> Iterator[dict]:
        for its_name, data in list(self.events):
            if its_name == name and all(data.get(key) == value for key, value in parts.items()):
                yield data


def test_state_says_who_and_what_the_gateway_is(mesh):
    mesh.wait(lambda: mesh.get("/api/state")["sessions"] == 2)
    state = mesh.get("/api/state")
    assert state["id"] == mesh.gateway.id.hex() and state["name"] == "gateway"
    assert state["fingerprint"] and state["epoch"] == 0 and state["may_write"] is True
    assert mesh.get("/healthz") == {"ok": True}
    assert mesh.get("/readyz") == {"ready": True, "lacking": []}


def test_a_node_has_its_address_its_time_its_traffic_its_counters_and_what_it_runs(mesh):
    row = mesh.wait(lambda: (row := node_row(mesh, "board"))["counters"] and row["channels"].get("3") and row)
    assert row["id"] == mesh.board.id.hex() and row["state"] == "session" and not row["is_gateway"]
    assert row["ip"] == "127.0.0.1" and row["port"] == mesh.board._driver.port
    assert 0 < row["rtt_ms"] < 10_000 and row["first_seen"] <= row["last_seen"]
    assert row["bytes_in"] > 100 and row["bytes_out"] > 100
    assert row["firmware"].startswith("picoswarm ") and "Python" in row["firmware"]
    assert 1 <= row["counters"]["key_agreements"] <= mesh.board.stats()["key_agreements"]  # it goes on
    assert row["channels"]["3"][0] >= 1  # its answer to the method "about"


def test_topology_has_links_that_the_gateway_is_no_end_of(mesh):
    ids = {mesh.gateway.id.hex(), mesh.board.id.hex(), mesh.other.id.hex()}
    between = {mesh.board.id.hex(), mesh.other.id.hex()}
    mesh.wait(lambda: mesh.board.id in [peer for peer, *_ in mesh.other.sessions()])

    def found() -> dict:
        for node in (mesh.board, mesh.other):
            mesh.do(mesh.gateway.operations.nodes.questions.ask(mesh.gateway.operations.nodes.known[node.id]))
        graph = mesh.get("/api/topology")
        return graph if any({link["a"], link["b"]} == between for link in graph["links"]) else {}

    graph = mesh.wait(found)
    assert {node["id"] for node in graph["nodes"]} == ids
    assert {(node["name"], node["kind"]) for node in graph["nodes"]} == {
        ("gateway", "gateway"),
        ("board", "node"),
        ("other", "node"),
    }
    for link in graph["links"]:
        assert 0 <= link["quality"] <= 1 and (link["rtt_ms"] is None) == ({link["a"], link["b"]} == between)


def test_a_nodes_log_is_read_by_name_and_by_the_beginning_of_its_id(mesh):
    mesh.log("the sensor is warm")
    told = mesh.wait(lambda: (log := mesh.get("/api/log?node=board"))["text"] and log)
    assert told == {"node": mesh.board.id.hex(), "text": "the sensor is warm\n"}
    assert mesh.get(f"/api/log?node={mesh.board.id.hex()[:8]}") == told
    assert mesh.get("/api/log")["node"] is None
    assert mesh.web.get("/api/log?node=nobody").status_code == 404


def test_a_log_that_several_read_at_once_is_told_once(mesh):
    nodes = mesh.gateway.operations.nodes
    board = nodes.known[mesh.board.id]

    async def read():
        return await asyncio.gather(*(nodes.read_log(board) for _ in range(3)))

    mesh.log("only once")
    assert [text.count("only once") for text in mesh.do(read())] == [1, 1, 1]


def test_trace_shows_the_chain_of_sessions_and_the_lookup(mesh):
    found = mesh.get("/api/trace?node=other")
    assert [hop["name"] for hop in found["path"]] == ["gateway", "other"]
    assert found["nearest"][0]["id"] == mesh.other.id.hex() and found["nearest"][0]["distance"] == 0


def test_ping_measures_a_round_trip(mesh):
    answer = mesh.post("/api/ping", id="board")
    assert answer.status_code == 200 and 0 < answer.json()["rtt_ms"] < 10_000
    assert mesh.post("/api/ping", id="nobody").status_code == 404
    assert mesh.post("/api/ping").status_code == 404


def test_history_begins_at_once_and_names_its_series(mesh):
    points = mesh.wait(lambda: mesh.get("/api/history?series=sessions&seconds=60"))
    assert all(len(point) == 2 for point in points)
    refused = mesh.web.get("/api/history?series=nothing")
    assert refused.status_code == 404 and "bytes_in" in refused.json()["error"]
    assert mesh.web.get("/api/history?series=sessions&seconds=-1").status_code == 400


def test_what_is_published_reaches_the_nodes_as_text_and_as_bytes(mesh):
    heard: list[bytes] = []

    async def hear() -> None:
        subscription = mesh.board.subscribe("lamp/#")
        for _ in range(2):
            heard.append((await anext(subscription)).payload)
        subscription.close()

    waiting = asyncio.run_coroutine_threadsafe(hear(), mesh._loop)
    assert mesh.post("/api/publish", topic="lamp/1", payload="on ä").status_code == 200
    raw = base64.b64encode(b"\xff\x00").decode()
    assert mesh.post("/api/publish", topic="lamp/1", payload=raw, encoding="base64").status_code == 200
    waiting.result(30)
    assert sorted(heard) == sorted(["on ä".encode(), b"\xff\x00"])


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"[1]",
        b'{"payload": "x"}',
        b'{"topic": 3}',
        b'{"topic": "a/#", "payload": ""}',
        b'{"topic": "a", "payload": "*", "encoding": "base64"}',
        b'{"topic": "a", "payload": "", "encoding": "rot13"}',
        b'{"topic": "a", "payload": "%s"}' % (b"x" * 5000),
    ],
)
def test_what_cannot_be_published_is_refused_with_a_reason(mesh, body):
    answer = mesh.web.post("/api/publish", content=body, headers=AUTHORIZED)
    assert answer.status_code == 400 and answer.json()["error"]


@pytest.mark.parametrize("path", ["/api/publish", "/api/ping"])
@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": AUTHORIZED["authorization"][7:]}]
)
def test_writes_need_the_token(mesh, path, headers):
    answer = mesh.web.post(path, json={"topic": "a", "payload": "b", "id": "board"}, headers=headers)
    assert answer.status_code == 401 and "Authorization" in answer.json()["error"]


def test_without_a_configured_token_nobody_writes(mesh):
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(Api(mesh.gateway.operations, "", []).app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/api/ping", json={"id": "board"}, headers={"authorization": "Bearer "})

    assert mesh.do(ask()).status_code == 403


def test_long_requests_and_names_of_somebody_else_are_refused(mesh):
    assert mesh.web.post("/api/publish", content=b"x" * (BODY + 1), headers=AUTHORIZED).status_code == 413
    parts = iter([b"x" * BODY, b"x" * BODY])  # of no length that is told
    assert mesh.web.post("/api/publish", content=parts, headers=AUTHORIZED).status_code == 413
    assert mesh.web.get("/api/state", headers={"host": "somewhere.example"}).status_code == 421
    assert mesh.web.get("/api/state", headers={"host": "localhost:1"}).status_code == 200
    assert mesh.web.get("/api/state", headers={"x": "y" * 20_000}).status_code == 431
    assert mesh.web.get("/api/nothing").json()["error"].startswith("not found")
    assert mesh.web.post("/api/nodes").status_code == 405


def test_other_sites_cannot_make_a_browser_ask(mesh):
    for path in ("/api/events", "/api/log?node=board", "/api/trace?node=board", "/metrics"):
        assert mesh.web.get(path, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert mesh.web.get("/api/state", headers={"sec-fetch-site": "same-origin"}).status_code == 200
    assert mesh.web.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200, "a link to the page is no harm"


def test_who_says_nothing_keeps_nobody_out(mesh):
    silent = [socket.create_connection(("127.0.0.1", mesh.gateway.operations.http.port)) for _ in range(CONNECTIONS + 20)]
    try:
        assert httpx.get(mesh.url + "/healthz", timeout=PATIENCE_S).status_code == 200
        silent[0].settimeout(PATIENCE_S)
        with suppress(ConnectionResetError):
            assert silent[0].recv(1) == b"", "for a new one the oldest goes"
    finally:
        for each in silent:
            each.close()


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\nhost: localhost\r\n", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"]
)
def test_who_does_not_come_to_the_end_of_a_head_is_let_go(mesh, monkeypatch, said):
    monkeypatch.setattr(http, "HEAD_S", 0.2)
    with socket.create_connection(("127.0.0.1", mesh.gateway.operations.http.port), PATIENCE_S) as client:
        client.sendall(said)
        said, ended = b"", False
        while not ended:
            try:
                with suppress(BrokenPipeError, ConnectionResetError):
                    client.sendall(b"x")  # it goes on, a byte at a time: that is no reason to wait for longer
                part = client.recv(4096) if select.select([client], [], [], 0.05)[0] else None
            except ConnectionResetError:
                part = b""
            ended = part == b""
            said += part or b""
    assert said == b"" or said.startswith(b"HTTP/1.1 200")


def test_boards_are_not_asked_without_end_for_who_has_no_token(mesh, monkeypatch):
    async def ask(app) -> None:
        web = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
        async with web:
            for path in ("/api/trace", "/api/log"):
                assert (await web.get(path, params={"node": "board"})).status_code == 200
            refused = await web.get("/api/log", params={"node": "board"})
            assert refused.status_code == 429 and refused.headers["retry-after"] == "3"
            assert (await web.get("/api/log")).status_code == 200, "the gateway's own"
            for path in ("/api/trace", "/api/log"):
                assert (await web.get(path, params={"node": "board"}, headers=AUTHORIZED)).status_code == 200

    monkeypatch.setattr(api, "ASKED", 2)
    monkeypatch.setattr(api, "ASKED_EACH_S", 3.0)
    asked = Api(mesh.gateway.operations, TOKEN, [])
    monkeypatch.setattr(asked._asking, "_clock", lambda: asked._asking._at)
    mesh.do(ask(asked.app))


def test_an_allowance_comes_back_with_time():
    now = [0.0]
    allowance = Allowance(2, 3.0, lambda: now[0])
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    now[0] = 3.1
    assert [allowance.take() for _ in range(2)] == [True, False]
    now[0] = 1000.0
    assert [allowance.take() for _ in range(3)] == [True, True, False]


def test_what_libraries_log_is_among_the_lines_of_the_gateway():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        for form in ("text", "json"):
            log.set_up("info", form, io.StringIO())
            logging.getLogger("a.library").warning("the %s is away", form)
            assert f"the {form} is away" in log.recent[-1]
        assert json.loads(log.recent[-1])["level"] == "warning"
    finally:
        root.handlers[:], root.level = before
        structlog.reset_defaults()


def test_a_watcher_that_left_before_it_got_anything_takes_no_place(mesh):
    async def story() -> None:
        request = Request({"type": "http", "method": "GET", "path": "/api/events", "query_string": b"", "headers": []})
        await Api(mesh.gateway.operations, "", [])._events(request)  # its answer was never sent

    mesh.do(story())
    mesh.wait(lambda: not mesh.gateway.hub.watchers)


def test_events_tell_of_messages_and_log_lines_as_they_come(mesh):
    with Listener(mesh) as listener:
        assert listener.wait("state")["id"] == mesh.gateway.id.hex()
        mesh.do(mesh.board.publish("garden/soil", b"\x80"))
        message = listener.wait("message", topic="garden/soil")
        assert message["payload"] == "gA==" and message["encoding"] == "base64" and message["name"] == "board"
        mesh.do(mesh.gateway.operations.nodes.questions.ask(mesh.gateway.operations.nodes.known[mesh.board.id]))
        mesh.log("it rains")
        assert "it rains" in mesh.get("/api/log?node=board")["text"]
        listener.wait("log", node=mesh.board.id.hex())
        listener.wait("node", name="board")
    mesh.wait(lambda: not mesh.gateway.hub.watchers)


def test_a_session_that_ends_is_told_and_the_node_is_shown_without_one(mesh):
    with Listener(mesh, "?only=link,node") as listener:
        mesh.wait(lambda: mesh.gateway.hub.watchers)
        peers = mesh.gateway.node.swarm.peers

        async def part() -> None:
            peers[mesh.other.id].close()
            mesh.gateway.node._services.links.turn()

        mesh.wait(lambda: mesh.other.id in peers)
        mesh.do(part())
        listener.wait("link", b=mesh.other.id.hex(), state="down")
        listener.wait("link", b=mesh.other.id.hex(), state="up")  # it dials again
        assert {name for name, _ in listener.events} <= {"link", "node"}
    mesh.wait(lambda: mesh.other.id in peers)


def test_too_many_watchers_are_refused(mesh, monkeypatch):
    monkeypatch.setattr(api, "WATCHERS", 0)
    assert mesh.web.get("/api/events").status_code == 503


def test_a_watcher_that_reads_nothing_loses_the_oldest_and_is_told(mesh):
    async def story() -> None:
        hub = Hub()
        watcher = hub.watch()
        for number in range(QUEUE + 10):
            hub.tell("node", {"number": number})
        assert await anext(watcher) == ("lost", '{"events":10}')
        assert await anext(watcher) == ("node", '{"number":10}')
        hub.close()
        assert len([event async for event in watcher]) == QUEUE - 1
        assert not hub.watchers

    asyncio.run(story())


def test_metrics_are_what_prometheus_reads(mesh):
    answer = mesh.web.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    (info,) = families["picoswarm_info"].samples
    assert info.labels["id"] == mesh.gateway.id.hex()
    assert sum(sample.value for sample in families["picoswarm_nodes"].samples) == 2
    assert families["picoswarm_node_received"].type == "counter"
    assert families["process_resident_memory_bytes"].samples
    assert all(sample.value > 0 for sample in families["picoswarm_session_bytes"].samples)


def test_it_is_not_ready_while_the_state_cannot_be_written(mesh, monkeypatch):
    monkeypatch.setattr(mesh.gateway.db, "fault", "disk full")
    answer = mesh.web.get("/readyz")
    assert answer.status_code == 503 and "disk full" in answer.json()["lacking"][0]
    assert mesh.web.get("/healthz").status_code == 200


def test_a_token_file_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "token"
    path.write_text("secret\n")
    path.chmod(0o644)
    with pytest.raises(LocalError, match="chmod 600"):
        http.read_token(HttpTable(token_file=str(path)))
    path.chmod(0o600)
    assert http.read_token(HttpTable(token_file=str(path))) == "secret"
    path.write_text("geh\u00e9im\n")
    with pytest.raises(LocalError, match="ASCII"):
        http.read_token(HttpTable(token_file=str(path)))
    with pytest.raises(LocalError, match="cannot be read"):
        http.read_token(HttpTable(token_file=str(tmp_path / "none")))


def test_a_port_that_is_taken_is_said_and_leaves_nothing_running(tmp_path):
    from small_mesh import SmallMesh

    async def story(port: int) -> None:
        gateway = Gateway(SmallMesh(tmp_path).config(http=HttpTable(port=port)))
        with pytest.raises(OSError, match=f"HTTP port {port}"):
            await gateway.start()
        assert not gateway.db.is_open and len(asyncio.all_tasks()) == 1

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        asyncio.run(story(taken.getsockname()[1]))
