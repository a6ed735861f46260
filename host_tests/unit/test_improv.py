"""Improv Wi-Fi over a serial line: bytes as the published format has them (improv-wifi.com/serial), a board that obeys."""

from support import raises, unhex
from swarmboard import improv
from swarmboard.improv import Parser, Service

INFO = ("picoswarm", "0.1.0", "RP2040", "kitchen")


def packets(data):
    parser = Parser()
    return [got for got in (parser.feed(byte) for byte in data) if got is not None]


def answers(service, data):
    out = b""
    for byte in data:
        out += service.receive(byte)
    return packets(out)


def test_a_packet_has_the_published_form():
    # Header, version 1, type 3, length 2, command 2 without data; 0xE5 is the sum of all before it.
    assert improv.command(improv.GET_STATE) == unhex("494d50524f56 01 03 02 02 00 e5 0a")


def test_the_example_of_the_specification_is_encoded_byte_for_byte():
    data = improv.command(improv.SET_WIFI, improv.strings(["MyWirelessAP", "mysecurepassword"]))
    assert data[9:-2] == b"\x01\x1e\x0cMyWirelessAP\x10mysecurepassword"


def test_packets_are_found_between_what_a_console_prints():
    state = improv.packet(improv.STATE, bytes((improv.READY,)))
    assert packets(b"MicroPython v1.26\r\nIMPIMPRO" + state + b">>> " + state) == [(1, b"\x02"), (1, b"\x02")]


def test_a_header_that_begins_anew_is_not_missed():
    for before in (b"I", b"IM", b"IMPRO"):
        assert packets(before + improv.packet(improv.ERROR, b"\0")) == [(2, b"\0")]


def test_a_wrong_checksum_or_version_is_no_packet():
    good = improv.command(improv.SCAN)
    for at in range(6, len(good) - 1):
        bad = bytearray(good)
        bad[at] ^= 1
        if at != 8:  # another length waits for more, or ends before
            assert packets(bad) == [False], at


def test_texts_survive_both_ways():
    texts = ["", "home", "Z\u00fcrich", "x" * 100]
    assert improv.parse_strings(improv.strings(texts)) == texts
    raises(ValueError, improv.parse_strings, b"\x05abc")


def test_a_result_never_exceeds_a_packet():
    data = improv.result(improv.GET_INFO, ["x" * 200, "y" * 200, "z"])
    (got,) = packets(data)
    assert got[0] == improv.RESULT and improv.parse_strings(got[1][2:]) == ["x" * 200]


def test_no_result_has_a_length_that_is_a_line_end():
    """improv-wifi-serial-sdk 2.8.1 begins a packet anew at a byte 10 in its head: a board called "kitchen" had no name."""
    for n in range(20):
        (got,) = packets(improv.result(improv.GET_NAME, ["x" * n]))
        assert len(got[1]) != 10 and improv.parse_strings(got[1][2:])[0] == "x" * n


def test_ctrl_c_is_seen_between_packets_and_not_in_them():
    service = Service(INFO)
    answers(service, improv.command(improv.GET_INFO))  # its type is the number of Ctrl-C
    assert not service.parser.is_interrupted
    answers(service, b"\r\x03")
    assert service.parser.is_interrupted


def test_ctrl_c_gets_through_where_a_header_was_cut_off():
    for before in (b"I", b"IMPR"):
        service = Service(INFO)
        answers(service, before + b"\x03\x03")
        assert service.parser.is_interrupted


def test_a_board_tells_its_state_and_what_it_is():
    service = Service(INFO)
    assert answers(service, improv.command(improv.GET_STATE)) == [(2, b"\0"), (1, b"\x02")]
    no_error, info = answers(service, improv.command(improv.GET_INFO))
    assert no_error == (2, b"\0") and info[1][:1] == b"\x03" and improv.parse_strings(info[1][2:]) == list(INFO)


def test_a_board_that_is_connected_says_so_with_its_url():
    service = Service(INFO, "http://192.0.2.7")
    answers(service, improv.command(improv.SET_WIFI, improv.strings(["home", "a secret"])))
    assert service.wish == ("wifi", "home", "a secret") and service.state == improv.PROVISIONING
    state, result = packets(service.connected())
    assert state == (1, b"\x04") and improv.parse_strings(result[1][2:]) == ["http://192.0.2.7"]
    got = answers(service, improv.command(improv.GET_STATE))
    assert got[1] == (1, b"\x04") and got[2][1][0] == improv.GET_STATE


def test_wrong_credentials_are_an_error_and_the_next_try_is_open():
    service = Service(INFO)
    answers(service, improv.command(improv.SET_WIFI, improv.strings(["home", "wrong one"])))
    assert packets(service.failed()) == [(2, b"\x03"), (1, b"\x02")]
    assert service.wish is None and service.state == improv.READY


def test_networks_come_one_by_one_and_an_empty_result_ends_them():
    service = Service(INFO)
    answers(service, improv.command(improv.SCAN))
    assert service.wish == ("scan",)
    got = packets(service.networks([("home", -40, True), ("cafe", -71, False)]))
    assert [improv.parse_strings(data[2:]) for _, data in got] == [["home", "-40", "YES"], ["cafe", "-71", "NO"], []]


def test_what_is_no_command_is_refused_by_its_error():
    cases = (
        (improv.command(9), improv.UNKNOWN_COMMAND),
        (improv.packet(improv.COMMAND, b"\x01"), improv.BAD_PACKET),
        (improv.packet(improv.COMMAND, b"\x02\x05"), improv.BAD_PACKET),
        (improv.command(improv.SET_WIFI, b"\x09home"), improv.BAD_PACKET),
        (improv.command(improv.SET_WIFI, improv.strings(["home"])), improv.BAD_PACKET),
        (improv.command(improv.SET_WIFI, improv.strings(["\u00fc", "x"])[:1] + b"\xff\xfe"), improv.BAD_PACKET),
    )
    for data, error in cases:
        service = Service(INFO)
        assert answers(service, data) == [(2, bytes((error,)))], data
        assert service.wish is None and service.state == improv.READY


def test_while_one_thing_is_under_way_another_is_refused():
    service = Service(INFO)
    answers(service, improv.command(improv.SCAN))
    assert answers(service, improv.command(improv.SCAN)) == [(2, b"\xff")]


def test_packets_of_a_board_are_not_commands():
    service = Service(INFO)
    assert answers(service, improv.packet(improv.STATE, b"\x04") + improv.result(1, [])) == []
