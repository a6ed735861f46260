"""What a newcomer reads must be true: commands that exist, links that lead somewhere, no trace of one machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked_files() -> list[Path]:
    """Files that git tracks or would, or every file outside build/ and hidden folders where git cannot tell."""
    if shutil.which("git"):
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
        if listed.returncode == 0:
            return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    inside = ((path, path.relative_to(ROOT).parts) for path in ROOT.rglob("*") if path.is_file())
    return [path for path, parts in inside if parts[0] != "build" and not any(part.startswith(".") for part in parts[:-1])]


PAGES = [path for path in tracked_files() if path.suffix == ".md"]
assert PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_that_a_page_names_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for named in re.findall(r"`make ([a-z-]+)[^`]*`", page.read_text()):
        assert named in targets, f"`make {named}`"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_no_file_names_a_path_of_one_machine():
    """Home folders and temporary folders of whoever wrote a line mean nothing to the next reader."""
    paths = re.compile(r"(?<![\w.$}~])/(?:root|home|work)/\w")
    for path in tracked_files():
        if path.suffix in {".py", ".md", ".toml", ".json", ".sh", ".pyi", ""} and path != Path(__file__):
            found = paths.search(path.read_text(errors="replace"))
            assert not found, f"{path.relative_to(ROOT)}: {found.group(0)}"


def test_examples_are_short_enough_to_copy():
    for path in (ROOT / "examples").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 60, path.name
