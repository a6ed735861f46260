"""The dashboard of a gateway in a headless browser, watched for what must never happen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from picoswarm import Node
from picoswarm_gateway.config import Config, HttpTable
from picoswarm_gateway.gateway import Gateway
from picoswarm_tools import browser
from small_mesh import HOST, PATIENCE_S, SmallMesh, free_port, until

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

TOKEN = "open sesame"
FAST = {"revalidate_s": 1, "refresh_min_s": 8, "refresh_max_s": 15, "bootstrap_ping_s": 5}  # who is gone is noticed soon


def with_page(mesh: SmallMesh, **more: object) -> Config:
    """The configuration of a gateway of this mesh that serves its dashboard."""
    config = mesh.config(http=HttpTable(host=HOST, port=free_port(), token=TOKEN), **more)
    config.mesh.profile = dict(FAST)
    return config


async def meet(node: Node, gateway: Gateway) -> None:
    """Return when both have a session: a request opens one at once."""
    await until(lambda: node.contact(gateway.id))
    await node.request(gateway.id, "about")


class Visit:
    """An open dashboard: `page` is Playwright's."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        self.outside: list[str] = []
        page.set_default_timeout(PATIENCE_S * 1000)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith(url) or self.outside.append(request.url))

    def _on_console(self, message: object) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    async def sees(self, selector: str, text: str = "") -> None:
        """Wait until an element is there and visible, and holds a text."""
        await self.page.locator(selector, has_text=text or None).first.wait_for()

    async def is_scrolled_sideways(self) -> bool:
        return await self.page.evaluate("document.documentElement.scrollWidth > innerWidth")

    def assert_was_quiet(self) -> None:
        assert self.complaints == [] and self.outside == []


class Visits:
    """One browser for many stories, which have a loop in common with it."""

    def __init__(self, chromium: Browser, runner: asyncio.Runner) -> None:
        self._chromium = chromium
        self._runner = runner

    def run(self, story: Coroutine[object, object, None]) -> None:
        self._runner.run(story)

    @asynccontextmanager
    async def visit(self, config: Config, width: int = 1280, height: int = 900, **more: object) -> AsyncIterator[Visit]:
        """The dashboard of a gateway, opened by somebody who was never there before."""
        url = f"http://{HOST}:{config.http.port}/"
        page = await self._chromium.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce", **more)
        try:
            made = Visit(page, url)
            await page.goto(url)
            await made.sees("#live", "Live")
            yield made
        finally:
            await page.close()


@contextmanager
def open_browser() -> Iterator[Visits]:
    """Raises Missing where there is none."""
    with asyncio.Runner() as runner:
        opened = browser.chromium()
        chromium = runner.run(opened.__aenter__())
        try:
            yield Visits(chromium, runner)
        finally:
            runner.run(opened.__aexit__(None, None, None))
