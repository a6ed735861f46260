"""The dashboard as a reader meets it: real nodes, a real gateway, a real browser."""

from __future__ import annotations

import asyncio

import pytest
from dashboard import FAST, TOKEN, meet, open_browser, with_page
from picoswarm_gateway import nodes
from picoswarm_gateway.gateway import Gateway
from picoswarm_tools import mpy, runtimes
from picoswarm_tools.swarm import NodeProcess, board_heap
from small_mesh import HOST, free_port, until

# Ids of what one can operate, and a screen reader has no name for.
UNNAMED = """[...document.querySelectorAll("button, input, select")]
    .filter((each) => each.checkVisibility() && !(each.labels?.length || each.ariaLabel || each.textContent.trim()))
    .map((each) => each.id)"""


@pytest.fixture(scope="module")
def browser():
    with open_browser() as visits:
        yield visits


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(nodes, "LOOK_S", 0.5)  # a reader waits up to five seconds; a test need not


def row(node) -> str:
    """The selector of a node's row in the table."""
    return f"#node-rows tr[data-id='{node if isinstance(node, str) else node.id.hex()}']"


def test_nodes_appear_with_their_messages_and_one_that_is_killed_goes(browser, mesh, tmp_path):
    runtimes.find("micropython")
    mpy.compile_library("x86", mpy.BOARD_LEVEL)

    async def story():
        config = with_page(mesh)
        board = NodeProcess("cellar", tmp_path / "cellar", free_port(), mesh.membership, board_heap("RPI_PICO_W"))
        async with Gateway(config) as gateway, browser.visit(config) as dashboard:
            await dashboard.sees("#no-nodes", "No node yet")
            async with mesh.node("hall", gateway) as hall:
                await meet(hall, gateway)
                numbers = {**FAST, "name": "cellar", "what": "humidity", "every": 300}
                await board.start(f"{HOST}:{config.mesh.port}", numbers)
                try:
                    await dashboard.sees("#node-rows tr", "hall")
                    await dashboard.sees("#node-rows tr[data-state=session]", "cellar")
                    await dashboard.sees("#messages li", "sensors/cellar/humidity")
                    await dashboard.sees("#graph[data-nodes='3']")

                    await dashboard.page.click(row(board.id))
                    await dashboard.sees("#details-name", "cellar")
                    await dashboard.sees("#details-log li", "cellar measures humidity")
                    await dashboard.sees("#details-facts", "MicroPython")
                    await dashboard.sees("#details-channels", "publish/subscribe")

                    await board.kill()
                    await dashboard.sees(f"{row(board.id)}[data-state=gone]")
                    await dashboard.sees("#graph[data-nodes='2']")
                    await dashboard.sees("#stat-sessions", "1")
                finally:
                    await board.stop()
            dashboard.assert_was_quiet()

    browser.run(story())


def test_a_message_is_sent_with_the_token_only(browser, mesh):
    async def story():
        config = with_page(mesh)
        async with Gateway(config) as gateway, mesh.node("lamp", gateway) as lamp, browser.visit(config) as dashboard:
            page = dashboard.page
            heard = []

            async def hear():
                async for message in lamp.subscribe("lamps/#"):
                    heard.append((message.topic, message.payload))

            hearing = asyncio.create_task(hear())
            await meet(lamp, gateway)
            await dashboard.sees("#node-rows tr[data-state=session]", "lamp")
            await page.fill("#topic", "lamps/hall")
            await page.fill("#payload", "off")

            await page.click("#send-button")
            await dashboard.sees("#token-dialog")
            await page.click("#token-cancel")
            await dashboard.sees("#send-result", "it needs a token")
            await page.click("#send-button")
            await page.fill("#token", "guessed")
            await page.keyboard.press("Enter")
            await dashboard.sees("#token-complaint", "does not take")
            assert heard == []
            assert [text for text in dashboard.complaints if "401" not in text] == []
            dashboard.complaints.clear()

            await page.fill("#token", TOKEN)
            await page.keyboard.press("Enter")
            await dashboard.sees("#send-result", "Sent to 1 peer.")
            await until(lambda: heard == [("lamps/hall", b"off")])
            await dashboard.sees("#messages li", "lamps/hall")

            await page.fill("#payload", "b24=")  # a second one is sent without a question
            await page.select_option("#encoding", "base64")
            await page.click("#send-button")
            await until(lambda: heard[1:] == [("lamps/hall", b"on")])
            assert TOKEN not in await page.evaluate("JSON.stringify(localStorage) + document.cookie + location.href")
            await page.click("#token-button")  # forget it
            await page.click("#send-button")
            await dashboard.sees("#token-dialog")
            hearing.cancel()
            dashboard.assert_was_quiet()

    browser.run(story())


def test_what_a_node_says_of_itself_is_text_and_nothing_else(browser, mesh):
    async def story():
        config = with_page(mesh)
        name = "<s id=got>"
        async with Gateway(config) as gateway, mesh.node("guest", gateway) as first, browser.visit(config) as dashboard:
            await meet(first, gateway)
            async with mesh.node(name, gateway) as guest:
                await meet(guest, gateway)
                await dashboard.sees("#node-rows tr", name)
                await guest.publish("<s id=got>", b"<img src=x onerror=document.title='got'>")
                await dashboard.sees("#messages li", "<img src=x")
                await dashboard.page.click(row(guest))
                await dashboard.sees("#details-name", name)
            assert await dashboard.page.locator("#got, main img").count() == 0
            assert "got" not in await dashboard.page.title()
            assert (
                "default-src 'self'" in (await dashboard.page.request.get(dashboard.url)).headers["content-security-policy"]
            )
            dashboard.assert_was_quiet()

    browser.run(story())


def test_a_telephone_shows_all_of_it_without_scrolling_sideways(browser, mesh):
    async def story():
        config = with_page(mesh)
        async with Gateway(config) as gateway, mesh.node("a-name-as-long-a", gateway) as node:
            await meet(node, gateway)
            async with browser.visit(config, 360, 740, color_scheme="dark", has_touch=True) as dashboard:
                await dashboard.sees("#node-rows tr", "a-name-as-long")
                assert not await dashboard.is_scrolled_sideways()
                assert await dashboard.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 16, 20)"
                await dashboard.page.tap(row(node))
                await dashboard.sees("#details-facts", "session")
                assert not await dashboard.is_scrolled_sideways()
                await dashboard.page.tap("#details-close")
                await dashboard.page.click("#theme-button")  # to light
                assert (
                    await dashboard.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(243, 245, 248)"
                )
                dashboard.assert_was_quiet()

    browser.run(story())


def test_keys_reach_everything(browser, mesh):
    async def story():
        config = with_page(mesh)
        async with Gateway(config) as gateway, mesh.node("porch", gateway) as node, browser.visit(config) as dashboard:
            page = dashboard.page
            await dashboard.sees("#graph[data-links='1']")
            reached = set()
            for _ in range(40):
                await page.keyboard.press("Tab")
                reached.add(await page.evaluate("document.activeElement.id || document.activeElement.closest('[id]')?.id"))
                if await page.evaluate("document.activeElement.id") == "graph":
                    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
                        await page.keyboard.press(key)
                    await page.keyboard.press("Enter")
                    await dashboard.sees("#details")
                    await page.keyboard.press("Escape")
                    assert await page.locator("#details").is_hidden()
                    assert await page.evaluate("document.activeElement.id") == "graph", "the focus comes back"
            assert reached >= {
                "theme-button",
                "graph",
                "node-filter",
                "node-heads",
                "node-rows",
                "pause",
                "topic",
                "send-button",
            }
            await page.click("#node-heads button:has-text('RTT')")
            assert await page.get_attribute("#node-heads th:has-text('RTT')", "aria-sort") == "ascending"
            await page.fill("#node-filter", "nothing like it")
            await dashboard.sees("#no-nodes", "No node fits")
            await page.fill("#node-filter", node.id.hex()[:10])
            await dashboard.sees(row(node))
            assert await page.evaluate(UNNAMED) == []
            dashboard.assert_was_quiet()

    browser.run(story())


def test_a_gateway_that_is_gone_is_said_and_its_return_noticed(browser, mesh):
    async def story():
        config = with_page(mesh)
        first = Gateway(config)
        await first.start()
        async with browser.visit(config) as dashboard:
            dashboard.assert_was_quiet()
            await first.stop()
            await dashboard.sees("#banner", "has not answered since")
            await dashboard.sees("#live", "No answer")
            async with Gateway(config) as again, mesh.node("back", again) as node:
                await meet(node, again)
                await dashboard.sees("#live", "Live")
                await dashboard.page.wait_for_selector("#banner", state="hidden")
                await dashboard.sees("#node-rows tr", "back")
            assert dashboard.outside == []

    browser.run(story())
