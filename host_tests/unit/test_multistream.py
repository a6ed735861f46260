"""How two sides of libp2p agree on a protocol."""

from picoswarm.multistream import Select, line

RUNTIMES = ("cpython", "micropython")

_HEADER = line(b"/multistream/1.0.0")


def _sent(select):
    out = select.out
    select.out = b""
    return out


def test_the_first_proposal_goes_out_with_the_header_and_is_taken():
    dialer = Select((b"/noise",))
    listener = Select((), lambda name: name == b"/noise")
    assert _sent(dialer) == b"\x13/multistream/1.0.0\n\x07/noise\n"
    assert listener.receive(_HEADER + line(b"/noise") + b"rest") is False
    assert listener.name == b"/noise" and listener.rest == b"rest"
    assert dialer.receive(_sent(listener) + b"more") is False
    assert dialer.name == b"/noise" and dialer.rest == b"more" and not dialer.is_failed


def test_what_is_refused_is_followed_by_the_next_name():
    dialer = Select((b"/a", b"/b"))
    listener = Select((), lambda name: name == b"/b")
    for _ in range(3):
        listener.receive(_sent(dialer))
        dialer.receive(_sent(listener))
    assert dialer.name == listener.name == b"/b"
    dialer = Select((b"/a",))
    dialer.receive(_HEADER + line(b"na"))
    assert dialer.is_failed and dialer.name is None


def test_lines_may_come_byte_by_byte():
    listener = Select((), lambda name: True)
    for byte in _HEADER + line(b"/x"):
        assert listener.name is None
        listener.receive(bytes((byte,)))
    assert listener.name == b"/x"


def test_garbage_ends_the_choice():
    for data in (b"\0", b"\xff\xff\xff", b"\x81\x10" + b"x" * 10, b"GET / HTTP/1.1\r\n\r\n" * 5) + (
        line(b"/multistream/0.0.1"),
        _HEADER[:-1] + b"x",
        _HEADER + line(b"/other"),
    ):
        dialer = Select((b"/noise",))
        assert dialer.receive(data) is False and dialer.is_failed and dialer.name is None, data


def test_a_dialer_that_proposes_for_ever_is_given_up():
    listener = Select((), lambda name: False)
    listener.receive(_HEADER)
    for i in range(30):
        if not listener.receive(line(b"/p%d" % i)):
            break
    assert listener.is_failed and i < 20
