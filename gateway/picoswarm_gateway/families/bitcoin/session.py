"""One connection to a peer as the protocol sees it: what may come when, what is answered, what counts against it. Pure.

A transport gives it messages, and sends those of `out`. What others have to know it tells by `on(kind, value)`:

    up                  both sides know each other
    addresses           list of Address
    headers             list of headers, 80 bytes each
    inventory, wanted, missing   list of (kind, hash): announced, asked of us, and what the peer has not
    tx, block           the bytes
    filter, filter_headers       see messages.py

Offences add to `score`, which halves each minute; at BAN the peer is left. A peer that breaks the order of the handshake, or
the bytes of a message, is left at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import messages as m
from .wire import LEAST_PROTOCOL, PROTOCOL

BAN = 100
HALF_S = 60.0
HANDSHAKE_S = 30.0
PING_S = 120.0
IDLE_S = 300.0
ANSWER_S = {"headers": 90.0, "pong": 60.0}  # that a peer may take; everything else
SLOW_S = 30.0
FLOOD = 200  # messages that count as one offence when nobody asked for them

AGENT = "/picoswarm:0.1/"


class Left(Exception):
    """The connection is to be closed; the text says why. `is_ban`: the peer is not welcome again soon."""

    def __init__(self, why: str, is_ban: bool = False) -> None:
        super().__init__(why)
        self.is_ban = is_ban


@dataclass
class Own:
    """What this node tells of itself, the same to all peers. `nonces`: of own version messages, to know ourselves by."""

    height: Callable[[], int]
    wall: Callable[[], float]
    services: int = m.WITNESS  # without it btcd asks for transactions without their witnesses
    nonces: list[int] = field(default_factory=list)
    is_relay: bool = True


class Session:
    """See the module. `now`: monotonic seconds."""

    def __init__(
        self, own: Own, nonce: int, address: m.Address, is_outbound: bool, on: Callable[[str, Any], None], now: float
    ):
        self.address = address
        self.is_outbound = is_outbound
        self.version: m.Version | None = None  # of the peer
        self.is_up = False
        self.wants_v2_addresses = self.wants_wtxid = self.wants_headers = False
        self.fee = 0  # satoshi for 1,000 virtual bytes: what the peer does not want to hear of below
        self.rtt_s: float | None = None
        self.offset_s = 0.0  # its clock against ours
        self.score = 0.0
        self.out: list[tuple[str, bytes]] = []
        self._own = own
        self._nonce = nonce
        self._on = on
        self._began = self._heard = self._scored = now
        self._sent_version = self._got_ack = self._gave_addresses = False
        self._ping: tuple[int, float] | None = None
        self._pinged = now
        self._due: dict[str, float] = {}  # answers that are waited for
        self._unasked = 0
        if is_outbound:
            self._introduce()

    def send(self, command: str, payload: bytes = b"") -> None:
        """Queue a message."""
        self.out.append((command, payload))

    def blame(self, points: float, why: str, now: float) -> None:
        """An offence. Raises Left when it was one too many."""
        self.score = self.score * 0.5 ** ((now - self._scored) / HALF_S) + points
        self._scored = now
        if self.score >= BAN:
            raise Left(why, True)

    # Requests

    def ask_headers(self, locator: list[bytes], now: float) -> None:
        """Ask what follows; one such question at a time."""
        if "headers" not in self._due:
            self._await("headers", now)
            self.send("getheaders", m.encode_locator(locator))

    def ask(self, items: list[tuple[int, bytes]], now: float) -> None:
        """Ask for blocks or transactions."""
        for _, hash32 in items:
            self._await(hash32.hex(), now)
        self.send("getdata", m.encode_inventory(items))

    def ask_filter(self, height: int, hash32: bytes, now: float) -> None:
        """Ask for the filter of a block."""
        self._await("filter " + hash32.hex(), now)
        self.send("getcfilters", m.encode_filter_request(height, hash32))

    def answered(self, what: str) -> bool:
        """Whether it was waited for, which ends now."""
        return self._due.pop(what, None) is not None

    def waits_for(self, what: str) -> bool:
        """Whether an answer is still out."""
        return what in self._due

    def excuse(self, seconds: float) -> None:
        """So long this process did nothing: no peer is late for that (row B37)."""
        self._due = {what: at + seconds for what, at in self._due.items()}
        self._heard += seconds
        self._began += seconds

    def _await(self, what: str, now: float) -> None:
        self._due[what] = now + ANSWER_S.get(what, SLOW_S)

    # Time

    def tick(self, now: float) -> None:
        """Once a second. Raises Left."""
        if not self.is_up:
            if now - self._began > HANDSHAKE_S:
                raise Left("the handshake took too long")
            return
        if now - self._heard > IDLE_S:
            raise Left("silent")
        late = [what for what, at in self._due.items() if at < now]
        if late:
            raise Left(f"no answer: {late[0][:20]}")
        if now - self._pinged > PING_S and self._ping is None:
            self._nonce = (self._nonce * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
            self._ping, self._pinged = (self._nonce, now), now
            self._await("pong", now)
            self.send("ping", self._nonce.to_bytes(8, "little"))

    # Messages

    def receive(self, command: str, payload: bytes, now: float) -> None:
        """Take a message. Raises Left, and Malformed."""
        self._heard = now
        if not self.is_up:
            self._receive_early(command, payload, now)
            return
        handler = getattr(self, f"_on_{command}", None) if command in COMMANDS else None
        if handler:
            handler(payload, now)
        elif command in EARLY:
            raise Left(f"{command} after the handshake", True)
        else:
            self._note_unasked(now)

    def _note_unasked(self, now: float) -> None:
        self._unasked += 1
        if self._unasked % FLOOD == 0:
            self.blame(10, "a flood of messages that nobody asked for", now)

    def _introduce(self) -> None:
        own = self._own
        own.nonces.append(self._nonce)
        del own.nonces[:-50]
        version = m.Version(PROTOCOL, own.services, int(own.wall()), self._nonce, AGENT, own.height(), own.is_relay)
        self.send("version", version.encode(self.address))
        self._sent_version = True

    def _receive_early(self, command: str, payload: bytes, now: float) -> None:
        """version, then what we have to know of each other, then verack."""
        if command == "version":
            if self.version:
                raise Left("a second version", True)
            self._greet(m.Version.decode(payload))
        elif self.version is None:
            raise Left(f"{command} before version", True)
        elif command == "wtxidrelay":
            self.wants_wtxid = True
        elif command == "sendaddrv2":
            self.wants_v2_addresses = True
        elif command == "verack":
            self.is_up = True
            self._start(now)
        elif command in COMMANDS:
            raise Left(f"{command} before verack", True)
        else:  # what later versions may have to tell here
            self._note_unasked(now)

    def _greet(self, version: m.Version) -> None:
        if version.nonce in self._own.nonces and version.nonce:
            raise Left("this is ourselves", True)
        if version.protocol < LEAST_PROTOCOL:
            raise Left("its version is too old")
        if self.is_outbound and not version.services & (m.NETWORK | m.LIMITED):
            raise Left("it has no blocks")
        self.version = version
        self.offset_s = version.time - self._own.wall()
        if not self._sent_version:
            self._introduce()
        if version.protocol >= PROTOCOL:
            self.send("wtxidrelay")
            self.send("sendaddrv2")
        self.send("verack")

    def _start(self, now: float) -> None:
        self._pinged = now - PING_S
        self.send("sendheaders")
        if self.is_outbound:
            self.send("getaddr")
        self._on("up", None)

    def _on_ping(self, payload: bytes, now: float) -> None:
        self.send("pong", m.decode_number(payload).to_bytes(8, "little"))
        self._note_unasked(now)

    def _on_pong(self, payload: bytes, now: float) -> None:
        nonce = m.decode_number(payload)
        if self._ping and self._ping[0] == nonce:
            self.rtt_s = now - self._ping[1]
            self._ping = None
            self.answered("pong")

    def _on_feefilter(self, payload: bytes, _now: float) -> None:
        self.fee = m.decode_number(payload)

    def _on_sendheaders(self, payload: bytes, _now: float) -> None:
        self.wants_headers = True

    def _on_addr(self, payload: bytes, _now: float) -> None:
        self._on("addresses", m.decode_addresses(payload, False))

    def _on_addrv2(self, payload: bytes, _now: float) -> None:
        self._on("addresses", m.decode_addresses(payload, True))

    def _on_getaddr(self, payload: bytes, now: float) -> None:
        """Answered once, and to those only who came by themselves (row B28)."""
        if self.is_outbound or self._gave_addresses:
            self._note_unasked(now)
            return
        self._gave_addresses = True
        self._on("getaddr", None)

    def _on_headers(self, payload: bytes, _now: float) -> None:
        was_asked = self.answered("headers")
        self._on("headers", (m.decode_headers(payload), was_asked))

    def _on_getheaders(self, payload: bytes, now: float) -> None:
        self._on("getheaders", m.decode_locator(payload))
        self._note_unasked(now)

    def _on_inv(self, payload: bytes, _now: float) -> None:
        self._on("inventory", m.decode_inventory(payload))

    def _on_getdata(self, payload: bytes, now: float) -> None:
        items = m.decode_inventory(payload)
        self.blame(len(items) * 99 / 50_000, "it asks for too much", now)
        self._on("wanted", items)

    def _on_notfound(self, payload: bytes, _now: float) -> None:
        items = m.decode_inventory(payload)
        for _, hash32 in items:
            self.answered(hash32.hex())
        self._on("missing", items)

    def _on_tx(self, payload: bytes, _now: float) -> None:
        self._on("tx", payload)

    def _on_block(self, payload: bytes, _now: float) -> None:
        self._on("block", payload)

    def _on_cfilter(self, payload: bytes, now: float) -> None:
        block, data = m.decode_filter(payload)
        if not self.answered("filter " + block.hex()):
            self.blame(20, "filters that nobody asked for", now)
            return
        self._on("filter", (block, data))

    def _on_cfheaders(self, payload: bytes, _now: float) -> None:
        self._on("filter_headers", m.decode_filter_headers(payload))


EARLY = ("version", "verack", "wtxidrelay", "sendaddrv2")
COMMANDS = {name[4:] for name in vars(Session) if name.startswith("_on_")}
