"""picoswarm.json: what stands there, and mistakes named in words that a user can act on."""

import json
import os

from support import raises
from swarmboard import config
from swarmboard.config import Mistake, check, parse

WHOLE = """{"name": "kitchen",
 "wifi": {"ssid": "home", "password": "a secret", "country": "DE"},
 "bootstrap": ["192.0.2.7:20742", "192.0.2.8"],
 "profile": {"records": 64}, "led": -3, "host": "192.0.2.9", "port": 20000,
 "supervisor": {"good_s": 30},
 "app": {"every_s": 5, "anything": [1, 2]}}"""


def test_a_whole_configuration_is_read():
    settings = parse(WHOLE)
    assert settings["name"] == "kitchen" and settings["wifi"]["password"] == "a secret"
    assert settings["bootstrap"] == ["192.0.2.7:20742", "192.0.2.8"] and settings["profile"] == {"records": 64}
    assert settings["app"] == {"every_s": 5, "anything": [1, 2]} and settings["led"] == -3
    assert settings["supervisor"]["good_s"] == 30 and settings["supervisor"]["bad_boots"] == 6


def test_everything_may_be_left_out():
    settings = parse("{}")
    assert settings["wifi"] is None and settings["bootstrap"] == [] and settings["app"] == {} and settings["name"] == ""


def test_a_mistake_is_named_with_its_place_and_what_is_right():
    cases = (
        ('{"wfi": {}}', "wfi", "there is no such setting"),
        ('{"wifi": "home"}', "wifi", "an object"),
        ('{"wifi": {}}', "wifi.ssid", "missing"),
        ('{"wifi": {"ssid": ""}}', "wifi.ssid", "1 to 32 bytes"),
        ('{"wifi": {"ssid": "home", "password": "short"}}', "wifi.password", "8 to 63 characters, this has 5"),
        ('{"wifi": {"ssid": "home", "passwrd": "x"}}', "wifi.passwrd", "ssid, password, country"),
        ('{"wifi": {"ssid": "home", "country": "Germany"}}', "wifi.country", '"DE"'),
        ('{"name": "a name that is far too long"}', "name", "at most 16 bytes"),
        ('{"name": 7}', "name", "a text"),
        ('{"bootstrap": "192.0.2.7"}', "bootstrap", "a list"),
        ('{"bootstrap": ["192.0.2.7", "gateway.local:20742", "gate way:20742"]}', "bootstrap[2]", "no address"),
        ('{"bootstrap": ["gateway.local:x"]}', "bootstrap[0]", "no address"),
        ('{"host": "board.local"}', "host", "no address"),
        ('{"bootstrap": ["192.0.2.777:1"]}', "bootstrap[0]", "no address"),
        ('{"profile": {"records": "64"}}', "profile.records", "a whole number"),
        ('{"supervisor": {"good": 1}}', "supervisor.good", "good_s"),
        ('{"led": 99}', "led", "from -64 to 64"),
        ('{"port": 70000}', "port", "0 to 65535"),
        ("[]", "the file", "an object"),
    )
    for text, where, why in cases:
        message = str(raises(Mistake, parse, text))
        assert message.startswith("picoswarm.json: %s: " % where), message
        assert why in message, message


def test_a_text_that_is_no_json_is_said_to_be_none_with_what_to_look_for():
    cases = (
        ('{"name":\n"kitchen}', "line 2: a quote without its other half"),
        ('{"name": "kitchen"\n', "line 2: the file ends, and a } is missing"),  # MicroPython's own reader takes this
        ('{"bootstrap": ["192.0.2.7"}', "line 1: a } without its other half"),
        ('{"app": {}}}', "line 1: a } without its other half"),
        ("{name: kitchen}", "a word without quotes"),
        ("", "this is not JSON"),
    )
    for text, why in cases:
        message = str(raises(Mistake, parse, text))
        assert why in message, message


def test_brackets_and_quotes_inside_of_texts_do_not_count():
    assert parse('{"app": {"a": "}]{\\"[", "b": "\\\\"}}')["app"] == {"a": '}]{"[', "b": "\\"}


def clean():
    for name in ("picoswarm.json", "picoswarm.bad", "picoswarm.json.new"):
        try:
            os.remove(name)
        except OSError:
            pass


def test_a_board_without_a_file_has_the_defaults():
    clean()
    assert config.load() == check({})


def test_wifi_is_put_into_the_file_and_all_else_stays():
    clean()
    try:
        with open("picoswarm.json", "w") as file:
            file.write(WHOLE)
        config.save_wifi("the other", "")
        with open("picoswarm.json") as file:
            kept = json.load(file)
        assert kept["wifi"] == {"ssid": "the other", "password": "", "country": "DE"}
        assert kept["app"]["every_s"] == 5
        assert config.load()["wifi"]["ssid"] == "the other"
    finally:
        clean()


def test_a_file_that_cannot_be_read_is_kept_beside():
    clean()
    try:
        with open("picoswarm.json", "w") as file:
            file.write("{broken")
        config.save_wifi("home", "a secret")
        with open("picoswarm.bad") as file:
            assert file.read() == "{broken"
        assert config.load()["wifi"]["ssid"] == "home"
    finally:
        clean()


def test_what_no_access_point_can_have_is_not_saved():
    clean()
    raises(Mistake, config.save_wifi, "home", "short")
    raises(Mistake, config.save_wifi, "x" * 33, "")
    assert config.load()["wifi"] is None
