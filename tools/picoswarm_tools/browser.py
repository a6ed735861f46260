"""Chromium without a window, for the dashboard's test and its picture. `make browser` installs it, as root, through apt.

It is told to ask nobody outside for anything.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from . import runtimes

if TYPE_CHECKING:
    from playwright.async_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> Path:
    """The browser's path. Raises Missing."""
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    raise runtimes.Missing("chromium is not installed: run `make browser` as root, or install the package chromium")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser that is closed in the end. Raises Missing."""
    path = find()
    from playwright.async_api import async_playwright

    options = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield browser
        finally:
            await browser.close()


def main() -> int:
    """Install it where that can be done without asking. Where it cannot, its test says so."""
    try:
        find()
        return 0
    except runtimes.Missing as trouble:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            print(f"browser: {trouble}", file=sys.stderr)
            return 0
    sys.path.insert(0, str(runtimes.ROOT / "firmware" / "micropython"))
    import aptget

    print("browser: installing chromium", flush=True)
    try:
        aptget.install(["chromium"])
    except aptget.AptError as trouble:
        print(f"browser: chromium cannot be had: {trouble}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
