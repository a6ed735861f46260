"""`network.WLAN` of a board: access points stand in air.json, {"name": "password"}. The sockets are those of the machine."""

import json

STA_IF = 0
AP_IF = 1
STAT_IDLE = 0
STAT_CONNECTING = 1
STAT_WRONG_PASSWORD = -3
STAT_NO_AP_FOUND = -2
STAT_GOT_IP = 3


def hostname(_name):
    pass


def country(_code):
    pass


def _air():
    try:
        with open("air.json") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


class WLAN:
    PM_NONE = 0
    _asked = None
    _is_active = False

    def __init__(self, _which=STA_IF):
        pass

    def active(self, value=None):
        if value is None:
            return WLAN._is_active
        WLAN._is_active = value

    def config(self, **_more):
        pass

    def connect(self, ssid, password=None):
        if not WLAN._is_active:
            raise OSError("the radio is off")
        WLAN._asked = ssid, password or ""

    def disconnect(self):
        WLAN._asked = None

    def status(self):
        if WLAN._asked is None:
            return STAT_IDLE
        air = _air()
        if WLAN._asked[0] not in air:
            return STAT_NO_AP_FOUND
        return STAT_GOT_IP if air[WLAN._asked[0]] == WLAN._asked[1] else STAT_WRONG_PASSWORD

    def isconnected(self):
        return WLAN._is_active and self.status() == STAT_GOT_IP

    def ifconfig(self):
        return "127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1"

    def scan(self):
        return [(name.encode(), b"\0" * 6, 1, -40 - 10 * at, 3, 0) for at, name in enumerate(sorted(_air()))]
