"""What Home Assistant's documentation allows in a device discovery message, typed in by hand from it.

Of the repository home-assistant/home-assistant.io, folder source/_integrations, at these commits:
    mqtt.markdown                 0a314403e71f   device discovery payload, origin, availability, abbreviations
    sensor.mqtt.markdown          9e4a69ab9987
    binary_sensor.mqtt.markdown   fbc3a3b3bdcc
    switch.mqtt.markdown          53821638d651
    number.mqtt.markdown          ebecc7e80482
"""

from __future__ import annotations

import re

# "Supported shared options" at the root, beside the two mappings that must be there
ROOT = {"availability", "availability_mode", "command_topic", "state_topic", "qos", "encoding", "dev", "o", "cmps"}
REQUIRED = {"dev", "o", "cmps"}
DEVICE_ABBREVIATIONS = {
    "cu": "configuration_url",
    "cns": "connections",
    "ids": "identifiers",
    "mf": "manufacturer",
    "mdl": "model",
    "mdl_id": "model_id",
    "hw": "hw_version",
    "sw": "sw_version",
    "sa": "suggested_area",
    "sn": "serial_number",
}
DEVICE = {*DEVICE_ABBREVIATIONS.values(), "name", "via_device"}
ORIGIN_ABBREVIATIONS = {"sw": "sw_version", "url": "support_url"}
ORIGIN = {*ORIGIN_ABBREVIATIONS.values(), "name"}
AVAILABILITY = {"topic", "payload_available", "payload_not_available", "value_template"}
AVAILABILITY_MODES = {"all", "any", "latest"}

# Of every entity platform here
COMMON = {
    "availability",
    "availability_mode",
    "availability_template",
    "availability_topic",
    "device",
    "device_class",
    "enabled_by_default",
    "encoding",
    "entity_category",
    "entity_picture",
    "icon",
    "json_attributes_template",
    "json_attributes_topic",
    "name",
    "object_id",
    "payload_available",
    "payload_not_available",
    "platform",
    "qos",
    "state_topic",
    "unique_id",
    "value_template",
}
PLATFORMS = {
    "sensor": COMMON
    | {
        "expire_after",
        "force_update",
        "last_reset_value_template",
        "options",
        "suggested_display_precision",
        "state_class",
        "unit_of_measurement",
    },
    "binary_sensor": COMMON | {"expire_after", "force_update", "off_delay", "payload_off", "payload_on"},
    "switch": COMMON
    | {
        "command_template",
        "command_topic",
        "optimistic",
        "payload_off",
        "payload_on",
        "retain",
        "state_off",
        "state_on",
    },
    "number": COMMON
    | {
        "command_template",
        "command_topic",
        "min",
        "max",
        "mode",
        "optimistic",
        "payload_reset",
        "retain",
        "step",
        "unit_of_measurement",
    },
}
NEEDED = {
    "sensor": {"platform", "state_topic", "unique_id"},
    "binary_sensor": {"platform", "state_topic", "unique_id"},
    "switch": {"platform", "command_topic", "unique_id"},
    "number": {"platform", "command_topic", "unique_id"},
}
OBJECT_ID = re.compile(r"[a-zA-Z0-9_-]+")
STATE_CLASSES = {"measurement", "total", "total_increasing"}


def mistakes(topic: str, message: dict) -> list[str]:
    """What the documentation does not allow in a device discovery message."""
    found = []

    def within(what: str, given: set[str], allowed: set[str], needed: set[str] = frozenset()) -> None:
        found.extend(f"{what}: {field} is not known" for field in given - allowed)
        found.extend(f"{what}: {field} is missing" for field in needed - given)

    prefix, kind, object_id, last = topic.split("/")
    if (prefix, kind, last) != ("homeassistant", "device", "config") or not OBJECT_ID.fullmatch(object_id):
        found.append(f"topic {topic}")
    within("root", set(message), ROOT, REQUIRED)
    device = {DEVICE_ABBREVIATIONS.get(field, field) for field in message["dev"]}
    within("dev", device, DEVICE, {"identifiers", "name"})
    origin = {ORIGIN_ABBREVIATIONS.get(field, field) for field in message["o"]}
    within("o", origin, ORIGIN, {"name"})
    for each in message.get("availability", []):
        within("availability", set(each), AVAILABILITY, {"topic"})
    if message.get("availability_mode", "all") not in AVAILABILITY_MODES:
        found.append("availability_mode")
    ids = [part["unique_id"] for part in message["cmps"].values()]
    if len(ids) != len(set(ids)):
        found.append("two components with one unique_id")
    for key, part in message["cmps"].items():
        fields = {"platform" if field == "p" else field for field in part}
        within(key, fields, PLATFORMS.get(part["p"], set()), NEEDED.get(part["p"], {"a platform"}))
        if part.get("state_class", "measurement") not in STATE_CLASSES:
            found.append(f"{key}: state_class")
        # "When set, the entity category must be `diagnostic` for sensors."
        if part["p"] in ("sensor", "binary_sensor") and part.get("entity_category", "diagnostic") != "diagnostic":
            found.append(f"{key}: entity_category")
    return found
