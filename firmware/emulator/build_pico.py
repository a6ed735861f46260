#!/usr/bin/env python3
"""Build what the emulated Pico needs into build/emulator: its firmware, its boot ROM, and the runner with rp2040js.

    build_pico.py [--non-root] [--library FOLDER]

The firmware is MicroPython's rp2 port for the board of boards/RPI_PICO_EMU: with lwIP and PPP in the place of Wi-Fi. With
--library the picoswarm of FOLDER is frozen into a second image, pico-frozen.bin, which is one link. Sources are pinned
archives of the distribution, and are cached in $XDG_CACHE_HOME or ~/.cache with what is built, so a second clone has it at
once.
"""

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BOARD = ROOT / "boards/RPI_PICO_EMU"
OUTPUT = ROOT / "build/emulator"
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE), str(HERE.parent / "micropython")]

import aptget  # noqa: E402
import archives  # noqa: E402
from targets import ToolError, Tools  # noqa: E402

PLAIN, FROZEN = "pico", "pico-frozen"
_BOARD_FILES = ("mpconfigboard.cmake", "mpconfigboard.h", "pins.csv")
_KEPT_BUILDS = 2
_KEPT_IMAGES = 4
_NODE_MAJOR = 18
_MANIFEST = 'freeze("$(PORT_DIR)/modules")\ninclude("$(MPY_DIR)/extmod/asyncio")\n'
_STARTED = time.monotonic()


def say(text):
    print("emulator %6.1f s  %s" % (time.monotonic() - _STARTED, text), flush=True)


def cache_folder():
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")).resolve()
    folder = base / "picoswarm/emulator"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def key_of(paths):
    """Names what files hold; folders are taken with all that is in them."""
    seen = hashlib.sha256()
    for path in sorted(p for given in paths for p in (given.rglob("*") if given.is_dir() else [given]) if p.is_file()):
        seen.update(b"%s\0%s\0" % (path.name.encode(), path.read_bytes()))
    return seen.hexdigest()[:16]


def run(command, what, environment=None, folder=None):
    """Run a command, telling of each hundredth step that ninja counts. Raises ToolError with its last lines."""
    process = subprocess.Popen(
        [str(part) for part in command],
        env=environment,
        cwd=str(folder) if folder else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = []
    for line in process.stdout:
        lines = [*lines[-40:], line.rstrip()]
        step = re.match(r"\[(\d+)/(\d+)\]", line)
        if step and int(step.group(1)) % 100 == 0:
            say("%s: %s of %s steps" % (what, *step.groups()))
    if process.wait():
        shown = [line[:300] for line in lines if "error" in line.lower()] or [line[:300] for line in lines]
        raise ToolError("%s: failed:\n  %s" % (what, "\n  ".join(shown[-8:])))


class Firmware:
    """The firmware's source and objects in a folder of the cache."""

    def __init__(self, folder, tools):
        self.folder = folder
        self._tools = tools
        self._environment = None

    def _prepare(self):
        """Compilers and sources."""
        if self._environment is not None:
            return
        tools = self._tools
        tools.prepare(["mpy-cross", "qemu-m0"])
        for name, package in (("cmake", "cmake"), ("ninja", "ninja-build")):
            if not shutil.which(name):
                tools.get([package], "the firmware of the emulated Pico")
        source = self.folder / "source"
        if not source.is_dir():
            scratch = self.folder / "source.part"
            shutil.rmtree(str(scratch), ignore_errors=True)
            found = archives.fetch(self.folder.parent / "archives", say)
            archives.unpack(found, scratch)
            os.replace(str(scratch), str(source))
        shim = self.folder / "shim"
        shim.mkdir(exist_ok=True)
        # The linker is told to take the C++ library, of which nothing is used.
        run(["arm-none-eabi-ar", "rc", shim / "libstdc++.a"], "empty library", tools.environment)
        stamp = int((source / "micropython/py/mpconfig.h").stat().st_mtime)
        more = ":".join([str(HERE / "shim"), *tools.arm_flags[1:]])
        self._environment = dict(
            tools.environment,
            CPLUS_INCLUDE_PATH=more,
            C_INCLUDE_PATH=":".join(tools.arm_flags[1:]),
            SOURCE_DATE_EPOCH=str(stamp),
            MICROPY_GIT_TAG="v1.26.1",
            MICROPY_GIT_HASH="source",
        )

    def image(self, name, library=None):
        """Build an image; returns the path of its .bin. `library`: the folder picoswarm that is frozen."""
        self._prepare()
        source, work = self.folder / "source", self.folder / "work"
        tree = source / "micropython"
        board = self.folder / BOARD.name  # a path of the cache's own: another checkout finds its objects up to date
        board.mkdir(exist_ok=True)
        for path in _BOARD_FILES:
            if not (board / path).is_file():  # the folder's name tells of any change
                shutil.copy2(str(BOARD / path), str(board / path))
        manifest = self.folder / "manifest.py"
        frozen = "package(%r, base_path=%r, opt=3)\n" % (library.name, str(library.parent)) if library else ""
        manifest.write_text(_MANIFEST + frozen)
        cross = self.folder / "mpy-cross"
        if not (cross / "mpy-cross").is_file():
            say("building mpy-cross")
            run(["make", "-s", "-j2", "-C", tree / "mpy-cross", "BUILD=%s" % cross], "mpy-cross", self._environment)
        options = {
            "PICO_NO_PICOTOOL": 1,
            "PICO_SDK_PATH_OVERRIDE": source / "sdk",
            "MICROPY_LIB_DIR": tree / "lib/micropython-lib",
            "MICROPY_BOARD": BOARD.name,
            "MICROPY_BOARD_DIR": board,
            "MICROPY_FROZEN_MANIFEST": manifest,
            "CMAKE_EXE_LINKER_FLAGS": "-L%s" % (self.folder / "shim"),
        }
        say("building %s.bin%s" % (name, "" if work.is_dir() else ": 500 files, a minute or two of one processor"))
        environment = dict(self._environment, MICROPY_MPYCROSS=str(cross / "mpy-cross"))
        command = ["cmake", "-S", tree / "ports/rp2", "-B", work, "-G", "Ninja"]
        # Neither is made again because a file is another one, only because it is younger: not so in a second checkout.
        (work / "frozen_content.c").unlink(missing_ok=True)
        shutil.rmtree(str(work / "frozen_mpy"), ignore_errors=True)
        run([*command, *("-D%s=%s" % item for item in options.items())], "cmake", environment)
        run(["ninja", "-C", work], name, environment)
        return work / "firmware.bin"


def build_rom(goal, tools):
    """The boot ROM, from firmware/emulator/rom."""
    tools.prepare(["qemu-m0"])
    rom = HERE / "rom"
    elf = goal.with_suffix(".elf")
    flags = "-mcpu=cortex-m0plus -mthumb -O2 -Wall -Werror -ffreestanding -ffixed-r12 -nostdlib -ffunction-sections"
    sources = ["-T", rom / "rom.ld", rom / "start.S", rom / "rom.c", "-lgcc", "-o", elf]
    options = [*flags.split(), "-fno-tree-loop-distribute-patterns", *tools.arm_flags]
    run(["arm-none-eabi-gcc", *options, *sources], "boot ROM", tools.environment)
    run(["arm-none-eabi-objcopy", "-O", "binary", elf, goal], "boot ROM", tools.environment)
    elf.unlink()


def install_runner(goal, tools):
    """The runner with its packages, as package-lock.json pins them."""
    if not (shutil.which("node") and shutil.which("npm")):
        tools.get(["nodejs", "npm"], "the emulator")
    found = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    if int(re.match(r"v(\d+)|", found).group(1) or 0) < _NODE_MAJOR:
        raise ToolError("the emulator needs Node.js %d or later, and there is %s" % (_NODE_MAJOR, found.strip() or "none"))
    scratch = goal.with_suffix(".part")
    shutil.rmtree(str(scratch), ignore_errors=True)
    shutil.copytree(str(HERE / "runner"), str(scratch), ignore=shutil.ignore_patterns("node_modules"))
    say("fetching rp2040js")
    run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], "npm ci", folder=scratch)
    os.replace(str(scratch), str(goal))


def publish(path, name):
    """Copy a file to the build folder, or link a folder there, unless it is there already."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    goal, scratch = OUTPUT / name, OUTPUT / (name + ".part")
    if path.is_dir():
        if not (goal.is_symlink() and os.readlink(str(goal)) == str(path)):
            scratch.unlink(missing_ok=True)
            scratch.symlink_to(path)
            os.replace(str(scratch), str(goal))
        return
    if not goal.is_file() or goal.read_bytes() != path.read_bytes():
        shutil.copy2(str(path), str(scratch))
        os.replace(str(scratch), str(goal))


def built(goal, make):
    """`goal`, which `make(path)` makes where it is not there."""
    if not goal.exists():
        goal.parent.mkdir(parents=True, exist_ok=True)
        scratch = goal.with_suffix(".new")
        make(scratch)
        os.replace(str(scratch), str(goal))
    os.utime(str(goal))
    return goal


def prune(cache, keep):
    """Builds of older states, and older images with the library: the latest few stay."""
    others = [p for p in cache.iterdir() if p.is_dir() and p.name not in ("archives", "runners", keep.name)]
    for path in sorted(others, key=lambda p: p.stat().st_mtime)[:-_KEPT_BUILDS]:
        shutil.rmtree(str(path), ignore_errors=True)
    for path in sorted((keep / "bin").glob(FROZEN + "-*"), key=lambda p: p.stat().st_mtime)[:-_KEPT_IMAGES]:
        path.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--non-root", action="store_true", help="install nothing, even as root")
    parser.add_argument("--library", type=Path, help="a folder picoswarm, which is frozen into a second image")
    options = parser.parse_args()
    cache = cache_folder()
    board = [BOARD / name for name in _BOARD_FILES]
    folder = cache / key_of([*HERE.glob("*.py"), HERE / "shim", HERE / "rom", *board])
    folder.mkdir(exist_ok=True)
    os.utime(str(folder))
    with open(str(cache / "lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build on this machine")
            fcntl.flock(lock, fcntl.LOCK_EX)
        tools = Tools(folder, options.non_root, say)
        firmware = Firmware(folder, tools)

        def image(name, library=None):
            return lambda goal: shutil.copy2(str(firmware.image(name, library)), str(goal))

        publish(built(folder / "bin/rom.bin", lambda goal: build_rom(goal, tools)), "rom.bin")
        runner = cache / "runners" / key_of([*(HERE / "runner").glob("*.*js*")])
        if not runner.is_dir():
            runner.parent.mkdir(exist_ok=True)
            install_runner(runner, tools)
        publish(runner, "runner")
        publish(built(folder / ("bin/%s.bin" % PLAIN), image(PLAIN)), PLAIN + ".bin")
        if options.library:
            library = options.library.resolve()
            goal = folder / ("bin/%s-%s.bin" % (FROZEN, key_of(library.glob("*.py"))))
            publish(built(goal, image(FROZEN, library)), FROZEN + ".bin")
        prune(cache, folder)
    say("ready in %s" % OUTPUT)


if __name__ == "__main__":
    try:
        main()
    except (ToolError, archives.SourceError, aptget.AptError) as trouble:
        sys.exit("emulator: %s" % trouble)
    except KeyboardInterrupt:
        sys.exit("emulator: interrupted")
