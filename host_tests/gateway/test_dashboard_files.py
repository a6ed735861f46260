"""The dashboard's files: nothing in them leads outside or makes markup of text, and their colours can be read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import picoswarm_gateway
import pytest
from picoswarm_tools.runtimes import ROOT

FOLDER = Path(picoswarm_gateway.__file__).parent / "dashboard"
FILES = sorted(FOLDER.iterdir())
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3
INKS = ("text", "quiet", "accent", "good", "fair", "poor")
PAPERS = ("back", "panel", "raised", "tint")


def test_the_page_is_small_and_part_of_the_package():
    assert sum(path.stat().st_size for path in FILES) < 100_000
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert packaged["picoswarm_gateway"] == ["dashboard/*"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_leads_outside_and_text_stays_text(path):
    text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")  # the name of a namespace
    assert not re.search(r"https?:|//[a-z0-9-]+\.|@import|url\(", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc", text)
    assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", text), "the policy of the page forbids it"


def test_what_the_files_name_is_there():
    names = {path.name for path in FILES}
    page = (FOLDER / "index.html").read_text()
    for named in re.findall(r'(?:src|href)="static/([^"]+)"', page):
        assert named in names
    ids = set(re.findall(r'\sid="([^"]+)"', page))
    for path in FILES:
        if path.suffix == ".js":
            text = path.read_text()
            for named in re.findall(r'from "\./([^"]+)"', text):
                assert named in names, f"{path.name} imports {named}"
            for named in re.findall(r'\$\("([^"]+)"\)', text):
                assert named in ids, f"{path.name} looks for #{named}"


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", (0, 1), ids=("light", "dark"))
def test_every_ink_can_be_read_on_every_paper(theme):
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", (FOLDER / "style.css").read_text())
    colours = {name: pair[theme] for name, *pair in found}
    for ink in INKS:
        for paper in PAPERS:
            assert contrast(colours[ink], colours[paper]) >= LEAST_CONTRAST, f"{ink} on {paper}"
    assert contrast(colours["on-accent"], colours["accent"]) >= LEAST_CONTRAST
    assert contrast(colours["poor"], colours["alarm"]) >= LEAST_CONTRAST
    assert contrast(colours["edge"], colours["panel"]) >= 3, "edges of fields, WCAG 1.4.11"
