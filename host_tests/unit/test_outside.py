"""The own address as others see it (row D35)."""

from picoswarm.outside import Outside

RUNTIMES = ("cpython", "micropython", "board")

ME = b"\x50\x01\x02\x03"


def peer(i):
    return bytes((30, i, 0, 1))


def test_three_networks_that_agree_make_a_prediction():
    outside = Outside()
    assert not outside.state(peer(1), ME, 4000, 0)
    assert not outside.state(peer(2), ME, 4000, 1)
    assert outside.agrees(b"\x51\x01\x02\x03")  # nothing is known yet
    assert outside.state(peer(3), ME, 4000, 2)
    assert (outside.ip, outside.port) == (ME, 4000)
    assert outside.agrees(ME) and not outside.agrees(b"\x51\x01\x02\x03")


def test_one_network_counts_once():
    outside = Outside()
    for i in range(9):
        outside.state(bytes((30, 1, 0, i)), ME, 4000, i)
    assert outside.ip is None


def test_statements_age_and_a_new_address_takes_over():
    outside = Outside()
    for i in range(3):
        outside.state(peer(i), ME, 4000, i)
    new = b"\x50\x09\x09\x09"
    for i in range(3):
        outside.state(peer(i), new, 4000, 700 + i)
    assert outside.ip == new


def test_a_liar_in_the_minority_changes_nothing():
    outside = Outside()
    for i in range(4):
        outside.state(peer(i), ME, 4000, i)
    outside.state(peer(9), b"\x50\x09\x09\x09", 4000, 9)
    assert outside.ip == ME


def test_ports_that_differ_for_everyone_make_no_prediction():
    outside = Outside()
    for i in range(8):
        outside.state(peer(i), ME, 4000 + i, i)
    assert outside.ip is None and outside.agrees(ME)
