"""The table `[mqtt]` of the gateway's configuration (docs/mqtt.md)."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

import msgspec

from ...tomlfile import file_of, is_missing
from .topics import RESERVED, STATUS, is_filter, is_topic, overlap, under

PORTS = {"mqtt": 1883, "mqtts": 8883}
VERSIONS = ("3.1.1", "5")
DROPS = ("oldest", "newest")
RULES = 8
PLATFORMS = ("sensor", "binary_sensor", "switch", "number")


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    """One line of `up` or `down`: the mesh topics of a filter are those of the broker below a prefix."""

    mesh: str  # filter of mesh topics
    broker: str = ""  # what stands before them at the broker; empty: the prefix of the table
    retain: bool = False  # up: the broker keeps the last message of each topic; down: pass kept messages on


class Component(msgspec.Struct, forbid_unknown_fields=True):
    """One line of `[[mqtt.homeassistant.components]]`: what boards say under these topics is this in Home Assistant."""

    topic: str  # filter, of topics as boards name them
    platform: str = "sensor"  # of PLATFORMS
    name: str = ""  # empty: the last level of the topic
    device_class: str = ""
    unit: str = ""
    state_class: str = ""
    template: str = ""  # value_template
    category: str = ""  # "diagnostic" or "config"
    expire_s: int = 0  # after so long without a message the value is unavailable
    command: str = "set"  # switch, number: the level behind the topic under which the board hears orders
    payload_on: str = ""  # binary_sensor, switch
    payload_off: str = ""
    min: float | None = None  # number
    max: float | None = None
    step: float | None = None


class HomeAssistant(msgspec.Struct, forbid_unknown_fields=True):
    """`[mqtt.homeassistant]`"""

    enabled: bool = False
    prefix: str = "homeassistant"  # as set there
    defaults: bool = True  # temperature, humidity and the like are known by the last level of their topic
    components: list[Component] = []


def where(url: str) -> tuple[str, int, bool]:
    """(host, port, whether with TLS) of a broker. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/") or "@" in parts.netloc:
        raise ValueError("mqtt://host:port or mqtts://host:port; user and password have fields of their own")
    return parts.hostname, parts.port or PORTS[parts.scheme], parts.scheme == "mqtts"


class MqttTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[mqtt]`: see docs/mqtt.md."""

    url: str = ""  # mqtt://host:1883 or mqtts://host:8883; empty: no MQTT
    version: str = "5"  # of VERSIONS
    client_id: str = ""  # empty: from the gateway's id
    username: str = ""
    password: str = ""
    password_file: str = ""  # a file that holds it instead; in paths of files $NAME is taken from the environment
    ca_file: str = ""  # mqtts: what signs the broker's certificate; empty: the system's
    cert_file: str = ""  # mqtts: an own certificate, and its key
    key_file: str = ""
    keepalive_s: int = 15
    prefix: str = "picoswarm"  # boards publish and subscribe below it
    up: list[Rule] = []  # mesh to broker
    down: list[Rule] = []  # broker to mesh
    queue_messages: int = 1000  # that wait for the broker
    queue_bytes: int = 1_048_576
    drop: str = "oldest"  # of DROPS: what goes when they are full
    board_messages: int = 32  # that wait for one board
    board_filters: int = 16  # of one board
    homeassistant: HomeAssistant = msgspec.field(default_factory=HomeAssistant)

    def secret(self) -> str | None:
        """The password, or None. Raises OSError."""
        if self.password_file:
            return file_of(self.password_file).read_text("utf-8").rstrip("\n")
        return self.password or None

    def tls(self) -> ssl.SSLContext | None:
        """What TLS needs, or None for a connection without. Raises OSError, ssl.SSLError."""
        if not where(self.url)[2]:
            return None
        context = ssl.create_default_context(cafile=file_of(self.ca_file) if self.ca_file else None)
        if self.cert_file:
            context.load_cert_chain(file_of(self.cert_file), file_of(self.key_file) if self.key_file else None)
        return context

    def at_broker(self, rule: Rule) -> str:
        """What stands before the mesh topics of a rule."""
        return rule.broker or self.prefix

    def written(self) -> list[str]:
        """Filters of all that gateways and boards publish at the broker."""
        filters = [under(self.prefix, "#")] if self.prefix else []
        filters += [under(self.at_broker(rule), rule.mesh) for rule in self.up]
        if self.homeassistant.enabled:
            filters.append(under(self.homeassistant.prefix, "device/#"))
        return filters

    def check(self, found: list[tuple[str, str]]) -> None:
        """Add (path of the field, what is wrong with it). A field of a wrong type is None."""
        if not self.url:
            return
        try:
            where(self.url)
        except ValueError as error:
            found.append(("mqtt.url", str(error)))
        if self.version not in VERSIONS:
            found.append(("mqtt.version", f"one of {', '.join(VERSIONS)}"))
        if self.drop not in DROPS:
            found.append(("mqtt.drop", f"one of {', '.join(DROPS)}"))
        if self.password and self.password_file:
            found.append(("mqtt.password_file", "give the password or a file of it, not both"))
        for name in ("password_file", "ca_file", "cert_file", "key_file"):
            if is_missing(getattr(self, name)):
                found.append((f"mqtt.{name}", "there is no such file"))
        for name in ("queue_messages", "queue_bytes", "board_messages", "board_filters", "keepalive_s"):
            value = getattr(self, name)
            if value is not None and value < 1:
                found.append((f"mqtt.{name}", "1 or more"))
        if (self.keepalive_s or 0) > 65_535:
            found.append(("mqtt.keepalive_s", "65535 at most, as MQTT has it"))
        for name, text in (("mqtt.prefix", self.prefix), ("mqtt.homeassistant.prefix", self.homeassistant.prefix)):
            if text and (not is_topic(text) or text[0] in "/$" or text[-1] == "/"):
                found.append((name, "a topic without wildcards, that begins with neither / nor $ and does not end with /"))
        self._check_rules(found)
        self._check_components(found)

    def _check_rules(self, found: list[tuple[str, str]]) -> None:
        for name, rules in (("up", self.up or []), ("down", self.down or [])):
            if len(rules) > RULES:
                found.append((f"mqtt.{name}", f"at most {RULES}"))
            for i, rule in enumerate(rules):
                where = f"mqtt.{name}[{i}]"
                if not is_filter(rule.mesh or "") or len(rule.mesh.encode()) > 64 or rule.mesh[:1] == RESERVED:
                    found.append((f"{where}.mesh", "a filter of 1 to 64 bytes that does not begin with $"))
                elif rule.broker and (not is_topic(rule.broker) or rule.broker[0] == RESERVED):
                    found.append((f"{where}.broker", "a topic without wildcards that does not begin with $"))
                elif overlap(under(self.at_broker(rule), rule.mesh), under(self.prefix, f"{STATUS}/#")):
                    found.append((where, f"it meets {under(self.prefix, STATUS)}, which is the gateway's"))
        for i, rule in enumerate(self.down or []):
            # Whatever a gateway or a board writes must not come back: that is what keeps the bridge from loops.
            mine = under(self.at_broker(rule), rule.mesh)
            for other in self.up or []:
                if overlap(mine, under(self.at_broker(other), other.mesh)):
                    found.append((f"mqtt.down[{i}]", f"its topics at the broker meet those of up, {other.mesh}: a loop"))
                    break

    def _check_components(self, found: list[tuple[str, str]]) -> None:
        for i, part in enumerate(self.homeassistant.components or []):
            where = f"mqtt.homeassistant.components[{i}]"
            if not is_filter(part.topic or ""):
                found.append((f"{where}.topic", "a filter"))
            if part.platform not in PLATFORMS:
                found.append((f"{where}.platform", f"one of {', '.join(PLATFORMS)}"))
            kinds = ("diagnostic",) if part.platform in ("sensor", "binary_sensor") else ("diagnostic", "config")
            if part.category not in ("", *kinds):
                found.append((f"{where}.category", f"for this platform: {' or '.join(kinds)}"))
