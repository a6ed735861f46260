"""Where the firmware of the emulated Pico comes from: five archives of the distribution, pinned and kept."""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import aptget

# The suite, its source packages and its binary ones. The SDK and its USB library come as packages of sources.
_WANTED = (
    (("trixie", "sid"), ("lwip", "mbedtls"), ("pico-sdk-source", "tinyusb-source")),
    (("sid",), ("micropython",), ()),
)
_PINNED = {
    "lwip_2.2.1+dfsg1.orig.tar.xz": "83729c274c499d3348e9fbbe043a3113f3fa8953e7efddc7c21c7fcbb1f2b7b1",
    "mbedtls_3.6.6.orig.tar.bz2": "8fb65fae8dcae5840f793c0a334860a411f884cc537ea290ce1c52bb64ca007a",
    "micropython_1.26.1+ds.orig.tar.xz": "f5ad2ec89d3e921f753d448955af98b6005655f84ba26087dde6ba0e8d062f34",
    "pico-sdk-source_2.1.1-1_all.deb": "507a3ca37636641bc90239d7c04dc9dc28c5008087a8162102ea94d2273153d3",
    "tinyusb-source_0.18.0+dfsg-1_all.deb": "01ce2c645df68f14a8a7dcfc8fb355713152543757955820479a87949a61154e",
}
# What is not compiled: most of MicroPython's tree.
_UNUSED = re.compile(
    r"(docs|logo|tests|examples)/|ports/(?!rp2/)"
    r"|lib/(?!micropython-lib|crypto-algorithms|re1\.5|uzlib|littlefs|oofatfs|libm|mbedtls|lwip|tinyusb|cyw43-driver)[^/]+/"
)
_USED = {"lwip": re.compile(r"src/"), "mbedtls": re.compile(r"(library|include|3rdparty)/")}


# MicroPython 1.26 puts frozen machine code of a Cortex-M0+ at any even address. What its constants are loaded with needs one
# that is divisible by four: else they are other constants.
_HALF_ALIGNED, _ALIGNED = "__attribute__ ((aligned (2)))", "__attribute__ ((aligned (4)))"


class SourceError(Exception):
    """An archive is not to be had, or is not the known one."""


def _is_good(path):
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == _PINNED[path.name]


def fetch(kept, say):
    """Bring the archives to the folder `kept`, which is asked first. Returns {package: path}. Raises SourceError, and
    AptError."""
    kept.mkdir(parents=True, exist_ok=True)
    scratch = kept / "new"
    for suites, sources, binaries in _WANTED:
        names = (*sources, *binaries)
        pinned = {name: next(file for file in _PINNED if file.startswith(name + "_")) for name in names}
        if all(_is_good(kept / file) for file in pinned.values()):
            continue
        say("fetching %s" % ", ".join(names))
        shutil.rmtree(str(scratch), ignore_errors=True)
        for path in aptget.fetch_sources(scratch, sources, suites, say, binaries):
            if path.name not in _PINNED:
                raise SourceError("the distribution has %s, which this build was not tested with" % path.name)
            if not _is_good(path):
                raise SourceError("%s has not the pinned SHA-256" % path.name)
            os.replace(str(path), str(kept / path.name))
    shutil.rmtree(str(scratch), ignore_errors=True)
    return {file.split("_")[0]: kept / file for file in _PINNED}


def _unpack(tarball, folder, is_wanted):
    """The members of a one-rooted tarball whose path below that root is wanted."""
    with tarfile.open(str(tarball)) as archive:
        members = []
        for member in archive:
            member.name = member.name.partition("/")[2]
            if member.name and is_wanted(member.name + ("/" if member.isdir() else "")):
                members.append(member)
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(str(folder), members, **safe)


def unpack(archives, folder):
    """Make the source tree: `folder`/micropython, with its libraries in place, and `folder`/sdk."""
    tree, packages = folder / "micropython", folder / "packages"
    _unpack(archives["micropython"], tree, lambda name: not _UNUSED.match(name))
    for name, used in _USED.items():
        _unpack(archives[name], tree / "lib" / name, used.match)
    for name in ("pico-sdk-source", "tinyusb-source"):
        subprocess.run(["dpkg-deb", "-x", str(archives[name]), str(packages)], check=True)
    usb = tree / "lib/tinyusb"
    shutil.rmtree(str(usb), ignore_errors=True)
    os.replace(str(packages / "usr/src/tinyusb"), str(usb))
    os.replace(str(packages / "usr/src/pico-sdk"), str(folder / "sdk"))
    shutil.rmtree(str(packages))
    freezer = tree / "tools/mpy-tool.py"
    text = freezer.read_text()
    if _HALF_ALIGNED not in text:
        raise SourceError("mpy-tool.py is not the one that this build knows")
    freezer.write_text(text.replace(_HALF_ALIGNED, _ALIGNED))
    library = tree / "lib/micropython-lib"
    library.mkdir(parents=True, exist_ok=True)
    Path(library, "README.md").touch()  # the build asks for it
