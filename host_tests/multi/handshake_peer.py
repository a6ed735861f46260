# One end of a session over loopback TCP: handshake_peer.py PORT (initiator | responder)
# Sets the session up, then sends back three records with their text turned round, and says who the peer was.
import socket
import sys
from binascii import hexlify

import picoswarm.compat  # noqa: F401  (first: from deeper in the chain of imports it does not fit the stack)
from picoswarm.sealed import Sealed
from sessions import A, B, Draws, initiator, responder


def session(sock, side):
    """Drive one side to its end. Returns what came behind the last message."""
    out = bytearray(200)
    while side.stage < 2:
        while side.work():
            pass
        n = side.to_send(out)
        if n:
            sock.send(out[:n])
        elif side.stage < 2:
            data = sock.recv(len(side.buf) - side.fill)
            if not data:
                raise OSError("the other end is gone")
            side.buf[side.fill : side.fill + len(data)] = data
            side.receive(len(data), 0)
    if side.stage > 2 or side.reason:
        raise ValueError(side.reason)
    return bytes(side.buf[: side.fill])


def read_record(sock, data):
    """(one whole record, what came behind it)"""
    while len(data) < 2 or len(data) < 2 + (data[0] << 8 | data[1]):
        data += sock.recv(500)
    end = 2 + (data[0] << 8 | data[1])
    return data[:end], data[end:]


def main(port, role):
    sock = socket.socket()
    sock.connect(socket.getaddrinfo("127.0.0.1", int(port))[0][-1])
    rng = Draws(77)
    side = initiator(A, dialed=B.id, rng=rng) if role == "initiator" else responder(B, rng=rng)
    rest = session(sock, side)
    opener, sealer = Sealed(side.receive_key), Sealed(side.send_key)
    for _ in range(3):
        record, rest = read_record(sock, rest)
        buf = bytearray(record)
        text = bytes(reversed(bytes(buf[2 : opener.open(buf, 0, len(buf))])))
        buf[2 : 2 + len(text)] = text
        sock.send(buf[: sealer.seal(buf, 0, 2 + len(text))])
    sock.close()
    print(hexlify(side.peer_id).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
