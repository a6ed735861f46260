"""Where MicroPython's source comes from: a tree of the user's, the distribution's source package, or a git clone."""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import aptget

SUITES = ("trixie", "sid")
GIT_URL = "https://github.com/micropython/micropython"
GIT_TAG = "v1.25.0"
OLDEST = (1, 25)

# SHA-256 of the upstream tarballs that this build was tested with.
_PINNED = {
    "micropython_1.25.0+ds.orig.tar.xz": "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea",
    "micropython_1.26.1+ds.orig.tar.xz": "f5ad2ec89d3e921f753d448955af98b6005655f84ba26087dde6ba0e8d062f34",
    "mbedtls_3.6.6.orig.tar.bz2": "8fb65fae8dcae5840f793c0a334860a411f884cc537ea290ce1c52bb64ca007a",
    "mbedtls_3.6.7.orig.tar.bz2": "a7e8bcbec0e6f761b4af24f25677626b35f762f68eef79c08677a363212d11f6",
}

# What no target of ours compiles: three quarters of the tree.
_UNUSED = re.compile(r"(docs|logo|tests|examples)/|ports/(?!unix/|qemu/)")
_MBEDTLS_USED = re.compile(r"(library|include|3rdparty)/")


class SourceError(Exception):
    """No usable source; the message says what to set or install."""


def version(tree):
    """(major, minor, micro) of a MicroPython tree."""
    path = tree / "py/mpconfig.h"
    if not path.is_file():
        raise SourceError("%s is no MicroPython source tree: it has no py/mpconfig.h" % tree)
    text = path.read_text(errors="replace")
    numbers = [re.search(r"#define MICROPY_VERSION_%s (\d+)" % part, text) for part in ("MAJOR", "MINOR", "MICRO")]
    found = tuple(int(match.group(1)) for match in numbers)
    if found[:2] < OLDEST:
        raise SourceError("%s is MicroPython %d.%d: 1.25 or later is needed" % (tree, *found[:2]))
    return found


def user_tree():
    """The tree that $MICROPYTHON_SRC names, or None."""
    named = os.environ.get("MICROPYTHON_SRC")
    return Path(named).resolve() if named else None


def fetch(folder, say):
    """Put a MicroPython tree with its mbedtls at `folder`; returns where it came from, in words."""
    scratch = folder.with_name(folder.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        try:
            origin = _from_apt(scratch, say)
        except (aptget.AptError, tarfile.TarError, OSError) as trouble:
            say("no source through apt (%s)" % str(trouble).splitlines()[0])
            origin = _from_git(scratch, trouble)
        (scratch / "tree/lib/micropython-lib").mkdir(exist_ok=True)
        (scratch / "tree/lib/micropython-lib/README.md").touch()  # the makefiles ask for it
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(str(scratch / "tree"), str(folder))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return origin


def _from_apt(scratch, say):
    tarballs = aptget.fetch_sources(scratch / "apt", ["micropython", "mbedtls"], SUITES, say)
    for path in tarballs:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        pinned = _PINNED.get(path.name)
        if pinned is None:
            say("warning: %s is not a version that this build was tested with" % path.name)
        elif digest != pinned:
            raise SourceError("%s has SHA-256 %s, not the pinned %s" % (path.name, digest, pinned))
    _unpack(tarballs[0], scratch / "tree", lambda name: not _UNUSED.match(name))
    _unpack(tarballs[1], scratch / "tree/lib/mbedtls", _MBEDTLS_USED.match)
    return "source packages " + ", ".join(path.name.split(".orig")[0] for path in tarballs)


def _unpack(tarball, folder, wanted):
    """Unpack the members of a one-rooted tarball whose path below that root is wanted."""
    with tarfile.open(str(tarball)) as archive:
        members = []
        for member in archive:
            member.name = member.name.partition("/")[2]
            if member.name and wanted(member.name + ("/" if member.isdir() else "")):
                members.append(member)
        # The filter refuses paths that leave the folder; Pythons without it are older than its security backport.
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(str(folder), members, **safe)


def _from_git(scratch, why):
    if not shutil.which("git"):
        raise SourceError(
            "no MicroPython source: %s\nand there is no git to clone it with. Set MICROPYTHON_SRC to a source tree, "
            "or install git" % why
        )
    tree = str(scratch / "tree")
    steps = (
        ["git", "clone", "-q", "--depth", "1", "--branch", GIT_TAG, GIT_URL, tree],
        ["git", "-C", tree, "submodule", "--quiet", "update", "--init", "--depth", "1", "lib/mbedtls"],
    )
    for step in steps:
        if subprocess.run(step, stdin=subprocess.DEVNULL).returncode:
            raise SourceError(
                "no MicroPython source: %s\nand `%s` failed. Set MICROPYTHON_SRC to a source tree" % (why, " ".join(step))
            )
    for unused in ("docs", "tests", ".git"):
        shutil.rmtree(str(scratch / "tree" / unused), ignore_errors=True)
    return "git clone of " + GIT_TAG
