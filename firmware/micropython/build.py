#!/usr/bin/env python3
"""Build the MicroPython runtimes that the tests run on, and mpy-cross, into build/micropython.

    build.py [--non-root] [mpy-cross] [unix32] [unix32-frozen] [unix64] [qemu-m3] [qemu-m0]

unix32-frozen has the device library frozen in (--library: other sources of it), and is built again when that changed,
which is one link. It runs with any system Python >= 3.9 and nothing else. The source is, in this order: $MICROPYTHON_SRC (a
tree), the distribution's source package through apt, a git clone of upstream. $MICROPYTHON (a 32-bit binary) takes the place
of unix32. Source and binaries are cached in $XDG_CACHE_HOME or ~/.cache, so a second clone has them at once.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

import aptget  # noqa: E402
import sources  # noqa: E402
from targets import FROZEN, LIBRARY, TARGETS, ToolError, Tools  # noqa: E402

OUTPUT = HERE.parents[1] / "build/micropython"
DEFAULT = ["mpy-cross", "unix32", "qemu-m3", "qemu-m0"]
_KEPT_BUILDS = 3
_STARTED = time.monotonic()


def say(text):
    print("micropython %6.1f s  %s" % (time.monotonic() - _STARTED, text), flush=True)


def cache_folder():
    """Where the builds of this user live, one folder for each state of the build's own files."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base).resolve() / "picoswarm/micropython"
    if " " in str(folder):
        raise ToolError("make cannot build in %s: set XDG_CACHE_HOME to a path without spaces" % folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as trouble:
        raise ToolError("cannot write the cache (%s): set XDG_CACHE_HOME to a folder of yours" % trouble) from trouble
    return folder


def build_key():
    """Names what decides the binaries: these scripts (flags, pins), the board files, the machine, a tree of the user's."""
    key = hashlib.sha256(("%s\0%s" % (platform.machine(), sources.user_tree() or "")).encode())
    for path in sorted(p for p in HERE.rglob("*") if p.suffix in (".py", ".mk", ".c", ".h", ".ld")):
        key.update(b"%s\0%s\0" % (path.relative_to(HERE).as_posix().encode(), path.read_bytes()))
    return key.hexdigest()[:16]


def library_key(key, library):
    """Names what decides the frozen binary: all that `key` names, and the library."""
    seen = hashlib.sha256(key.encode())
    for path in sorted(library.glob("*.py")):
        seen.update(b"%s\0%s\0" % (path.name.encode(), path.read_bytes()))
    return seen.hexdigest()[:16]


@contextlib.contextmanager
def locked(folder):
    """One build at a time for each cache."""
    with open(str(folder / "lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build on this machine")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def given_binary():
    """The 32-bit binary that $MICROPYTHON names, or None. Raises ToolError when it does not serve."""
    named = os.environ.get("MICROPYTHON")
    if not named:
        return None
    path = shutil.which(named)
    code = "import sys; print(sys.implementation.name, sys.maxsize, *sys.implementation.version[:2])"
    out = subprocess.run([path or named, "-c", code], capture_output=True, text=True) if path else None
    if out is None or out.returncode or len(out.stdout.split()) != 4:
        raise ToolError("MICROPYTHON=%s does not run as a MicroPython" % named)
    name, largest, major, minor = out.stdout.split()
    if name != "micropython" or int(largest) != 0x7FFFFFFF or (int(major), int(minor)) < sources.OLDEST:
        found = "%s %s.%s with words of %d bits" % (name, major, minor, int(largest).bit_length() + 1)
        raise ToolError("MICROPYTHON=%s is %s: a 32-bit MicroPython 1.25 or later is needed" % (named, found))
    return Path(path).resolve()


def publish(path, name):
    """Copy a binary to the build folder unless it is there already; running copies of it are not disturbed."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    goal, scratch = OUTPUT / name, OUTPUT / (name + ".part")
    if goal.exists() and not goal.is_symlink():
        old, new = goal.stat(), path.stat()
        if (old.st_size, int(old.st_mtime)) == (new.st_size, int(new.st_mtime)):
            return
    shutil.copy2(str(path), str(scratch))
    os.replace(str(scratch), str(goal))


def build(outputs, folder, tools):
    """Build the targets `outputs` (name: path of the binary in `folder`/bin) with the source in `folder`/source."""
    names = list(outputs)
    tools.prepare(names)
    tree = sources.user_tree()
    if tree is None:
        tree = folder / "source"
        if not tree.is_dir():
            origin = sources.fetch(tree, say)
            (folder / "origin.txt").write_text(origin + "\n")
            say("source: " + origin)
    say("source: MicroPython %d.%d.%d" % sources.version(tree))
    work, done = folder / "work", folder / "bin"
    work.mkdir(parents=True, exist_ok=True)
    done.mkdir(exist_ok=True)

    def make(name):
        started = time.monotonic()
        say("building " + TARGETS[name].output)
        # What is frozen is a small part of a build: the objects of the plain one serve again.
        made = tools.make(name, tree, work / name.replace("-frozen", ""), done / "mpy-cross")
        shutil.copy2(str(made), str(done / (name + ".part")))
        os.replace(str(done / (name + ".part")), str(outputs[name]))
        say("built %s in %.1f s" % (TARGETS[name].output, time.monotonic() - started))

    if "mpy-cross" in names:
        make("mpy-cross")
    # Two at a time: each has serial parts (generated headers, link) in which the other uses the processors.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(make, [name for name in names if name not in ("mpy-cross", FROZEN)]))
    if FROZEN in names:
        make(FROZEN)
    if sources.user_tree() is None:
        for objects in work.iterdir():
            if objects.name != "unix32" and objects.is_dir():
                shutil.rmtree(str(objects))
    tools.drop_compilers()


def prune(cache, keep):
    """Builds of older states of the scripts and of the library: the latest few stay, for clones at other commits."""
    others = [p for p in cache.iterdir() if p.is_dir() and p.name != keep]
    for path in sorted(others, key=lambda p: p.stat().st_mtime)[:-_KEPT_BUILDS]:
        shutil.rmtree(str(path), ignore_errors=True)
    frozen = (cache / keep / "bin").glob(TARGETS[FROZEN].output + ".*")
    for path in sorted(frozen, key=lambda p: p.stat().st_mtime)[:-_KEPT_BUILDS]:
        path.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--non-root", action="store_true", help="install nothing, even as root: unpack packages in the cache"
    )
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help="%s (default: %s)" % (", ".join(TARGETS), " ".join(DEFAULT))
    )
    parser.add_argument("--library", type=Path, default=LIBRARY, help="the folder that %s freezes" % FROZEN)
    parser.add_argument("--form", default="", help="which form of the library that is: the binary is named after it")
    options = parser.parse_args()
    names = options.targets or DEFAULT
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error("no such target: " + ", ".join(unknown))
    cache = cache_folder()
    key = build_key()
    folder = cache / key
    with locked(cache):
        binary = given_binary() if "unix32" in names else None
        if binary:
            say("micropython is %s ($MICROPYTHON)" % binary)
            names = [name for name in names if name != "unix32"]
            publish(binary, "micropython")
        outputs = {name: folder / "bin" / TARGETS[name].output for name in names}
        if FROZEN in names:
            outputs[FROZEN] = outputs[FROZEN].with_suffix("." + library_key(key, options.library.resolve()))
        wanted = [n for n in names if sources.user_tree() or not outputs[n].is_file()]
        # The unix ports freeze asyncio with it.
        if any(n.startswith("unix") for n in wanted) and not (folder / "bin/mpy-cross").is_file():
            wanted = ["mpy-cross", *(n for n in wanted if n != "mpy-cross")]
        folder.mkdir(exist_ok=True)
        os.utime(str(folder))
        tools = Tools(folder, options.non_root, say, options.library.resolve())
        if any(name.startswith("qemu") for name in names):
            tools.prepare_qemu(OUTPUT / "qemu-system-arm")
        if wanted:
            build({n: outputs.get(n, folder / "bin" / TARGETS[n].output) for n in wanted}, folder, tools)
        for name in names:
            form = "-" + options.form if options.form and name == FROZEN else ""
            publish(outputs[name], TARGETS[name].output + form)
        prune(cache, key)
    say("ready in %s: %s" % (OUTPUT, ", ".join(sorted(p.name for p in OUTPUT.iterdir()))))


if __name__ == "__main__":
    try:
        main()
    except (ToolError, sources.SourceError, aptget.AptError) as trouble:
        sys.exit("micropython: %s" % trouble)
    except KeyboardInterrupt:
        sys.exit("micropython: interrupted")
