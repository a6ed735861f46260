"""`make sim-picture`: the picture of a report in the README, of the scenario `two-sites`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from .. import browser, runtimes
from ..smallpng import shrink
from . import page, scenario
from .play import load, play

SCENARIO = "two-sites"
PICTURE = runtimes.ROOT / "docs" / "simulator.png"
MOST_BYTES = 200_000
SIZE = {"width": 1160, "height": 1390}
FRAME = 0.55  # of the run: in the middle of its fault


async def take(lines: list[dict], path: Path) -> None:
    """Write the picture of a report. Raises Missing."""
    frames = sum("sample" in line for line in lines)
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        report = Path(folder, "report.html")
        report.write_text(page.render(lines), "utf-8")
        async with browser.chromium() as chromium:
            shown = await chromium.new_page(viewport=SIZE, color_scheme="light")
            await shown.goto(report.as_uri())
            await shown.evaluate(f"showFrame({round(frames * FRAME)})")
            await shown.wait_for_selector(".chart svg path")
            png = await shown.screenshot()
    path.write_bytes(shrink(png))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="of a run that is done, else the scenario runs")
    parser.add_argument("--to", type=Path, default=PICTURE)
    options = parser.parse_args()
    lines = load(options.results) if options.results else play(*scenario.find(SCENARIO)).lines
    try:
        asyncio.run(take(lines, options.to))
    except runtimes.Missing as trouble:
        print(f"sim-picture: {trouble}", file=sys.stderr)
        return 1
    size = options.to.stat().st_size
    print(f"sim-picture: {options.to}, {size:,} bytes")
    return int(size > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
