"""The serial line of a board that is told its Wi-Fi, and whose radio or flash fails at it."""

import asyncio

from swarmboard import config, improv
from swarmboard.provisioning import Provisioning

RUNTIMES = ("micropython",)
INFO = ["picoswarm", "0.1.0", "RP2040", "kitchen"]


class Station:
    """An interface that knows a network, and raises what it is told to when it shall join another one."""

    def __init__(self, fails=None):
        self.wifi = {"ssid": "home", "password": "correct horse", "country": "DE"}
        self.fails = fails
        self.has_connected = False

    def connect(self):
        if self.fails:
            raise self.fails
        self.has_connected = True

    def is_up(self):
        return self.has_connected

    def why(self):
        return "no ap found"


def told(station):
    """Tell the board another network; returns its state afterwards."""
    line = Provisioning(station, INFO)
    line._service.state = improv.PROVISIONING
    asyncio.run(line._fulfil(("wifi", "cafe", "wrong horse")))
    assert not line.is_busy
    return line._service.state


def test_a_radio_that_refuses_leaves_the_network_that_the_board_knew():
    for fails in (OSError(5), ValueError("bad ssid"), RuntimeError("radio")):
        station = Station(fails)
        assert told(station) == improv.READY and station.wifi["ssid"] == "home", fails


def test_a_flash_that_is_full_leaves_the_network_that_the_board_knew():
    def full(ssid, password):
        raise OSError(28)

    save, config.save_wifi = config.save_wifi, full
    try:
        station = Station()
        assert told(station) == improv.READY and station.wifi["ssid"] == "home"
    finally:
        config.save_wifi = save
