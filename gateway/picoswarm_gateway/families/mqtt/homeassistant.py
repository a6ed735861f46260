"""Boards as devices of Home Assistant, by its MQTT discovery: one retained message a device, under
`homeassistant/device/ID/config`. Made after the documentation of the MQTT integration of mid 2025 (docs/mqtt.md); a test
holds each field against it.

What a board has is learned from the topics under which it speaks. The broker keeps what was learned: the retained messages
are read back after a start, so that a gateway that takes over a board knows all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from .presence import OFFLINE, ONLINE
from .table import Component, MqttTable
from .topics import below, matches, under

MAKER = "picoswarm"
BOARDS = 10_000  # that have devices
TOPICS = 64  # of a board, that are components of its device
DEVICE = re.compile(r"picoswarm_([0-9a-f]{64})")

# What a topic is by its last level, where the table has no line for it.
DEFAULTS = {
    "temperature": Component("", device_class="temperature", unit="°C", state_class="measurement"),
    "humidity": Component("", device_class="humidity", unit="%", state_class="measurement"),
    "pressure": Component("", device_class="atmospheric_pressure", unit="hPa", state_class="measurement"),
    "illuminance": Component("", device_class="illuminance", unit="lx", state_class="measurement"),
    "co2": Component("", device_class="carbon_dioxide", unit="ppm", state_class="measurement"),
    "battery": Component("", device_class="battery", unit="%", state_class="measurement", category="diagnostic"),
    "voltage": Component("", device_class="voltage", unit="V", state_class="measurement"),
    "current": Component("", device_class="current", unit="A", state_class="measurement"),
    "power": Component("", device_class="power", unit="W", state_class="measurement"),
    "energy": Component("", device_class="energy", unit="kWh", state_class="total_increasing"),
    "rssi": Component("", device_class="signal_strength", unit="dBm", state_class="measurement", category="diagnostic"),
    "motion": Component("", platform="binary_sensor", device_class="motion"),
    "door": Component("", platform="binary_sensor", device_class="door"),
    "window": Component("", platform="binary_sensor", device_class="window"),
}

# Fields of a component, and the field of the table that they come from; left out where it is empty.
FIELDS = {
    "device_class": "device_class",
    "value_template": "template",
    "entity_category": "category",
}
OF_PLATFORM = {
    "sensor": {"unit_of_measurement": "unit", "state_class": "state_class", "expire_after": "expire_s"},
    "binary_sensor": {"payload_on": "payload_on", "payload_off": "payload_off", "expire_after": "expire_s"},
    "switch": {"payload_on": "payload_on", "payload_off": "payload_off"},
    "number": {"unit_of_measurement": "unit", "min": "min", "max": "max", "step": "step"},
}


def component_of(table: MqttTable, topic: str) -> Component | None:
    """What a topic (as the board names it) is in Home Assistant, or None."""
    for each in table.homeassistant.components:
        if matches(each.topic, topic):
            return each
    return DEFAULTS.get(topic.rpartition("/")[2].lower()) if table.homeassistant.defaults else None


def key_of(topic: str) -> str:
    """The name of a component within its device: letters, digits, `_` and `-`, another one for each topic."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", topic)
    return plain if plain == topic else f"{plain}_{sha256(topic.encode()).hexdigest()[:6]}"


def device_name(id32: bytes) -> str:
    """How Home Assistant calls the device of a node, whatever its name is."""
    return f"picoswarm_{id32.hex()}"


class HomeAssistantDevices:
    """The devices that this gateway knows. `say(topic, payload)` publishes a retained message; `is_mine(id)`; `name(id)`: a
    board's name, or ""; `gateway_topic`, `board_topic`: where it stands whether one is there (presence.py)."""

    def __init__(
        self,
        table: MqttTable,
        own_id: bytes,
        own_name: str,
        say: Callable[[str, str], None],
        is_mine: Callable[[bytes], bool],
        name: Callable[[bytes], str],
        gateway_topic: Callable[[bytes], str],
        board_topic: Callable[[bytes], str],
    ) -> None:
        self.topics: dict[bytes, dict[str, str]] = {}  # of each board, as it names them: that of the broker
        self.birth = under(table.homeassistant.prefix, "status")
        self._table = table
        self._own_id = own_id
        self._own_name = own_name
        self._say = say
        self._is_mine = is_mine
        self._name = name
        self._names: dict[bytes, str] = {}  # as they were announced
        self._gateway_topic = gateway_topic
        self._board_topic = board_topic

    def filters(self) -> list[str]:
        """What is to be heard."""
        return [self.birth, self.config_topic("+")]

    def config_topic(self, name: str) -> str:
        """Where the configuration of a device stands."""
        return under(self._table.homeassistant.prefix, f"device/{name}/config")

    # Learning

    def learn(self, board: bytes, topic: str, at_broker: str) -> bool:
        """A board spoke under a topic. Returns whether Home Assistant has a component for it."""
        if component_of(self._table, topic) is None:
            return False
        known = self.topics.get(board, {})
        if known.get(topic) == at_broker:
            return True
        if (topic not in known and len(known) >= TOPICS) or (not known and len(self.topics) >= BOARDS):
            return False
        self.topics[board] = {**known, topic: at_broker}
        self.announce(board)
        return True

    def on_message(self, topic: str, payload: bytes, is_retained: bool) -> bool:
        """The broker has the configuration of a device. False: it is about something else."""
        found = DEVICE.search(topic)
        if not found or topic != self.config_topic(found[0]):
            return False
        id32 = bytes.fromhex(found[1])
        if id32 == self._own_id or not is_retained:
            return True
        try:
            held = json.loads(payload) if payload else {}
            self._names.setdefault(id32, str(held["dev"]["name"]) if held else "")
            parts = held.get("cmps", {}).items()
            known = [(key, part["p"], part.get("state_topic")) for key, part in parts]
        except (ValueError, KeyError, TypeError, AttributeError):
            return True  # not ours
        self._take_over(id32, known)
        return True

    def _take_over(self, board: bytes, known: list[tuple[str, str, Any]]) -> None:
        """Go on with what another gateway, or this one before its start, had announced."""
        mine = self.topics.setdefault(board, {})
        gone = {}
        for key, platform, at_broker in known:
            topic = self._as_named(at_broker) if isinstance(at_broker, str) else None
            part = component_of(self._table, topic) if topic else None
            if topic and part and part.platform == platform and key_of(topic) == key:
                mine.setdefault(topic, at_broker)
            else:
                gone[key] = {"p": platform}  # the table has changed: with its platform alone a component is removed
        if gone and self._is_mine(board):
            self.announce(board, gone)
        if self._is_mine(board):
            self.announce(board)

    def _as_named(self, at_broker: str) -> str | None:
        """A topic of the broker as its board names it."""
        for rule in self._table.up:
            topic = below(self._table.at_broker(rule), at_broker)
            if topic is not None and matches(rule.mesh, topic):
                return topic
        return below(self._table.prefix, at_broker)

    # Announcing

    def announce_gateway(self) -> None:
        """The gateway is a device too: its boards come through it."""
        part = {
            "p": "binary_sensor",
            "name": "Connection",
            "unique_id": f"{device_name(self._own_id)}_connection",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": self._gateway_topic(self._own_id),
            "payload_on": ONLINE,
            "payload_off": OFFLINE,
        }
        device = {"ids": [device_name(self._own_id)], "name": self._own_name, "mf": MAKER, "mdl": "gateway"}
        device["sn"] = self._own_id.hex()
        device["sw"] = version("picoswarm")
        self._publish(self._own_id, {"dev": device, "o": self._origin(), "cmps": {"connection": part}})

    def announce(self, board: bytes, gone: dict[str, dict[str, str]] | None = None) -> None:
        """Publish the device of a board. `gone`: components that it has no longer."""
        name = self._name(board) or self._names.get(board) or f"board {board.hex()[:8]}"
        self._names[board] = name
        parts = {key_of(topic): self._part(board, topic, at) for topic, at in self.topics.get(board, {}).items()}
        parts = {key: part for key, part in parts.items() if part} | (gone or {})
        if not parts:
            return
        self._publish(
            board,
            {
                "dev": {
                    "ids": [device_name(board)],
                    "name": name,
                    "mf": MAKER,
                    "mdl": "board",
                    "sn": board.hex(),
                    "via_device": device_name(self._own_id),
                },
                "o": self._origin(),
                # A gateway that dies takes its boards along until the next one announces them: its will says so.
                "availability": [{"topic": self._gateway_topic(self._own_id)}, {"topic": self._board_topic(board)}],
                "availability_mode": "all",
                "qos": 1,
                "cmps": parts,
            },
        )

    def announce_all(self) -> None:
        """Home Assistant has started, or boards have moved: publish those of this gateway."""
        self.announce_gateway()
        for board in self.topics:
            if self._is_mine(board):
                self.announce(board)

    def forget(self, board: bytes) -> None:
        """A board was revoked: its device goes."""
        self.topics.pop(board, None)
        self._names.pop(board, None)
        self._say(self.config_topic(device_name(board)), "")

    def _publish(self, id32: bytes, config: dict[str, Any]) -> None:
        self._say(self.config_topic(device_name(id32)), json.dumps(config, ensure_ascii=False, separators=(",", ":")))

    def _origin(self) -> dict[str, str]:
        return {"name": MAKER, "sw": version("picoswarm")}

    def _part(self, board: bytes, topic: str, at_broker: str) -> dict[str, Any] | None:
        part = component_of(self._table, topic)
        if part is None:
            return None
        fields: dict[str, Any] = {
            "p": part.platform,
            "name": part.name or topic.rpartition("/")[2],
            "unique_id": f"{device_name(board)}_{key_of(topic)}",
            "state_topic": at_broker,
        }
        for field, source in {**FIELDS, **OF_PLATFORM[part.platform]}.items():
            value = getattr(part, source)
            if value not in ("", None, 0) or (field in ("min", "max") and value == 0):
                fields[field] = value
        if part.platform in ("switch", "number"):
            fields["command_topic"] = f"{at_broker}/{part.command}"
        return fields
