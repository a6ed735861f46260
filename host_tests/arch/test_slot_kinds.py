"""What a node's folder holds is told apart by a number in each file: no two kinds may have one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KIND = re.compile(r'^[A-Z0-9_]+ = Kind\((\d+), "(\w+)"', re.MULTILINE)


def test_no_two_kinds_of_slot_files_have_one_number_or_one_name():
    sources = [path for folder in ("lib/picoswarm", "gateway/picoswarm_gateway") for path in (ROOT / folder).rglob("*.py")]
    kinds = [found for path in sources for found in KIND.findall(path.read_text())]
    numbers, names = [number for number, _ in kinds], [name for _, name in kinds]
    assert len(kinds) >= 10 and len(set(numbers)) == len(set(names)) == len(kinds), sorted(kinds)
