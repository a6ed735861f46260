"""What is built (the targets, their flags) and with what (the compilers, and how to come by them)."""

import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple, Tuple

import aptget
import sources

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parents[1] / "lib/picoswarm"

_UNIX = "MICROPY_PY_FFI=0 MICROPY_PY_BTREE=0 MICROPY_PY_SSL=1 MICROPY_SSL_MBEDTLS=1 MICROPY_SSL_AXTLS=0".split()
_HEAP_LOCKED = "CFLAGS_EXTRA=-DMICROPY_PY_MICROPYTHON_HEAP_LOCKED=1"
# The whole heap of the largest board profile fits, and the native code of every kernel besides.
_QEMU = ["FROZEN_MANIFEST=", "MICROPY_HEAP_SIZE=1048576", _HEAP_LOCKED]


class Target(NamedTuple):
    """One binary: its name in build/micropython, its folder in the source, what make leaves and what make is told."""

    output: str
    folder: str
    made: str
    flags: Tuple[str, ...]
    is_frozen: bool = False  # the device library is in it


_ARM = ("gcc-arm-none-eabi", "libnewlib-arm-none-eabi")
_QEMU_PACKAGE = "qemu-system-arm"

FROZEN = "unix32-frozen"
TARGETS = {
    "mpy-cross": Target("mpy-cross", "mpy-cross", "mpy-cross", ()),
    "unix32": Target("micropython", "ports/unix", "micropython", (*_UNIX, _HEAP_LOCKED)),
    # The same objects but for the frozen code, so that it costs a link: see `Tools.make`.
    FROZEN: Target(
        "micropython-frozen", "ports/unix", "micropython", (*_UNIX, _HEAP_LOCKED, "MPY_CROSS_FLAGS=-march=x86"), True
    ),
    "unix64": Target("micropython64", "ports/unix", "micropython", (*_UNIX, _HEAP_LOCKED)),
    "qemu-m3": Target("qemu-m3.elf", "ports/qemu", "firmware.elf", ("BOARD=MPS2_AN385", *_QEMU)),
    "qemu-m0": Target(
        "qemu-m0.elf", "ports/qemu", "firmware.elf", ("BOARD=CM0P", "BOARD_DIR=%s/boards/CM0P" % HERE, *_QEMU)
    ),
}


class ToolError(Exception):
    """A compiler is missing or does not work; the message ends with the command that mends it."""


class Tools:
    """The compilers for a set of targets; `prepare` makes them work or says how to."""

    def __init__(self, folder, non_root, say, library=LIBRARY):
        """`folder`: where packages are unpacked when they cannot be installed. `library`: the sources to be frozen."""
        self.library = library
        self._folder = folder
        self._install = os.geteuid() == 0 and not non_root
        self._say = say
        self._cc32 = ["gcc", "-m32"]
        self._ldflags32 = []
        self.arm_flags = []
        # make must not hear what an outer make or the user's shell says about flags and folders.
        kept = ("PATH", "HOME", "TMPDIR")
        self.environment = dict({k: v for k, v in os.environ.items() if k in kept}, LC_ALL="C")

    def prepare(self, names):
        """Make sure that every compiler which the targets `names` need builds and links. Raises ToolError."""
        if not (shutil.which("gcc") and shutil.which("make") and _links(["gcc"], [])):
            self.get(["gcc", "libc6-dev", "make"], "gcc and make")
        if any(name.startswith("unix32") for name in names) and not _links(self._cc32, []):
            self._prepare_32bit()
        if any(name.startswith("qemu") for name in names):
            self._prepare_arm()

    def get(self, packages, what):
        """Install what is missing of `packages`."""
        mend = "run `apt-get install %s` as root" % " ".join(packages)
        if not self._install or not shutil.which("apt-get"):
            raise ToolError("%s cannot build here: %s" % (what, mend))
        wanted = aptget.missing(packages)
        self._say("apt-get install " + " ".join(wanted))
        try:
            aptget.install(wanted)
        except aptget.AptError as trouble:
            raise ToolError("%s cannot build here: %s\n%s" % (what, trouble, mend)) from trouble

    def _unpacked(self, name, packages, what):
        """The folder with `packages` unpacked, fetched when it is not there."""
        root = self._folder / name
        if not root.is_dir():
            self._say("unpacking %s (not installing: no root)" % ", ".join(packages))
            try:
                aptget.unpack(root, packages)
            except aptget.AptError as trouble:
                command = "run `apt-get install %s` as root" % " ".join(packages)
                raise ToolError("%s cannot build here: %s\n%s" % (what, trouble, command)) from trouble
        return root

    def _prepare_32bit(self):
        machine = platform.machine()
        if machine not in ("x86_64", "i686"):
            raise ToolError("no 32-bit unix build on %s: set MICROPYTHON to a 32-bit micropython binary" % machine)
        if self._install:
            self.get(["gcc-multilib"], "gcc -m32")
        else:
            root = self._unpacked("root-m32", ["gcc-multilib"], "gcc -m32")
            libgcc = next(root.glob("usr/lib/gcc/x86_64-linux-gnu/*/32"), root)
            own = "/usr/include/x86_64-linux-gnu"
            for folder in (own, str(root) + own, str(root / "usr/include")):
                self._cc32 += ["-isystem", folder]
            for folder in (root / "usr/lib32", libgcc):
                self._cc32 += ["-B%s/" % folder, "-L%s" % folder]
            self._ldflags32 = ["-static"]
        if not _links(self._cc32, self._ldflags32):
            raise ToolError(
                "gcc -m32 builds no program that runs here: run `apt-get install gcc-multilib` as root, "
                "or set MICROPYTHON to a 32-bit micropython binary"
            )

    def _prepare_arm(self):
        """Cross compiler with newlib; an unpacked one is put on the path that make sees."""
        if _compiles(["arm-none-eabi-gcc"], self.environment):
            return
        if self._install:
            self.get(list(_ARM), "the Cortex-M firmware for qemu")
        else:
            root = self._unpacked("root-arm", list(_ARM), "the Cortex-M firmware for qemu")
            self.environment["LD_LIBRARY_PATH"] = _library_path(root)
            self.environment["PATH"] = "%s:%s" % (root / "usr/bin", self.environment["PATH"])
            self.arm_flags = ["-isystem", str(root / "usr/include/newlib")]
        if not _compiles(["arm-none-eabi-gcc", *self.arm_flags], self.environment):
            raise ToolError("arm-none-eabi-gcc cannot compile here: run `apt-get install %s` as root" % " ".join(_ARM))

    def prepare_qemu(self, script):
        """Make sure that there is a qemu-system-arm: on the path, or `script`, which runs an unpacked one."""
        if shutil.which(_QEMU_PACKAGE):
            return
        if self._install:
            self.get([_QEMU_PACKAGE], "running the Cortex-M firmware")
            return
        root = self._unpacked("root-qemu", [_QEMU_PACKAGE], "running the Cortex-M firmware")
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(
            '#!/bin/sh\nexport LD_LIBRARY_PATH="%s"\nexec "%s" -L "%s" "$@"\n'
            % (_library_path(root), root / "usr/bin" / _QEMU_PACKAGE, root / "usr/share/qemu")
        )
        script.chmod(0o755)

    def drop_compilers(self):
        """Delete the unpacked cross compiler: a gigabyte that is not needed again before these scripts change."""
        shutil.rmtree(str(self._folder / "root-arm"), ignore_errors=True)

    def make(self, name, tree, build, mpy_cross):
        """Build target `name` of the source `tree` in folder `build`; returns the path of the binary."""
        target = TARGETS[name]
        flags = list(target.flags)
        if name != "mpy-cross":
            flags += ["MICROPY_MPYCROSS=%s" % mpy_cross, "MICROPY_MPYCROSS_DEPENDENCY="]
        if target.folder == "ports/unix":
            manifest = build.with_name(build.name + ".manifest.py")
            frozen = 'include("$(MPY_DIR)/extmod/asyncio")\n'
            if target.is_frozen:
                frozen += "package(%r, base_path=%r, opt=3)\n" % (self.library.name, str(self.library.parent))
            manifest.write_text(frozen)
            # Another checkout may have left its own here, younger than these sources.
            shutil.rmtree(str(build / "frozen_mpy"), ignore_errors=True)
            flags.append("FROZEN_MANIFEST=%s" % manifest)
        if name.startswith("unix32"):
            flags.append("CC=" + " ".join(map(shlex.quote, self._cc32)))
            flags += ["LDFLAGS_EXTRA=" + " ".join(self._ldflags32)] if self._ldflags32 else []
        if self.arm_flags and name.startswith("qemu"):
            flags = [flag + " " + " ".join(self.arm_flags) if flag == _HEAP_LOCKED else flag for flag in flags]
        command = ["make", "-s", "-j%d" % max(2, os.cpu_count() or 2), "-C", str(tree / target.folder)]
        stamp = tree / "py/mpconfig.h"
        environment = dict(
            self.environment,
            SOURCE_DATE_EPOCH=str(int(stamp.stat().st_mtime)),
            GIT_CEILING_DIRECTORIES=str(tree.parent),
        )
        done = subprocess.run(
            [*command, "BUILD=%s" % build, *flags],
            env=dict(environment, **_version_tags(tree)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        made = build / target.made
        if done.returncode or not made.is_file():
            tail = "\n  ".join(done.stdout.strip().splitlines()[-12:])
            raise ToolError("%s: make failed:\n  %s" % (name, tail))
        return made


def _library_path(root):
    """LD_LIBRARY_PATH of the packages unpacked in `root`."""
    triple = "%s-linux-gnu" % platform.machine()
    folders = [root / "usr/lib" / triple, root / "lib" / triple]
    nested = [p for folder in folders for p in folder.glob("*") if any(p.glob("*.so*"))]
    return ":".join(map(str, folders + nested))


def _version_tags(tree):
    """What MicroPython's build would ask git for: in a clone of ours, git would name this project's version."""
    return {"MICROPY_GIT_TAG": "v%d.%d.%d" % sources.version(tree), "MICROPY_GIT_HASH": "source"}


def _links(compiler, ldflags):
    """Whether a C compiler makes a program that runs here."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "probe.c"), Path(folder, "probe")
        source.write_text('#include <math.h>\n#include <stdio.h>\nint main(void) { return printf(""); }\n')
        try:
            subprocess.run([*compiler, str(source), "-o", str(program), *ldflags, "-lm"], check=True, capture_output=True)
            subprocess.run([str(program)], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return False
        return True


def _compiles(compiler, environment):
    """Whether a cross compiler compiles a file that includes a header of its C library."""
    code = b"#include <stdint.h>\n#include <math.h>\nuint32_t one = 1;\n"
    path = shutil.which(compiler[0], path=environment["PATH"])
    if not path:
        return False
    command = [path, *compiler[1:], "-mthumb", "-mcpu=cortex-m0plus", "-x", "c", "-c", "-", "-o", os.devnull]
    return subprocess.run(command, input=code, env=environment, capture_output=True).returncode == 0
