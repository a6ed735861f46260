"""The configuration of a board, `/picoswarm.json`, and what is wrong with one, in words that a user can act on.

    {"name": "kitchen",
     "wifi": {"ssid": "home", "password": "...", "country": "DE"},
     "bootstrap": ["192.0.2.7:20742"],
     "profile": {"records": 64},
     "led": "LED",
     "app": {"every_s": 60}}

Everything may be left out. `app` is the program's own. The network key never stands here: it is in the node's folder.
"""

import json

FILE = "picoswarm.json"
NAME_MOST = 16
_NAMES = ("name", "wifi", "ppp", "host", "port", "bootstrap", "profile", "led", "app", "supervisor")
# What the supervisor may be told, with what it does by itself.
SUPERVISOR = {"good_s": 60, "bad_boots": 6, "safe_min": 15, "watchdog_ms": 8000, "low_bytes": 8192}


class Mistake(Exception):
    """What is wrong in the configuration; the message says where, and what is right."""


def _refuse(where, why):
    raise Mistake("%s: %s: %s" % (FILE, where, why))


def _object(value, where):
    if not isinstance(value, dict):
        _refuse(where, "this must be an object, {...}")
    return value


def _text(value, where):
    if not isinstance(value, str):
        _refuse(where, "this must be a text, in quotes")
    return value


def _known(value, where, names):
    for name in value:
        if name not in names:
            _refuse(where + name, "there is no such setting; there are: " + ", ".join(names))


def _number(value, where, least, most):
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        _refuse(where, "this must be a whole number from %d to %d" % (least, most))
    return value


def check_wifi(ssid, password):
    """Raise Mistake for what no access point can have."""
    if not 1 <= len(_text(ssid, "wifi.ssid").encode()) <= 32:
        _refuse("wifi.ssid", "a network's name has 1 to 32 bytes, this has %d" % len(ssid.encode()))
    n = len(_text(password, "wifi.password").encode())
    if n and not 8 <= n <= 64:
        _refuse("wifi.password", 'it has 8 to 63 characters, this has %d; an open network has ""' % n)


def _check_address(text, where, may_be_name=False):
    host, _, port = _text(text, where).partition(":")
    try:
        if port and not 0 < int(port) < 65536:
            raise ValueError
        if may_be_name and not host.replace(".", "").isdigit():
            from picoswarm.names import is_name

            if is_name(host):
                return
        parts = [int(part) for part in host.split(".")]
        if len(parts) == 4 and all(0 <= part <= 255 for part in parts):
            return
    except ValueError:
        pass
    _refuse(where, '"%s" is no address; write "192.0.2.7:20742"' % text)


def check(given):
    """The complete configuration of what stands in the file. Raises Mistake at the first thing that cannot be right."""
    _known(_object(given, "the file"), "", _NAMES)
    name = _text(given.get("name", ""), "name")
    if len(name.encode()) > NAME_MOST:
        _refuse("name", "at most %d bytes, this has %d" % (NAME_MOST, len(name.encode())))
    wifi = given.get("wifi")
    if wifi is not None:
        _known(_object(wifi, "wifi"), "wifi.", ("ssid", "password", "country"))
        if "ssid" not in wifi:
            _refuse("wifi.ssid", "it is missing")
        check_wifi(wifi["ssid"], wifi.get("password", ""))
        country = _text(wifi.get("country", ""), "wifi.country")
        if country and (len(country) != 2 or not country.isupper()):
            _refuse("wifi.country", 'two capital letters, such as "DE"')
    ppp = given.get("ppp")
    if ppp is not None:
        _known(_object(ppp, "ppp"), "ppp.", ("uart", "tx", "rx", "baud"))
        for each in ppp:
            _number(ppp[each], "ppp." + each, 0, 10_000_000)
    bootstrap = given.get("bootstrap", [])
    if not isinstance(bootstrap, list):
        _refuse("bootstrap", 'a list, ["192.0.2.7:20742"]')
    for at, text in enumerate(bootstrap):
        _check_address(text, "bootstrap[%d]" % at, True)
    profile = _object(given.get("profile", {}), "profile")
    for each in profile:
        _number(profile[each], "profile." + each, 0, 1 << 29)
    led = given.get("led")
    if led is not None and not isinstance(led, str):
        _number(led, "led", -64, 64)
    if "host" in given:
        _check_address(given["host"], "host")
    supervisor = dict(SUPERVISOR)
    _known(_object(given.get("supervisor", {}), "supervisor"), "supervisor.", list(SUPERVISOR))
    for each in given.get("supervisor", {}):
        supervisor[each] = _number(given["supervisor"][each], "supervisor." + each, 0, 1 << 29)
    return {
        "name": name,
        "wifi": wifi,
        "ppp": ppp,
        "host": given.get("host", ""),
        "port": _number(given.get("port", 0), "port", 0, 65535),
        "bootstrap": bootstrap,
        "profile": profile,
        "led": led,
        "app": _object(given.get("app", {}), "app"),
        "supervisor": supervisor,
    }


def parse(text):
    """The complete configuration in a text. Raises Mistake."""
    _check_brackets(text)  # MicroPython takes a file that was cut off for a whole one
    try:
        given = json.loads(text)
    except ValueError:
        squeezed = "".join(text.split())
        hint = "a missing comma, or a word without quotes"
        if ",}" in squeezed or ",]" in squeezed:
            hint = "a comma before a closing bracket"
        _refuse("this is not JSON", "look for " + hint)
    return check(given)


def _check_brackets(text):
    """Raise Mistake, with the line, where a quote or a bracket has no other half."""
    expected = []
    line = 1
    is_quoted = is_escaped = False
    for letter in text:
        if letter == "\n":
            if is_quoted:
                break
            line += 1
        elif is_quoted:
            is_quoted = is_escaped or letter != '"'
            is_escaped = not is_escaped and letter == "\\"
        elif letter == '"':
            is_quoted = True
        elif letter in "{[":
            expected.append("}" if letter == "{" else "]")
        elif letter in "}]" and (not expected or expected.pop() != letter):
            _refuse("line %d" % line, "a %s without its other half" % letter)
    if is_quoted:
        _refuse("line %d" % line, "a quote without its other half")
    if expected:
        _refuse("line %d" % line, "the file ends, and a %s is missing" % expected[-1])


def load():
    """The complete configuration of this board. Raises Mistake; without a file everything has its default."""
    try:
        with open(FILE) as file:
            text = file.read()
    except OSError:
        return check({})
    except ValueError:
        raise Mistake("%s: this is not a text in UTF-8" % FILE)
    return parse(text)


def save_wifi(ssid, password):
    """Put the Wi-Fi network into the file; all else that stands there stays. A file that cannot be read is kept as
    picoswarm.bad. Raises Mistake, OSError."""
    import os

    check_wifi(ssid, password)
    given = {}
    try:
        with open(FILE) as file:
            given = _object(json.load(file), "the file")
    except OSError:
        pass
    except (ValueError, Mistake):
        os.rename(FILE, "picoswarm.bad")
    wifi = given.get("wifi")
    given["wifi"] = wifi = wifi if isinstance(wifi, dict) else {}
    wifi["ssid"], wifi["password"] = ssid, password
    with open(FILE + ".new", "w") as file:
        json.dump(given, file)
        file.flush()
    try:
        os.rename(FILE + ".new", FILE)
    except OSError:  # FAT does not replace
        os.remove(FILE)
        os.rename(FILE + ".new", FILE)
