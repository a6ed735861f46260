"""`picoswarm flash` for boards with an RP2040 or RP2350: UF2 files to a drive, here a folder that looks like one."""

import json
import random

import pytest
from click.testing import CliRunner
from images import esp_firmware, pico_firmware
from picoswarm_tools.cli import main
from picoswarm_tools.shipping import picodrive
from picoswarm_tools.shipping.exits import Failed
from picoswarm_tools.shipping.uf2 import pages_of, read_uf2, write_uf2

RP2040_INFO = "UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\nBoard-ID: RPI-RP2\n"
RP2350_INFO = "UF2 Bootloader v1.0\nModel: Raspberry Pi RP2350\nBoard-ID: RP2350\n"


def drive(tmp_path, info=RP2040_INFO):
    folder = tmp_path / "drive"
    folder.mkdir()
    (folder / "INFO_UF2.TXT").write_text(info)
    return folder


def flash(tmp_path, port, data, board="RPI_PICO_W", *options):
    """(exit status, output) of the command."""
    image = tmp_path / "firmware.uf2"
    image.write_bytes(data)
    done = CliRunner().invoke(main, ["flash", board, str(port), str(image), *options])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.replace("│", " ").split())


def written(folder):
    return [path for path in folder.iterdir() if path.name != "INFO_UF2.TXT"]


def test_the_file_is_copied_whole_to_the_drive(tmp_path):
    data, folder = pico_firmware(size=70_000), drive(tmp_path)
    code, output = flash(tmp_path, folder, data, "RPI_PICO_W", "--json")
    assert code == 0 and json.loads(output)["chip"] == "RP2040"
    assert [path.read_bytes() for path in written(folder)] == [data]


def test_the_drive_that_waits_is_found(tmp_path, monkeypatch):
    folder = drive(tmp_path, RP2350_INFO)
    monkeypatch.setattr(picodrive, "mounted", lambda: [tmp_path, folder])
    code, output = flash(tmp_path, "auto", pico_firmware("RP2350"), "RPI_PICO2_W")
    assert code == 0 and len(written(folder)) == 1, output


@pytest.mark.parametrize(
    "board, image_chip, info, reason",
    [
        ("RPI_PICO_W", "RP2350", RP2040_INFO, "The image is for RP2350"),
        ("RPI_PICO2_W", "RP2040", RP2350_INFO, "The image is for RP2040"),
        ("RPI_PICO_W", "RP2040", RP2350_INFO, "The board there is an RP2350"),
        ("RPI_PICO2_W", "RP2350", RP2040_INFO, "The board there is an RP2040"),
    ],
)
def test_the_wrong_chip_is_refused_before_anything_is_written(tmp_path, board, image_chip, info, reason):
    folder = drive(tmp_path, info)
    code, output = flash(tmp_path, folder, pico_firmware(image_chip), board)
    assert code == 1 and reason in output, output
    assert written(folder) == []


def test_a_dry_run_writes_nothing(tmp_path):
    folder = drive(tmp_path)
    code, output = flash(tmp_path, folder, pico_firmware(), "RPI_PICO_W", "--dry-run")
    assert code == 0 and "Would write" in output and written(folder) == []


def test_a_folder_that_is_no_drive_is_no_device(tmp_path):
    code, output = flash(tmp_path, tmp_path, pico_firmware())
    assert code == 3 and "BOOTSEL" in output


def test_no_drive_at_all_is_no_device(tmp_path, monkeypatch):
    monkeypatch.setattr(picodrive, "mounted", lambda: [])
    monkeypatch.setattr("picoswarm_tools.shipping.flash.DRIVE_SECONDS", 0)
    assert flash(tmp_path, "auto", pico_firmware())[0] == 3


def test_an_image_that_does_not_fit_is_refused(tmp_path):
    data = write_uf2(pages_of(bytes(512), 2 << 20), 0xE48BFF56)
    code, output = flash(tmp_path, drive(tmp_path), data)
    assert code == 1 and "2048 KB" in output


@pytest.mark.parametrize(
    "data, reason",
    [
        (pico_firmware()[:-512], "cut"),
        (pico_firmware()[:-1], "512"),
        (esp_firmware()[:1024], "magic"),
        (pico_firmware(family=0xADA52840), "0xada52840"),
        (pico_firmware("RP2040", 256) + pico_firmware("RP2350", 256), "cut"),
        (b"", "no whole UF2"),
    ],
)
def test_what_is_no_whole_uf2_of_a_known_chip_is_refused(data, reason):
    with pytest.raises(Failed, match=reason):
        read_uf2(data)


def test_a_file_comes_back_as_the_bytes_it_was_made_of():
    noise = random.Random(5).randbytes(2000)
    image = read_uf2(write_uf2([*pages_of(noise, 0), *pages_of(b"end", 0x10000)], 0xE48BFF56))
    assert image.span(0, 2048) == noise + b"\xff" * 48
    assert image.span(0x10000, 0x10100) == b"end" + b"\xff" * 253 and image.end == 0x10100
    assert image.span(0x8000, 0x8100) == b"\xff" * 256


def test_the_absolute_block_of_an_rp2350_is_no_part_of_the_program():
    absolute = bytearray(write_uf2([(0xFFFF00, bytes(256))], 0xE48BFF57))
    image = read_uf2(bytes(absolute) + pico_firmware("RP2350"))
    assert image.chip.name == "RP2350" and image.end < 0x10000
