"""The Wi-Fi interface at the hardware's edge, against a `network.WLAN` that keeps what was asked of it, and the manager in
virtual time with it: a radio that says connected and passes nothing is switched off and on."""

import sys

from swarmboard.link import CONNECT, NOTHING, RESET, Link


class Radio:
    """`network.WLAN`. `works`: whether it connects; `is_deaf`: connected, and nothing passes until the power was off."""

    PM_NONE = 0
    calls = []
    works = True
    is_deaf = False
    is_connected = False
    fails_with = None

    def __init__(self, which=0):
        pass

    def active(self, value):
        Radio.calls.append("on" if value else "off")
        if not value:
            Radio.is_connected = False

    def config(self, **settings):
        Radio.calls.append("pm")
        if "pm" not in settings:
            raise ValueError

    def connect(self, ssid, password):
        Radio.calls.append(("connect", ssid, password))
        if Radio.fails_with:
            raise OSError(Radio.fails_with)
        Radio.is_connected = Radio.works

    def disconnect(self):
        Radio.calls.append("disconnect")
        Radio.is_connected = False

    def deinit(self):
        Radio.calls.append("deinit")
        Radio.is_deaf = False

    def isconnected(self):
        return Radio.is_connected

    def status(self):
        return 3 if Radio.is_connected else -3

    def ifconfig(self):
        return "192.0.2.9", "255.255.255.0", "192.0.2.1", "0.0.0.0"

    def scan(self):
        found = [(b"home", b"", 1, -70, 3, 0), (b"home", b"", 6, -41, 3, 0), (b"cafe", b"", 1, -60, 0, 0)]
        return found + [(b"", b"", 1, -30, 3, 1), (b"\xff\xfe", b"", 1, -20, 3, 0)]  # hidden, and no text


class Network:
    """The module."""

    WLAN = Radio
    STA_IF = 0
    STAT_WRONG_PASSWORD = -3
    STAT_GOT_IP = 3
    said = []

    @staticmethod
    def country(code):
        Network.said.append(code)

    @staticmethod
    def hostname(name):
        Network.said.append(name)


def wlan(**more):
    """A station on a new radio. It is made as a board makes it, with what `asyncio` lacks elsewhere."""
    import asyncio

    if not hasattr(asyncio, "sleep_ms"):

        async def sleep_ms(ms):
            pass

        asyncio.sleep_ms = sleep_ms
    sys.modules["network"] = Network
    from swarmboard.station import Wlan

    Radio.calls = []
    Radio.works, Radio.is_deaf, Radio.is_connected, Radio.fails_with = True, False, False, None
    Network.said = []
    return Wlan(dict(ssid="home", password="a secret", **more), "kitchen")


def reset(station):
    import asyncio

    asyncio.run(station.reset())


def test_country_and_name_are_said_before_the_radio_is_on():
    wlan(country="DE")
    assert Network.said == ["DE", "kitchen"] and Radio.calls == []


def test_to_connect_ends_what_was_before_and_saves_no_power():
    station = wlan()
    station.connect()
    assert Radio.calls == ["on", "pm", "disconnect", ("connect", "home", "a secret")] and station.is_up()


def test_an_open_network_is_asked_for_without_a_password():
    station = wlan()
    station.wifi = {"ssid": "cafe", "password": ""}
    station.connect()
    assert Radio.calls[-1] == ("connect", "cafe", None)


def test_a_reset_takes_the_power_from_the_radio():
    station = wlan()
    station.connect()
    Radio.calls = []
    reset(station)
    assert Radio.calls == ["disconnect", "deinit", "off", "on", "pm", "disconnect", ("connect", "home", "a secret")]


def test_why_it_is_not_connected_is_said_in_words():
    station = wlan()
    Radio.works = False
    station.connect()
    assert station.why() == "wrong password" and not station.is_up()


def test_who_gives_no_name_server_is_asked_itself():
    assert wlan().address() == ("192.0.2.9", "192.0.2.1")


def test_a_scan_names_each_network_once_the_strongest_first():
    assert wlan().scan() == [("home", -41, True), ("cafe", -60, False)]


def test_a_deaf_radio_is_heard_again_after_the_steps_of_the_manager():
    station = wlan()
    link = Link()
    heard = 0
    done = []
    for second in range(400):
        if second == 100:
            Radio.is_deaf = True
        action = link.step(1000, station.is_up(), heard)
        if action == CONNECT:
            station.connect()
        elif action == RESET:
            reset(station)
        if action != NOTHING:
            done.append(action)
        if (link.wants_answer() or second % 7 == 0) and station.is_up() and not Radio.is_deaf:
            heard += 1
    assert done == [CONNECT, CONNECT, RESET] and not Radio.is_deaf and link.tries == 0
