"""`picoswarm flash` for ESP32 boards, against a fake ROM loader at a pty: what is written, what is refused and when, and how
a cut link ends."""

import json

import pytest
from click.testing import CliRunner
from fake_esp import FakeEsp
from images import PARTITIONS, esp_firmware
from picoswarm_tools.cli import main

BY_CHIP = {"ESP32": "ESP32_GENERIC", "ESP32-C3": "ESP32_GENERIC_C3", "ESP32-S3": "ESP32_GENERIC_S3"}


def flash(tmp_path, esp, data, board="ESP32_GENERIC", *options):
    """(exit status, output) of the command as a user gives it, but for the reset lines that a pty has not."""
    image = tmp_path / "firmware.bin"
    image.write_bytes(data)
    done = CliRunner().invoke(
        main, ["flash", board, esp.port, str(image), "--before", "no-reset", "--after", "no-reset", *options]
    )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output if "--json" in options else unboxed(done.output)


def unboxed(output):
    """What a message says, without the box around it and the line ends in it, which are where the terminal has them."""
    return " ".join(output.replace("│", " ").split())


def holds(esp, data, start):
    """Whether each page of an image that is not erased stands in the flash."""
    pages = range(0, len(data), 4096)
    return all(
        esp.flash[start + at : start + at + len(data[at : at + 4096])] == data[at : at + 4096]
        for at in pages
        if data[at : at + 4096].strip(b"\xff")
    )


@pytest.mark.parametrize("chip, start", [("ESP32", 0x1000), ("ESP32-C3", 0), ("ESP32-S3", 0)])
def test_an_image_is_written_and_verified_through_the_stub(tmp_path, chip, start):
    data = esp_firmware(chip)
    with FakeEsp(chip, flash=8 << 20) as esp:
        code, output = flash(tmp_path, esp, data, BY_CHIP[chip], "--json")
        assert code == 0, output
        assert holds(esp, data, start)
        assert esp.is_stub and esp.bauds == [460800]
        facts = json.loads(output)
        assert (facts["chip"], facts["written"], facts["flash_bytes"]) == (chip, True, 8 << 20)


def test_the_rom_alone_writes_it_too(tmp_path):
    data = esp_firmware()
    with FakeEsp() as esp:
        code, output = flash(tmp_path, esp, data, "ESP32_GENERIC", "--no-stub")
        assert code == 0, output
        assert holds(esp, data, 0x1000) and not esp.is_stub
        assert "Wrote and verified" in output


def test_what_a_board_keeps_in_nvs_and_in_its_files_stays(tmp_path):
    with FakeEsp() as esp:
        assert flash(tmp_path, esp, esp_firmware())[0] == 0
        assert esp.flash[0x9000:0x10000] == b"\xa5" * 0x7000
        assert esp.flash[0x200000:] == b"\xa5" * 0x200000


def test_erase_all_leaves_nothing_behind(tmp_path):
    with FakeEsp() as esp:
        assert flash(tmp_path, esp, esp_firmware(), "ESP32_GENERIC", "--erase-all")[0] == 0
        assert esp.erased[0] == (0, len(esp.flash))
        assert esp.flash[0x9000:0x10000] == b"\xff" * 0x7000


def test_a_dry_run_erases_nothing_and_says_what_would_be(tmp_path):
    with FakeEsp() as esp:
        code, output = flash(tmp_path, esp, esp_firmware(), "ESP32_GENERIC", "--dry-run")
        assert code == 0 and "Would write" in output and "0x00001000" in output
        assert esp.erased == [] and esp.flash == b"\xa5" * len(esp.flash)


@pytest.mark.parametrize(
    "image_chip, board, chip, reason",
    [
        ("ESP32-C3", "ESP32_GENERIC", "ESP32", "The image is for ESP32-C3"),
        ("ESP32-S3", "ESP32_GENERIC_S3", "ESP32", "The chip there is ESP32,"),
        ("ESP32", "ESP32_GENERIC", "ESP32-C3", "ESP32_GENERIC has ESP32"),
    ],
)
def test_the_wrong_chip_is_refused_before_anything_is_erased(tmp_path, image_chip, board, chip, reason):
    with FakeEsp(chip) as esp:
        code, output = flash(tmp_path, esp, esp_firmware(image_chip), board)
        assert code == 1 and reason in output.replace("\n", " "), output
        assert esp.erased == [] and esp.flash == b"\xa5" * len(esp.flash)


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"\x7fELF" + bytes(100), "no ESP firmware image"),
        (esp_firmware()[0xF000:], "no partition table"),
        (esp_firmware(inner="ESP32-S3"), "a program for ESP32-S3"),
    ],
)
def test_what_is_no_whole_image_is_refused_before_the_port_is_opened(tmp_path, data, reason):
    with FakeEsp() as esp:
        code, output = flash(tmp_path, esp, data)
        assert code == 1 and reason in " ".join(output.split()), output
        assert esp.erased == []


def test_an_image_for_more_flash_than_there_is_is_refused(tmp_path):
    with FakeEsp(flash=2 << 20) as esp:
        code, output = flash(tmp_path, esp, esp_firmware(partitions=PARTITIONS))
        assert code == 1 and "4096 KB" in output and esp.erased == []


def test_a_cell_that_does_not_keep_its_bit_is_found_by_the_check(tmp_path):
    with FakeEsp(worn=0x10100) as esp:
        code, output = flash(tmp_path, esp, esp_firmware())
        assert code == 1 and "MD5" in output, output


def test_a_link_that_is_cut_while_writing_is_a_failure_that_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("esptool.cmds.DEFAULT_CONNECT_ATTEMPTS", 1)  # it waits 7 s for the board to come back
    with FakeEsp(cut_after=1) as esp:
        code, output = flash(tmp_path, esp, esp_firmware(), "ESP32_GENERIC", "--no-stub")
        assert code == 1 and "flash it again" in " ".join(output.split()), output
        assert esp.erased


def test_a_chip_that_falls_silent_is_a_timeout(tmp_path, monkeypatch):
    monkeypatch.setattr("esptool.loader.DEFAULT_TIMEOUT", 0.3)
    monkeypatch.setattr("esptool.loader.ESPLoader.flash_block.__defaults__", (0.3, False))
    with FakeEsp(silent_after=2) as esp:
        code, output = flash(tmp_path, esp, esp_firmware(), "ESP32_GENERIC", "--no-stub")
        assert code == 4 and "stopped answering" in output, output


def test_no_port_and_no_chip_are_no_device(tmp_path):
    class Nowhere:
        port = str(tmp_path / "ttyUSB9")

    code, output = flash(tmp_path, Nowhere, esp_firmware())
    assert code == 3 and "No ESP chip answers at" in output, output
    with FakeEsp(silent_after=0) as esp:
        code, output = flash(tmp_path, esp, esp_firmware())
        assert code == 3 and "BOOT" in output, output


def test_an_unknown_board_is_wrong_usage(tmp_path):
    with FakeEsp() as esp:
        code, output = flash(tmp_path, esp, esp_firmware(), "ESP99")
        assert code == 2 and "ESP32_GENERIC" in output
