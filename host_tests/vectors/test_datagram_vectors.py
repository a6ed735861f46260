"""The JSON vectors are what their generator makes, and the codec agrees with every one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from forms import seal
from picoswarm.counters import names
from picoswarm.datagram import Codec
from picoswarm.membership import Membership, NetworkKey
from vectors import make_datagram

HERE = Path(__file__).resolve().parent
GOOD = json.loads((HERE / "datagram-messages.json").read_text())
BAD = json.loads((HERE / "datagram-refused.json").read_text())


def codec() -> Codec:
    key = NetworkKey(bytes.fromhex(GOOD["network_key"]), GOOD["epoch"])
    return Codec(Membership(key), bytes.fromhex(GOOD["receiver_id"]))


def test_the_files_are_what_the_generator_makes():
    assert make_datagram.main(check=True) == 0


@pytest.mark.parametrize("vector", GOOD["messages"], ids=lambda v: v["name"])
def test_a_good_vector_opens_and_is_made_again(vector):
    data, text = bytes.fromhex(vector["datagram"]), bytes.fromhex(vector["plaintext"])
    one = codec()
    buf = bytearray(data)
    assert one.open(buf, len(buf)) == 0
    assert bytes(buf[13:]) == text
    pair = bytearray.fromhex(GOOD["pair_key"])
    assert not one.is_tagged or one.is_paired(pair)
    out = bytearray(512)
    out[13 : 13 + len(text)] = text
    end = len(data) - 8 if one.is_tagged else len(data)
    assert seal(one, out, end, one.key, 0, pair if one.is_tagged else None) == len(data)
    assert bytes(out[: len(data)]) == data


@pytest.mark.parametrize("vector", BAD["refused"], ids=lambda v: v["name"])
def test_a_bad_vector_is_refused_for_its_reason(vector):
    data = bytearray.fromhex(vector["datagram"])
    assert names("discovery").split()[codec().open(data, len(data))] == "drop_" + vector["why"]
