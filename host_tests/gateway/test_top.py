"""`picoswarm top`: a terminal that shows a real gateway's mesh, and what it prints for scripts."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from dashboard import TOKEN, meet, with_page
from picoswarm_gateway import log, nodes
from picoswarm_gateway.client import Client, NoAnswer
from picoswarm_gateway.figures import Figures, clean, line_of, size, span
from picoswarm_gateway.gateway import Gateway
from picoswarm_gateway.screen import Top
from small_mesh import HOST, PATIENCE_S, free_port, until
from textual.widgets import DataTable, Input, RichLog, Static


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(nodes, "LOOK_S", 0.5)


@pytest.fixture
def kept_log():
    """The gateway keeps its log as it does in a process of its own."""
    root = logging.getLogger()
    had = root.handlers[:], root.level
    log.set_up("info", "json")
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = had


def url_of(gateway: Gateway) -> str:
    return f"http://{HOST}:{gateway.config.http.port}"


def shown(app: Top, part: str) -> str:
    """The text of a part of the screen."""
    widget = app.query_one(part)
    if isinstance(widget, DataTable):
        return "\n".join(" ".join(map(str, widget.get_row_at(i))) for i in range(widget.row_count))
    if isinstance(widget, RichLog):
        return "\n".join(strip.text for strip in widget.lines)
    assert isinstance(widget, Static)
    return str(widget.content)


def test_nodes_messages_and_logs_appear_and_keys_do_what_they_say(mesh, kept_log):
    async def story():
        async with Gateway(with_page(mesh)) as gateway, mesh.node("kitchen", gateway) as node:
            await meet(node, gateway)
            node.log("the kettle boils")
            async with Client(url_of(gateway), TOKEN) as client:
                app = Top(client, every_s=0.1)
                async with app.run_test(size=(130, 36)) as pilot:
                    await until(lambda: "kitchen" in shown(app, "#nodes"))
                    await until(lambda: "1 sessions" in shown(app, "#head"))
                    await until(lambda: "started" in shown(app, "#log"))
                    await pilot.press("m")
                    await until(lambda: "messages" in shown(app, "#log-title"))

                    async def said():
                        while "tea/ready yes" not in shown(app, "#log"):
                            await node.publish("tea/ready", b"yes")
                            await asyncio.sleep(0.2)

                    await asyncio.wait_for(said(), PATIENCE_S)
                    await pilot.press("l")
                    await until(lambda: "the kettle boils" in shown(app, "#log"))
                    await pilot.press("p")
                    await until(lambda: any("answers in" in str(each.message) for each in app._notifications))
                    await pilot.press("slash", *"nobody")
                    await until(lambda: app.query_one(DataTable).row_count == 0)
                    await pilot.press("escape")
                    await until(lambda: app.query_one(DataTable).row_count == 1)
                    assert not app.query_one(Input).has_class("shown")
                    before = app.by
                    await pilot.press("s")
                    assert app.by != before

    asyncio.run(story())


def test_a_ping_without_the_token_says_what_it_needs_and_a_lost_gateway_is_said(mesh):
    async def story():
        gateway = Gateway(with_page(mesh))
        await gateway.start()
        async with mesh.node("kitchen", gateway) as node, Client(url_of(gateway)) as client:
            await meet(node, gateway)
            app = Top(client, every_s=0.1)
            async with app.run_test(size=(130, 36)) as pilot:
                await until(lambda: "kitchen" in shown(app, "#nodes"))
                await pilot.press("p")
                await until(lambda: any("--token" in str(each.message) for each in app._notifications))
                await gateway.stop()
                await until(lambda: app.query_one("#trouble").has_class("shown"))
                assert "does not answer" in shown(app, "#trouble") and "kitchen" in shown(app, "#nodes")

    asyncio.run(story())


def test_once_prints_json_for_scripts(mesh):
    async def story():
        async with Gateway(with_page(mesh)) as gateway, mesh.node("kitchen", gateway) as node:
            await meet(node, gateway)
            await until(lambda: [each.name for each in gateway.operations.nodes.known.values()] == ["kitchen"])
            command = [str(Path(sys.executable).with_name("picoswarm")), "top", "--url", url_of(gateway), "--once"]
            text = await asyncio.to_thread(subprocess.check_output, command, text=True)
            assert "kitchen" in text and node.id.hex()[:8] in text
            told = json.loads(await asyncio.to_thread(subprocess.check_output, [*command, "--json"]))
            assert told["state"]["id"] == gateway.id.hex()
            assert [each["id"] for each in told["nodes"]] == [node.id.hex()]

    asyncio.run(story())


def test_mistakes_have_their_exit_status():
    command = [str(Path(sys.executable).with_name("picoswarm")), "top", "--url", f"http://{HOST}:{free_port()}"]
    assert subprocess.run([*command, "--once"], capture_output=True).returncode == 3
    assert subprocess.run([*command, "--json"], capture_output=True).returncode == 2
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "no terminal" in done.stderr


def test_an_address_of_something_else_is_refused_in_words():
    async def story():
        async def answer(_reader, writer):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, HOST, 0)
        async with server, Client(f"http://{HOST}:{server.sockets[0].getsockname()[1]}") as client:
            with pytest.raises(NoAnswer, match="is not a gateway's"):
                await client.get("/api/state")

    asyncio.run(story())


def test_figures_are_in_units_and_rates_come_from_two_readings():
    assert [size(n) for n in (0, 999, 1000, 12345, 5e9)] == ["0 B", "999 B", "1.0 kB", "12 kB", "5.0 GB"]
    assert [span(s) for s in (0, 59, 60, 7200, 200000)] == ["0 s", "59 s", "1 min", "2 h", "2 d"]
    figures = Figures()
    node = {"id": "ab" * 32, "name": "b", "state": "session", "bytes_in": 100, "bytes_out": 0}
    other = {"id": "cd" * 32, "name": "a", "state": "gone", "bytes_in": 9000, "bytes_out": 0}
    figures.take({"messages": 10}, [node, other], now=1.0)
    assert figures.rates() == (0, 0, 0)
    figures.take({"messages": 30}, [{**node, "bytes_in": 500, "bytes_out": 50}, other], now=3.0)
    assert figures.rates() == (10, 200, 25)
    assert [each["name"] for each in figures.found("", "name", False)] == ["a", "b"]
    assert [each["name"] for each in figures.found("", "in", False)] == ["b", "a"]
    assert [each["name"] for each in figures.found("abab", "name", False)] == ["b"]


def test_what_comes_from_other_machines_does_not_command_the_terminal():
    assert clean("a\x1b[2Jb\r\n") == "a·[2Jb··"
    assert "\x1b" not in line_of("\x1b]0;title\x07").plain
    assert line_of(
        '{"event": "sta\\u001b[1mrted", "level": "info", "timestamp": "2026-11-26T17:48:38Z", "id": "x"}'
    ).plain == ("17:48:38  sta·[1mrted  id=x")
    assert line_of("{no json").plain == "{no json"
