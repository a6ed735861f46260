"""Mutants of what peers send about updates: a header is one or Malformed, a list writes nowhere but into its folder, a
question is answered by bytes, and whatever a peer gives for a piece, only the right one is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from picoswarm.errors import Malformed
from picoswarm.fetching import Fetch
from picoswarm.manifest import NAME_MAX, Header, entries
from picoswarm.serving import piece, wants
from updating import MemoryFiles, Whole, make_header

sys.path.insert(0, str(Path(__file__).resolve().parent))
from fuzz_draw import Random, mutate  # noqa: E402

LONG = os.environ.get("PICOSWARM_LONG") == "1"
COUNT = 50_000 if LONG else 1_500
FILES = [("app.py", bytes(range(256)) * 2), ("lib/a", b"xyz")]


def test_mutants_of_headers_are_headers_or_malformed():
    draw = Random(1)
    good = make_header(bytes(200), 5, 7, b"RPI_PICO_W armv6m")
    whole = 0
    for _ in range(COUNT):
        try:
            header = Header(mutate(good, draw))
        except Malformed:
            continue
        whole += 1
        assert 0 < header.version < 1 << 30 and 0 <= header.hash_of(0) < header.listed <= 16384
        header.is_for(b"armv6m")
    assert 0 < whole < COUNT


def test_mutants_of_lists_name_no_file_outside_their_folder():
    draw = Random(2)
    source = Whole(FILES)
    sound = 0
    for _ in range(COUNT):
        listed = bytes(mutate(source.list(0, 1 << 14), draw))
        header = Header(make_header(listed, 3)) if 48 < len(listed) <= 16384 else source.header
        try:
            for name, size, digest, first in entries(header, lambda at, n, listed=listed: listed[at : at + n]):
                assert 0 < len(name) <= NAME_MAX and name[0] not in "/." and "/." not in name and len(digest) == 32
                assert size <= 256 * (3 - first)
        except Malformed:
            continue
        sound += 1
    assert 0 < sound < COUNT


def test_mutants_of_questions_are_answered_by_bytes():
    draw = Random(3)
    source = Whole(FILES)
    answered = 0
    for question in (b"\0" + bytes(4) + b"x", b"\1" + source.header.id + bytes(2), b"\2" + source.header.id + b"\0\1"):
        for _ in range(COUNT // 3):
            mutant = bytes(mutate(question, draw))
            answer = piece(source, mutant)
            wants(source.header, mutant)
            assert isinstance(answer, bytes) and len(answer) <= 256
            answered += bool(answer)
    assert answered


def test_mutants_of_pieces_are_written_only_where_they_are_right():
    draw = Random(4)
    source = Whole(FILES)
    for _ in range(COUNT // 50):
        fetch = Fetch(source.header, MemoryFiles())
        fetch.begin()
        while not fetch.is_complete:
            right = piece(source, fetch.question())
            mutant = bytes(mutate(right, draw))
            assert fetch.take(mutant) == (mutant == right)
            if mutant != right:
                fetch.take(right)
        assert fetch.files.content() == dict(FILES)
