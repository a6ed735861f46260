"""`picoswarm doctor`, `monitor`, `up`, `checklist` and Improv: on a 32-bit MicroPython at a pty, and the firmware's own
Improv service at another."""

import json
import os
import pty
import threading
import tty

import pytest
from click.testing import CliRunner
from picoswarm_tools.cli import main
from picoswarm_tools.shipping import board as boards
from picoswarm_tools.shipping import doctor, payload
from picoswarm_tools.shipping.exits import Failed
from picoswarm_tools.shipping.improv import Client, codec
from picoswarm_tools.shipping.payload import File
from pty_board import PtyBoard

MAIN = b"""
import json, picoswarm
try:
    print("network: this board is", json.load(open("/picoswarm.json"))["name"])
except OSError:
    print("network: this board is nobody")
"""


@pytest.fixture
def there(tmp_path):
    with PtyBoard(tmp_path / "flash") as board:
        yield board


@pytest.fixture
def small(monkeypatch):
    """A board whose library is one module, and whose firmware says at once that it is on its network."""
    made = boards.Board("SMALL", "of the tests", boards.CHIPS["ESP32"], "x86", 4 << 20, {})
    monkeypatch.setattr(boards, "all_boards", lambda: [made])
    monkeypatch.setattr(payload, "library", lambda board: [File("/lib/picoswarm/__init__.py", b"Node = object\n")])
    landing = File("/landing.py", (payload.FIRMWARE / "landing.py").read_bytes())
    monkeypatch.setattr(payload, "firmware", lambda board: [landing, File("/main.py", MAIN)])
    return made.name


def run(*arguments):
    """(exit status, output) of a command."""
    done = CliRunner().invoke(main, [str(word) for word in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output.replace("│", " ")


def test_a_blank_board_is_up_in_one_command_and_the_doctor_says_what_is_next(there, small, tmp_path):
    def next_step():
        code, output = run("doctor", there.port, "--json")
        assert code == 0, output
        return json.loads(output)[0]["next"]

    assert "picoswarm deploy" in next_step()
    command = ["up", small, there.port, "--folder", tmp_path / "mesh", "--name", "kitchen", "--timeout", 20, "--json"]
    code, output = run(*command)
    assert code == 0, output
    facts = json.loads(output)
    assert facts["said"].endswith("kitchen") and facts["deploy"]["written"] and facts["provision"]["written"]
    assert "picoswarm monitor" in next_step()
    again = json.loads(run(*command)[1])
    assert not again["deploy"]["written"] and not again["provision"]["written"]


def test_the_doctor_knows_what_each_board_lacks():
    whole = {"port": "P", "version": "1.26.1", "library": 80, "network_key": True, "configured": True}
    for change, wanted in (
        ({}, "monitor"),
        ({"version": "1.22.0"}, "flash"),
        ({"library": 0}, "deploy"),
        ({"network_key": False}, "provision"),
        ({"configured": False}, "--wifi"),
    ):
        assert wanted in doctor.advice(whole | change, "RPI_PICO_W")
    assert doctor.fitting({"machine": "Raspberry Pi Pico 2 W with RP2350"}) == "RPI_PICO2_W"
    assert doctor.fitting({"machine": "Generic ESP32C3 module with ESP32C3"}) == "ESP32_GENERIC_C3"
    assert doctor.fitting({"machine": "Generic ESP32 module with ESP32"}) == "ESP32_GENERIC"


def test_no_board_at_all_is_no_device_and_says_why_that_may_be(monkeypatch):
    monkeypatch.setattr(doctor, "usb_ports", lambda: [])
    monkeypatch.setattr(doctor, "drives", lambda: [])
    code, output = run("doctor")
    assert code == 3 and "dialout" in output


def test_the_monitor_shows_lines_until_a_text_or_a_time(there):
    program = b"import time\nwhile True:\n    print('tick')\n    time.sleep(0.05)\n"
    os.write(there._slave, b"\x01" + program + b"\x04")  # as a tool would send it
    code, output = run("monitor", there.port, "--until", "tick", "--seconds", 20, "--json")
    assert code == 0 and json.loads(output.splitlines()[-1])["line"].endswith("tick"), output
    code, output = run("monitor", there.port, "--until", "never", "--seconds", 0.3)
    assert code == 4 and "never" in output
    assert run("monitor", there.port + "99")[0] == 3


def test_the_checklist_prints_a_table_that_says_what_worked_and_what_failed(there, small):
    code, output = run("checklist", small, there.port, "--no-questions", "--timeout", 20)
    assert code == 0, output
    for row in ("| deploy | ok |", "| deploy again copies nothing | ok | 3 files", "| the library is imported | ok |"):
        assert row in output
    assert "| it starts and joins its network | ok | network: this board is nobody" in output and "| not tried |" in output
    code, output = run("checklist", small, there.port + "99", "--no-questions", "--timeout", 1)
    assert code == 1 and "| MicroPython answers | **failed** |" in output


@pytest.fixture
def improv_port():
    """A port with the firmware's Improv service, that can join the network `home` and no other; console text in between."""
    code = codec()
    service = code.Service(["picoswarm", "0", "chip", "kitchen"], "http://192.0.2.9")
    master, slave = pty.openpty()
    tty.setraw(slave)

    def serve():
        while True:
            try:
                data = os.read(master, 64)
            except OSError:
                return
            for byte in data:
                out = service.receive(byte)
                if service.wish:
                    out += b"Wi-Fi: trying\r\n"
                    out += service.connected() if service.wish[1:] == ("home", "correct horse") else service.failed()
                if out:
                    os.write(master, out)

    threading.Thread(target=serve, daemon=True).start()
    yield os.ttyname(slave)
    os.close(slave)
    os.close(master)


def test_a_running_board_is_told_its_network_by_improv(improv_port, monkeypatch):
    monkeypatch.setenv("PICOSWARM_WIFI_PASSWORD", "correct horse")
    code, output = run("provision", "--port", improv_port, "--wifi", "home", "--improv", "--json")
    assert code == 0 and json.loads(output)["url"] == "http://192.0.2.9", output


def test_a_network_that_cannot_be_joined_is_a_failure(improv_port):
    with Client(improv_port) as client, pytest.raises(Failed, match="cannot join"):
        client.join("other", "correct horse")


def test_nobody_who_speaks_improv_is_no_device(there, monkeypatch):
    monkeypatch.setenv("PICOSWARM_WIFI_PASSWORD", "correct horse")
    monkeypatch.setattr("picoswarm_tools.shipping.improv.Client.state.__defaults__", (0.3,))
    code, output = run("provision", "--port", there.port, "--wifi", "home", "--improv")
    assert code == 3 and "--improv" in output
