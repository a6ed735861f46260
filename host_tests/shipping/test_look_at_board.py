"""`picoswarm doctor`, `monitor`, `up`, `checklist` and Improv: on a 32-bit MicroPython at a pty, and the firmware's own
Improv service at another."""

import dataclasses
import json
import os
import pty
import threading
import time
import tty

import pytest
from click.testing import CliRunner
from images import esp_firmware
from picoswarm_tools.cli import main
from picoswarm_tools.shipping import board as boards
from picoswarm_tools.shipping import doctor, payload, up
from picoswarm_tools.shipping.exits import Failed
from picoswarm_tools.shipping.fit import lacks_heap
from picoswarm_tools.shipping.improv import Client, codec
from picoswarm_tools.shipping.payload import File
from picoswarm_tools.shipping.provisioning import with_settings
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
    environment = {"PICOSWARM_WIFI_PASSWORD": "correct horse"}
    done = CliRunner().invoke(main, [str(word) for word in arguments], env=environment)
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
    assert code == 0 and "has no Wi-Fi yet" in json.loads(output)["said"], output
    command += ["--wifi", "home"]
    code, output = run(*command)
    assert code == 0, output
    facts = json.loads(output)
    assert facts["said"].endswith("kitchen") and facts["provision"]["written"]
    assert "picoswarm monitor" in next_step()
    again = json.loads(run(*command)[1])
    assert not again["deploy"]["written"] and not again["provision"]["written"]


def test_a_dry_run_of_it_makes_no_mesh_and_leaves_the_board_blank(there, small, tmp_path):
    command = ["up", small, there.port, "--folder", tmp_path / "mesh", "--timeout", 20, "--dry-run", "--json"]
    code, output = run(*command)
    assert code == 0 and not json.loads(output)["provision"]["written"], output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flash", "flash.rom"]


def test_a_board_without_room_for_the_library_is_told_before_anything_is_written(there, tmp_path, monkeypatch):
    esp = dataclasses.replace(next(each for each in boards.all_boards() if each.name == "ESP32_GENERIC"), arch="x86")
    monkeypatch.setattr(boards, "all_boards", lambda: [esp])
    command = ["up", esp.name, there.port, "--folder", tmp_path / "mesh"]
    code, output = run(*command)
    said = " ".join(output.split())
    assert code == 1 and "Nothing was written" in said and "picoswarm firmware ESP32_GENERIC" in said, output
    assert "--romfs" in said and "--discovery" in said and not (tmp_path / "mesh").exists()
    stock, frozen = tmp_path / "stock.bin", tmp_path / "frozen.bin"
    stock.write_bytes(esp_firmware())
    frozen.write_bytes(esp_firmware() + b"picoswarm/errors.py\0")
    assert "Nothing was written" in run(*command, "--image", stock)[1]
    flashed = []
    monkeypatch.setattr(up, "flash_image", lambda board, port, data, **more: flashed.append(data) or {})
    assert run(*command, "--image", frozen, "--dry-run")[0] == 0 and flashed
    assert run(*command, "--image", stock, "--discovery", "--dry-run")[0] == 0


def test_memory_beside_the_chip_is_room_enough():
    known = {each.name: each for each in boards.all_boards()}
    esp, pico, emulated = (known[name] for name in ("ESP32_GENERIC", "RPI_PICO_W", "RPI_PICO_EMU"))
    assert lacks_heap(esp, False) and lacks_heap(esp, False, 160_000) and not lacks_heap(esp, True)
    assert not lacks_heap(esp, False, 4_000_000) and not lacks_heap(pico, False, 150_000)
    assert not lacks_heap(emulated, False, 180_000) and not lacks_heap(emulated, True, 180_000)


def test_a_node_that_only_discovers_gets_the_library_by_parts():
    board = next(each for each in boards.all_boards() if each.name == "RPI_PICO_W")
    forms = (dataclasses.replace(board, form=form) for form in ("", "discovery"))
    whole, parts = ({file.path: file.data for file in payload.library(each)} for each in forms)
    of_overlays = {path for path in whole | parts if path.startswith("/lib/picoswarm/cold")}
    assert whole.keys() - of_overlays == parts.keys() - of_overlays and of_overlays <= whole.keys()
    # A program that has no sessions loads no code of sessions.
    assert len(parts["/lib/picoswarm/compat.mpy"]) < len(whole["/lib/picoswarm/compat.mpy"]) / 2


def test_discovery_alone_is_one_setting_among_the_others():
    board = boards.all_boards()[0]
    more = up.settings_of(board, None, None, (), is_discovery=True)["more"]
    assert with_settings({"profile": {"records": 32}, "name": "x"}, None, None, (), more) == {
        "profile": {"records": 32, "links": 0},
        "name": "x",
    }


def test_a_pico_that_is_asked_to_go_to_bootsel_mode_is_found_at_its_old_port(there, small, tmp_path, monkeypatch):
    monkeypatch.setattr(up, "usb_ports", lambda: [(there.port, "Raspberry Pi")])
    monkeypatch.setattr(up, "flash_image", lambda *_, **more: {"drive": "/media/RPI-RP2"})
    image = tmp_path / "firmware.uf2"
    image.write_bytes(b"picoswarm/errors")
    command = ["up", small, there.port, "--image", image, "--folder", tmp_path / "mesh", "--wifi", "home", "--name", "den"]
    code, output = run(*command, "--timeout", 20, "--json")
    assert code == 0 and json.loads(output)["port"] == there.port, output


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


def test_what_a_tool_types_while_a_board_starts_again_is_read_by_its_next_start(there):
    starts = there.starts
    os.write(there._slave, b"\x01import machine\nmachine.reset()\n\x04\r\x03\r\x01print('here')\x04")
    wait_for(lambda: b"here" in there.said)
    assert there.starts == starts + 1


def wait_for(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    assert condition()


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
