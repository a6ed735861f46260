"""TCP sockets that never block: what `compat` has for datagrams, for who has connections. Nobody else loads it."""

from .compat import FILES

if FILES == "host":
    from .compat_host import accept_tcp, connect_tcp, listen_tcp, read_into, write_from  # noqa: F401
else:
    import socket  # in a function it would be looked for in the file system each time

    from .compat import from_sockaddr, sockaddr

    def _tcp(sock):
        """Make a TCP socket ready: it never blocks, and a record leaves at once (rationale: no 40 ms stalls)."""
        sock.settimeout(0)
        try:
            sock.setsockopt(6, 1, 1)  # IPPROTO_TCP, TCP_NODELAY: some boards lack the names, and older ones the option
        except OSError:
            pass
        return sock

    def listen_tcp(ip, port):
        """A non-blocking listening socket. Raises OSError."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(sockaddr(sock, ip, port))
            sock.listen(2)
            sock.settimeout(0)
        except OSError:
            sock.close()
            raise
        return sock

    def accept_tcp(sock):
        """(socket, ip, port) of a connection that waits. Raises OSError where none does."""
        link, address = sock.accept()
        return (_tcp(link),) + from_sockaddr(address)

    def connect_tcp(ip, port):
        """A socket on its way to ip:port; it is connected when it takes bytes. Raises OSError."""
        sock = _tcp(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        try:
            sock.connect(sockaddr(sock, ip, port))
        except OSError as error:
            if error.errno not in (115, 119, 118):  # in progress, by system
                sock.close()
                raise
        return sock

    def read_into(sock, view):
        """Read what is there into `view`. Returns the count of bytes, 0 at the end, None where nothing is there. Raises
        OSError."""
        return sock.readinto(view)

    def write_from(sock, view):
        """Hand bytes to the socket. Returns how many it took, None for none. Raises OSError."""
        return sock.write(view)
