"""Sockets of CPython."""

from picoswarm import compat_host

RUNTIMES = ("cpython",)

LOOPBACK = b"\x7f\0\0\1"


def test_any_port_is_one_that_nobody_has_for_tcp_either():
    other = compat_host.listen_tcp(LOOPBACK, 0)
    taken = other.getsockname()[1]
    bound, asked = compat_host._bound_udp, []

    def first_the_taken_one(ip, port):
        asked.append(port)
        return bound(ip, port if len(asked) > 1 else taken)

    compat_host._bound_udp = first_the_taken_one
    try:
        sock = compat_host.open_udp(LOOPBACK, 0)
        assert sock.getsockname()[1] != taken and asked[:2] == [0, 0]  # a third where that was taken, too
        sock.close()
    finally:
        compat_host._bound_udp = bound
        other.close()
