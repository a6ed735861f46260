"""The gateway's configuration: a TOML file, read strictly. Every mistake in it is named at once, each with its line.

`load` gives a `Config`; `effective` prints one with what was left out filled in and every secret masked. A part of the
gateway adds its table by a struct of its own and a field of `Config`.
"""

from __future__ import annotations

import json
import re
from math import inf
from pathlib import Path
from typing import Any

import msgspec
from picoswarm import boot
from picoswarm.errors import LocalError

from .families.bitcoin.table import BitcoinTable
from .families.cometbft.table import CometTable
from .families.ethereum.table import EthereumTable
from .families.libp2p.table import Libp2pTable
from .families.mailbox import MailboxTable
from .families.mqtt.table import MqttTable
from .families.update.family import UpdateTable
from .profile import gateway_profile
from .relay import Limits
from .tomlfile import Mistakes as Mistakes
from .tomlfile import is_missing, read, read_file

SECRETS = {"token", "password"}  # names of fields that are never printed
MASK = "********"
LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("json", "text")
NO_TOKEN = "printable ASCII without spaces around it, as it goes in a header"


def is_ip(text: str) -> bool:
    """Whether the library takes this as the address of a node itself."""
    try:
        return not isinstance(boot._parse(text, 0)[0], str)
    except LocalError:
        return False


def is_token(text: str) -> bool:
    """Whether a client can send it in a header, as it stands."""
    return text.isascii() and text.isprintable() and text == text.strip()


class MeshTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[mesh]`: the node by which the gateway belongs to a mesh."""

    folder: str = ""  # of the node: its keys and the state; empty: `gateway` in picoswarm's folder of the user
    name: str = "gateway"  # at most 16 characters, that peers see
    host: str = ""  # own address, where it cannot be found out
    port: int = 20742  # UDP and TCP
    bootstrap: list[str] = []  # "ip:port" or "name:port" of other gateways or bootstrap nodes
    profile: dict[str, int] = {}  # numbers that differ from the gateway's own


class HttpTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[http]`: dashboard, API, metrics and health."""

    enabled: bool = True  # false: there is no HTTP at all
    host: str = "127.0.0.1"  # anything else than loopback shows the mesh to whoever reaches it
    port: int = 8742  # 0: any free one
    token: str = ""  # what writes need; empty: nobody may write
    token_file: str = ""  # a file that holds it instead, for its owner (and group) only; $NAME is taken from the environment
    hosts: list[str] = []  # names under which browsers reach it, beside addresses, localhost and the machine's name


class NodesTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[nodes]`: what is asked of the members of the mesh."""

    visit_s: float = 600.0  # between two visits to a member without a session (below); 0: none is visited


class LogTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[log]`: what is written to standard error."""

    level: str = "info"  # of LEVELS
    format: str = "json"  # of FORMATS; json: one object a line


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file. Each field is a table of it."""

    mesh: MeshTable = msgspec.field(default_factory=MeshTable)
    http: HttpTable = msgspec.field(default_factory=HttpTable)
    nodes: NodesTable = msgspec.field(default_factory=NodesTable)
    log: LogTable = msgspec.field(default_factory=LogTable)
    relay: Limits = msgspec.field(default_factory=Limits)
    mailbox: MailboxTable = msgspec.field(default_factory=MailboxTable)
    mqtt: MqttTable = msgspec.field(default_factory=MqttTable)
    update: UpdateTable = msgspec.field(default_factory=UpdateTable)
    libp2p: Libp2pTable = msgspec.field(default_factory=Libp2pTable)
    cometbft: CometTable = msgspec.field(default_factory=CometTable)
    ethereum: EthereumTable = msgspec.field(default_factory=EthereumTable)
    bitcoin: BitcoinTable = msgspec.field(default_factory=BitcoinTable)

    def check(self, found: list[tuple[str, str]]) -> None:
        """Add (path of the field, what is wrong with it) for all that no type can tell. A field of a wrong type is None."""
        name = self.mesh.name or ""
        if len(name) > 16 or not name.isascii() or not name.isprintable():
            found.append(("mesh.name", "at most 16 printable ASCII characters"))
        for where, port in (("mesh.port", self.mesh.port), ("http.port", self.http.port)):
            if not 0 <= (port or 0) <= 65535:
                found.append((where, "a port lies in 0..65535"))
        try:
            gateway_profile(**(self.mesh.profile or {}))
        except LocalError as error:
            found.append(("mesh.profile", str(error)))
        for number, place in enumerate(self.mesh.bootstrap or []):
            host, _, port = place.rpartition(":")
            if not (host and port.isdecimal() and 0 < int(port[:6]) <= 65535):
                found.append((f"mesh.bootstrap[{number}]", f'"ip:port" or "name:port", and not {json.dumps(place)}'))
        if self.mesh.host and not is_ip(self.mesh.host):
            found.append(("mesh.host", "an IP address of this machine, and no name"))
        if not 0 <= (self.nodes.visit_s or 0) < inf:
            found.append(("nodes.visit_s", "seconds, 0 for none"))
        if not is_token(self.http.token or ""):
            found.append(("http.token", NO_TOKEN))
        if self.http.token and self.http.token_file:
            found.append(("http.token_file", "give the token or a file of it, not both"))
        if is_missing(self.http.token_file):
            found.append(("http.token_file", "there is no such file"))
        for key in ("connections", "per_peer", "bytes_each", "bytes_per_s", "idle_s"):
            value = getattr(self.relay, key)
            if value is not None and not 0 < value < inf:  # nan is neither
                found.append((f"relay.{key}", "more than 0; enabled = false turns the relay off"))
        self.mailbox.check(found)
        self.mqtt.check(found)
        self.update.check(found)
        self.cometbft.check(found)
        self.ethereum.check(found)
        self.bitcoin.check(found)
        self.libp2p.check(found)
        for where, word, words in (("log.level", self.log.level, LEVELS), ("log.format", self.log.format, FORMATS)):
            if word and word not in words:
                found.append((where, f"one of {', '.join(words)}"))


def parse(text: str, path: Path) -> Config:
    """A Config from TOML. Raises Mistakes."""
    return read(Config, text, path)


def load(path: Path | None) -> Config:
    """The Config in a file; without one, that of all defaults. Raises Mistakes."""
    return Config() if path is None else read_file(Config, path)


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: MASK if key in SECRETS and part else _masked(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_masked(part) for part in value]
    return re.sub(r"(//[^/@:]*:)[^/@]*@", rf"\1{MASK}@", value) if isinstance(value, str) else value


def as_dict(config: Config) -> dict[str, Any]:
    """The configuration as plain values, its secrets masked."""
    return _masked(msgspec.to_builtins(config))


def effective(config: Config) -> str:
    """The configuration as TOML, what was left out filled in, its secrets masked."""
    lines: list[str] = []
    _write(as_dict(config), "", lines)
    return "\n".join(lines).lstrip("\n") + "\n"


def _write(table: dict[str, Any], path: str, lines: list[str]) -> None:
    later = []
    for key, value in table.items():
        if isinstance(value, dict):
            later.append((key, [value], "[%s]"))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            later.append((key, value, "[[%s]]"))
        elif value is not None:
            lines.append(f"{key} = {msgspec.json.encode(value).decode()}")
    for key, parts, title in later:
        for part in parts:
            here = f"{path}.{key}" if path else key
            lines += ["", title % here]
            _write(part, here, lines)
