"""The gateway's configuration: a TOML file, read strictly. Every mistake in it is named at once, each with its line.

`load` gives a `Config`; `effective` prints one with what was left out filled in and every secret masked. A part of the
gateway adds its table by a struct of its own and a field of `Config`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from picoswarm.errors import LocalError

from .families.cometbft.table import CometTable
from .families.libp2p.table import Libp2pTable
from .families.mailbox import MailboxTable
from .families.mqtt.table import MqttTable
from .profile import gateway_profile
from .relay import Limits

SECRETS = {"token", "password"}  # names of fields that are never printed
MASK = "********"
LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("json", "text")


class Mistakes(Exception):
    """What is wrong with a configuration: `found`, a list of (line or 0, text)."""

    def __init__(self, path: Path, found: list[tuple[int, str]]) -> None:
        self.found = sorted(found)
        super().__init__("\n".join(f"{path}:{line}: {text}" if line else f"{path}: {text}" for line, text in self.found))


class MeshTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[mesh]`: the node by which the gateway belongs to a mesh."""

    folder: str = ""  # of the node: its keys and the state; empty: `gateway` in picoswarm's folder of the user
    name: str = "gateway"  # at most 16 characters, that peers see
    host: str = ""  # own address, where it cannot be found out
    port: int = 20742  # UDP and TCP
    bootstrap: list[str] = []  # "ip:port" of other gateways or bootstrap nodes
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
    libp2p: Libp2pTable = msgspec.field(default_factory=Libp2pTable)
    cometbft: CometTable = msgspec.field(default_factory=CometTable)

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
        if (self.nodes.visit_s or 0) < 0:
            found.append(("nodes.visit_s", "seconds, 0 for none"))
        if self.http.token and self.http.token_file:
            found.append(("http.token_file", "give the token or a file of it, not both"))
        for key in ("connections", "per_peer", "bytes_each", "bytes_per_s", "idle_s"):
            value = getattr(self.relay, key)
            if value is not None and value <= 0:
                found.append((f"relay.{key}", "more than 0; enabled = false turns the relay off"))
        self.mailbox.check(found)
        self.mqtt.check(found)
        self.cometbft.check(found)
        self.libp2p.check(found)
        for where, word, words in (("log.level", self.log.level, LEVELS), ("log.format", self.log.format, FORMATS)):
            if word and word not in words:
                found.append((where, f"one of {', '.join(words)}"))


def _line(text: str, path: str) -> int:
    """The line of a TOML text where the value of a dotted path stands (`a.b[2].c`: in the third table [[a.b]]); that of its
    table where it is not found, or 0."""
    array, _, rest = path.partition("[")
    index = int(rest.partition("]")[0] or 0)
    path = re.sub(r"\[\d+\]", "", path)
    *tables, name = path.split(".")
    table, inside, best = ".".join(tables), not tables, 0
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line)
        if header:
            title = header[1].replace('"', "").replace(" ", "")
            if title == array and rest:
                index -= 1
                if index >= 0:
                    continue
            inside = title == table
            if inside or title == path:
                best = best or number
            if title == path:
                return number
        key = re.match(r'\s*"?([\w.-]+)"?\s*=', line)
        if key and ((inside and key[1] == name) or (not table and key[1] == path)):
            return number
    return best


def _read(kind: Any, value: Any, path: str, found: list[tuple[str, str]]) -> Any:
    """A struct from a table, field by field, so that one mistake does not hide the next."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict)):
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            text, _, where = str(error).partition(" - at `$")
            found.append((path + where.rstrip("`"), text))
            return kind() if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    values = {}
    for key, part in value.items():
        here = f"{path}.{key}" if path else key
        if key in fields:
            values[fields[key].name] = _read(fields[key].type, part, here, found)
        else:
            found.append((here, f"there is no such {'key' if path else 'table'}; known: {', '.join(fields)}"))
    for key, field in fields.items():
        if field.required and key not in value:
            found.append((path, f"{key} is missing"))
            values[field.name] = None
    return kind(**values)


def parse(text: str, path: Path) -> Config:
    """A Config from TOML. Raises Mistakes."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise Mistakes(path, [(int(line[1]) if line else 0, re.sub(r" \(at .*\)", "", str(error)))]) from None
    found: list[tuple[str, str]] = []
    config = _read(Config, tables, "", found)
    config.check(found)
    if found:
        raise Mistakes(path, [(_line(text, where), f"{where}: {what}") for where, what in found])
    return config


def load(path: Path | None) -> Config:
    """The Config in a file; without one, that of all defaults. Raises Mistakes."""
    if path is None:
        return Config()
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Mistakes(path, [(0, f"cannot be read: {error}")]) from None
    return parse(text, path)


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
