"""`picoswarm image`: one file with firmware and file system, and what a MicroPython finds in it."""

import json
import struct
import subprocess

import pytest
from click.testing import CliRunner
from images import esp_firmware, pico_firmware
from picoswarm_tools.cli import main
from picoswarm_tools.runtimes import find
from picoswarm_tools.shipping.board import all_boards
from picoswarm_tools.shipping.espimage import read_image
from picoswarm_tools.shipping.exits import Failed
from picoswarm_tools.shipping.filesystem import Region, by_firmware, by_map, littlefs
from picoswarm_tools.shipping.image import joined
from picoswarm_tools.shipping.payload import File
from picoswarm_tools.shipping.uf2 import FLASH_AT, pages_of, read_uf2, write_uf2

FILES = [File("/boot.py", b"ANSWER = 42\n"), File("/lib/deep/er/mod.py", b"BIG = %r\n" % (b"x" * 9000))]
# Mounts a file as the flash of a board and prints what is in it.
LOOK = """
import os, sys, vfs
class Flash:
    def __init__(self, path):
        self.data = bytearray(open(path, "rb").read())
    def readblocks(self, block, buf, offset=0):
        at = block * 4096 + offset
        buf[:] = self.data[at : at + len(buf)]
    def writeblocks(self, block, buf, offset=0):
        at = block * 4096 + offset
        self.data[at : at + len(buf)] = buf
    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // 4096
        if op == 5:
            return 4096
        return 0
flash = Flash(sys.argv[1])
vfs.umount("/")
vfs.mount(vfs.VfsLfs2(flash, progsize=256), "/")
sys.path[:] = ["", "/lib"]
import boot
from deep.er import mod
open("/more.txt", "w").write("written")
print(boot.ANSWER, len(mod.BIG), sorted(os.listdir("/")))
"""


def board(name):
    return next(each for each in all_boards() if each.name == name)


def seen_by_micropython(tmp_path, flash):
    """What a MicroPython prints that has these bytes as its file system."""
    path, program = tmp_path / "flash", tmp_path / "look.py"
    path.write_bytes(flash)
    program.write_text(LOOK)
    done = subprocess.run(
        [find("micropython"), "-X", "heapsize=16m", program, path], capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip() or done.stderr


ALL_THERE = "42 9000 ['boot.py', 'lib', 'more.txt']"


@pytest.mark.parametrize("chip, name", [("ESP32", "ESP32_GENERIC"), ("ESP32-C3", "ESP32_GENERIC_C3")])
def test_an_esp_image_has_firmware_and_files_at_their_places(tmp_path, chip, name):
    firmware = esp_firmware(chip)
    data, region = joined(board(name), firmware, FILES)
    image = read_image(data)
    assert data[: len(firmware)] == firmware and region == Region(0x200000, 0x200000)
    files = data[region.at - image.start :].ljust(region.size, b"\xff")
    assert seen_by_micropython(tmp_path, files) == ALL_THERE
    # Flashing it leaves NVS alone, and brings the files.
    assert [at for at, _ in image.regions()] == [image.start, 0x10000] or image.regions()[-1][0] <= region.at
    assert not any(at <= 0x9000 < at + len(part) for at, part in image.regions())


def test_a_uf2_image_has_firmware_and_files_at_their_places(tmp_path):
    firmware = pico_firmware("RP2350", 50_000)
    data, region = joined(board("RPI_PICO2_W"), firmware, FILES)
    image = read_uf2(data)
    assert image.chip.name == "RP2350" and region == by_map(board("RPI_PICO2_W"))
    assert image.span(0, 50_000 // 256 * 256) == read_uf2(firmware).span(0, 50_000 // 256 * 256)
    assert seen_by_micropython(tmp_path, image.span(region.at, region.at + region.size)) == ALL_THERE


def info_firmware(at, size):
    """A firmware that says where its file system is, as the Pico SDK has it say so."""
    flash = bytearray(8192)
    table, entry = 0x1000, 0x1100
    struct.pack_into("<5I", flash, 0x118, 0x7188EBF2, FLASH_AT + table, FLASH_AT + table + 8, 0, 0xE71AA390)
    struct.pack_into("<2I", flash, table, FLASH_AT + 0x1080, FLASH_AT + entry)
    struct.pack_into("<HHI", flash, 0x1080, 6, 0x5052, 0)  # a text
    struct.pack_into("<HHIIIIH", flash, entry, 7, 0x504D, FLASH_AT, FLASH_AT + at, size, 0, 0)
    return bytes(flash)


def test_a_firmware_that_tells_where_its_files_are_is_believed(tmp_path):
    flash = info_firmware(0x40000, 0x20000)
    assert by_firmware(flash) == Region(0x40000, 0x20000)
    assert by_firmware(bytes(8192)) is None
    data, region = joined(board("RPI_PICO_W"), write_uf2(pages_of(flash, 0), 0xE48BFF56), FILES)
    assert region.at == 0x40000 and read_uf2(data).span(0, 8192) == flash


def test_the_firmware_of_another_chip_is_refused():
    with pytest.raises(Failed, match="RP2350"):
        joined(board("RPI_PICO_W"), pico_firmware("RP2350"), FILES)
    with pytest.raises(Failed, match="ESP32-S3"):
        joined(board("ESP32_GENERIC"), esp_firmware("ESP32-S3"), FILES)


def test_files_that_do_not_fit_are_refused():
    with pytest.raises(Failed, match="fit"):
        littlefs([File("/big", bytes(100_000))], 64 << 10)


def test_the_command_makes_an_image_with_the_library_and_without_keys(tmp_path):
    firmware, output = tmp_path / "firmware.bin", tmp_path / "out.bin"
    firmware.write_bytes(esp_firmware("ESP32-C3"))
    done = CliRunner().invoke(main, ["image", "ESP32_GENERIC_C3", str(firmware), "-o", str(output), "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.output)
    assert facts["files"] > 80 and facts["bytes"] == output.stat().st_size
    image = read_image(output.read_bytes())
    assert b"swarm" not in image.data[facts["file_system_at"] : facts["file_system_at"] + 64]


@pytest.mark.parametrize(
    "name, level",
    [("RPI_PICO_EMU", "built and run here"), ("RPI_PICO_W", "built here, not run"), ("ESP32_GENERIC", "recipe only")],
)
def test_how_far_a_firmware_was_tried_is_said(name, level):
    done = CliRunner().invoke(main, ["firmware", name, "--json"])
    facts = json.loads(done.output)
    assert facts["level"] == level and facts["steps"]
