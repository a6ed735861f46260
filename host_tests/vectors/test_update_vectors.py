"""The JSON vectors of updates are what their generator makes, and tools and boards agree with every one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from picoswarm.crypto import run
from picoswarm.ed25519 import Verify
from picoswarm.errors import Malformed
from picoswarm.fetching import Fetch
from picoswarm.manifest import Header, entries
from picoswarm.serving import piece, wants
from picoswarm_gateway.families.update import bundle
from picoswarm_gateway.families.update.bundle import Bundle
from updating import MemoryFiles
from vectors import make_update

VECTORS = json.loads((Path(__file__).resolve().parent / "update-messages.json").read_text())
KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["seed"]))


def by_name(key: str):
    return pytest.mark.parametrize("vector", VECTORS[key], ids=lambda v: v["name"])


def files_of(vector) -> dict[str, bytes]:
    return {name: bytes.fromhex(data) for name, data in vector["files"].items()}


def test_the_file_is_what_the_generator_makes():
    assert make_update.main(check=True) == 0


@by_name("bundles")
def test_a_bundle_is_made_and_read_as_in_the_vector(vector):
    made = bundle.make(files_of(vector), vector["version"], vector["boards"].split(), KEY)
    assert made.raw.hex() == vector["bundle"] and made.header.id.hex() == vector["id"]
    assert Bundle(bytes.fromhex(vector["bundle"])).files == files_of(vector)


@by_name("bundles")
def test_a_board_verifies_and_fetches_a_bundle_by_the_questions_of_the_vector(vector):
    header = Header(bytes.fromhex(vector["header"]))
    assert run(Verify(bytes.fromhex(VECTORS["public"]), header.signature, header.signed_text()))
    fetch = Fetch(header, MemoryFiles())
    fetch.begin()
    for each in vector["questions"]:
        assert fetch.question().hex() == each["question"]
        assert fetch.take(bytes.fromhex(each["answer"]))
    assert fetch.is_complete and fetch.files.content() == files_of(vector)


@by_name("bundles")
def test_who_has_a_bundle_answers_as_in_the_vector(vector):
    holder = Bundle(bytes.fromhex(vector["bundle"]))
    assert wants(holder.header, bytes.fromhex(vector["ask"]))
    for each in vector["questions"]:
        assert piece(holder, bytes.fromhex(each["question"])).hex() == each["answer"]


@by_name("no_headers")
def test_what_is_no_header_is_refused(vector):
    with pytest.raises(Malformed):
        Header(bytes.fromhex(vector["header"]))


@by_name("no_lists")
def test_what_is_no_list_is_refused(vector):
    listed = bytes.fromhex(vector["list"])
    header = Header(bytes.fromhex(vector["header"]))
    with pytest.raises(Malformed):
        list(entries(header, lambda at, n: listed[at : at + n]))
