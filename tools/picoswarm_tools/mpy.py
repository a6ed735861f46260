"""The device library as precompiled `.mpy` files: `python -m picoswarm_tools.mpy --arch armv6m`.

Native code is compiled for one architecture, so each has its own folder, which goes on the module path as it is:
`build/mpy/<arch>/picoswarm/*.mpy`. Only what changed is compiled again.

What mpy-cross gets is made from the sources so that it costs a board less and does the same: fold.py decides what is known
of a board, bundle.py puts modules together (with -O3 only, where no line numbers are left), texts.py takes texts out of
memory, shrink.py shortens names, constructors.py, alike.py and overlays.py take out what is seldom wanted, order.py puts the
frequent names first. The folder `source` beside holds the result, and
`names.json` the short name of each long one; `--names` prints it the other way round, for reading a traceback.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from . import alike, beside, bundle, constructors, fold, order, overlays, plans, shrink, texts, vocabulary
from .runtimes import ROOT, Missing, build_folder, find
from .vocabulary import Refused

# "bytecode" is portable: it holds no native code, and leaves out the kernels that are.
ARCHES = ("bytecode", "x86", "x64", "armv6m", "armv7m", "armv7emsp", "xtensawin", "rv32imc")
LIBRARY = ROOT / "lib" / "picoswarm"
# What stays as it is: the names that the type stubs promise, and those that programs know which nobody translates.
STUBS = ROOT / "typings" / "picoswarm"
PROGRAMS = (
    "firmware/*.py",
    "firmware/lib/swarmboard/*.py",
    "examples/*.py",
    "tools/picoswarm_tools/device/instructions.py",
)
# Modules that become one file with -O3, under the name of one of them: what stays loaded together.
BUNDLES = {
    "compat": (
        *("compat", "rooterror", "address", "wire", "wire_viper", "cipher_viper", "field_viper", "curve_viper"),
        *("crypto", "identity"),
    ),
    # The engine in two halves: the garbage of loading one is gone before the other comes (boot.py).
    "table": ("datagram_viper", "datagram", "budget", "tokens", "table", "revalidation", "lookup"),
    "discovery": ("requests", "agreement", "responder", "upkeep", "discovery"),
    "node": ("net", "node"),
    "swarm": (
        *("sockets", "pace", "frames_viper", "frames", "channel", "aead_viper", "aead", "keymap", "noise", "hello"),
        *("handshake", "sealed", "lanes", "mux", "session"),
        *("door", "connmgr", "swarm", "tcp", "services"),
    ),
    "pex": ("addrbook", "pex"),
    "pubsub": ("pubsub", "rpc"),
    # What a libp2p connection needs, and what its set-up needs before.
    "p2pstreams": ("yamux", "p2plink", "p2pstreams"),
    "multistream": ("p2pcipher", "multistream"),
    "p2pdial": ("p2psetup", "p2pdial"),
    # Of the start, and gone after it. Each module leaves its name and path behind, which no collection frees.
    "keys": ("entropy", "nodekey", "keys"),
    "store": ("slots", "files", "nodedb", "membership", "store"),
}
# Frozen, code takes no heap, and loading leaves no garbage: fewer modules have fewer tables of names.
_CORE = ("compat", "table", "discovery", "node")
_AGREED = ("swarm", "pex", "pubsub")
FROZEN_BUNDLES = {
    **{name: parts for name, parts in BUNDLES.items() if name not in (*_CORE, *_AGREED)},
    "compat": tuple(part for name in _CORE for part in BUNDLES[name]),
    "swarm": tuple(part for name in _AGREED for part in BUNDLES[name]),
}
# A node with sessions, whose overlays may take from every module.
_WHOLE = (*_CORE, "swarm", "pubsub")
WHOLE_BUNDLES = {
    **{name: parts for name, parts in BUNDLES.items() if name not in _WHOLE},
    "compat": tuple(part for name in _WHOLE for part in BUNDLES[name]) + ("logstats",),
}
HOT = ("compat", "table", "discovery", "swarm")  # bundles that ask for builtins at each datagram or message, see order.py
_ASKED = ("bytearray", "bytes", "len", "min")
# Forms of the library with -O3: their bundles, and the plan of their overlays.
WHOLE = ""  # a node with sessions
FROZEN = "frozen"
LEAF = "leaf"
LEAF_FROZEN = "leaf-frozen"
DISCOVERY = "discovery"  # no sessions
PARTS = "parts"  # for a test or a benchmark that makes objects of its own, which others leave to overlays
APART = "apart"  # each module by itself: what does it cost?
TRIED = (PARTS, APART)  # those in which tests know the library by its parts
FORMS = {
    WHOLE: (WHOLE_BUNDLES, plans.FULL),
    FROZEN: (FROZEN_BUNDLES, plans.PLAN),
    LEAF: (WHOLE_BUNDLES, plans.LEAF),
    LEAF_FROZEN: (WHOLE_BUNDLES, plans.LEAF_FROZEN),
    DISCOVERY: (BUNDLES, plans.DISCOVERY),
    PARTS: (BUNDLES, plans.PLAN),
    APART: ({}, ()),
}
IN_FIRMWARE = {WHOLE: FROZEN, DISCOVERY: FROZEN, LEAF: LEAF_FROZEN}  # by the form that the same node has from files
# So many overlays, those that were loaded last, stay for a while; with less free than so many bytes only so many.
LATEST = {WHOLE: (12, 16384, 1), LEAF: (12, 16384, 2), LEAF_FROZEN: (12, 16384, 2), DISCOVERY: (8, 16384, 1)}
NATIVE_STAYS = ("bytecode", "xtensawin", "rv32imc")  # there is none, or an ESP32 never frees it
ROM = "rom"  # the module of a firmware that names all others, see `_named`
BOARD_LEVEL = 3  # mpy-cross's -O of what a board is given; the modules are bundled then

# What `translate` must always be able to follow, although it has classes of its own.
PROBES = ("tools/picoswarm_tools/unix/*.py",)
BESIDE = (
    *PROBES,
    "host_tests/unit/*.py",
    "host_tests/noalloc/*.py",
    "host_tests/fuzz/*_fuzz.py",
    "host_tests/fuzz/every_decoder.py",
    "host_tests/prop/*_cases.py",
    "tools/picoswarm_tools/device/engine_parts.py",
)


class CompileError(Exception):
    """mpy-cross refused a file; the message is mpy-cross's own."""


def _compile_file(source: Path, shown_as: str, target: Path, arch: str, level: int) -> None:
    command = [str(find("mpy-cross")), f"-O{level}", "-s", shown_as, "-o", str(target)]
    if arch != "bytecode":
        command.append(f"-march={arch}")
    done = subprocess.run([*command, str(source)], capture_output=True, text=True)
    # A branch that is too long for xtensawin is reported and then written wrong, with exit code 0 (MicroPython 1.25).
    if done.returncode or "out of range" in done.stdout + done.stderr:
        target.unlink(missing_ok=True)
        raise CompileError(f"{shown_as}: {(done.stderr or done.stdout).strip()}")


def compile_source(text: bytes, shown_as: str, arch: str, level: int = 0) -> bytes:
    """One source text as the bytes of an .mpy; `shown_as` is the file name in its tracebacks."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source.py"), Path(folder, "source.mpy")
        source.write_bytes(text)
        _compile_file(source, shown_as, target, arch, level)
        return target.read_bytes()


def compile_files(sources: Iterable[Path], folder: Path, arch: str, level: int = 0) -> list[Path]:
    """Compile `sources` to `folder`/<name>.mpy where the source is newer; returns the .mpy files.

    Raises CompileError at the end, for all that were refused; those leave no .mpy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    compiler_age = find("mpy-cross").stat().st_mtime_ns
    targets, refused = [], []
    for source in sources:
        target = folder / (source.stem + ".mpy")
        needed = max(source.stat().st_mtime_ns, compiler_age)
        if not target.exists() or target.stat().st_mtime_ns < needed:
            # Without line numbers a traceback needs no more than the module, whose name a board holds anyway; of an overlay
            # that whose classes it has methods of: a name of its own would stay in memory for good.
            shown_as = (overlays.home_of(source.read_text()) or source.stem) if level == 3 else source.name
            scratch = target.with_suffix(f".{os.getpid()}.part")
            try:
                _compile_file(source, shown_as, scratch, arch, level)
                scratch.replace(target)
            except CompileError as trouble:
                target.unlink(missing_ok=True)
                refused.append(str(trouble))
            finally:
                scratch.unlink(missing_ok=True)
        targets.append(target)
    if refused:
        raise CompileError("\n".join(refused))
    return targets


def _put(path: Path, text: str) -> Path:
    """Write a file, unless it holds `text` already: its age then says when that changed."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}.part")
        scratch.write_text(text)
        scratch.replace(path)
    return path


def _texts(patterns: Iterable[str]) -> dict[str, str]:
    return {path.name: path.read_text() for pattern in patterns for path in sorted(ROOT.glob(pattern))}


def _library_sources(arch: str) -> list[Path]:
    absent = ("_host", "_viper") if fold.known_on(arch)["KERNELS"] == "int" else ("_host",)
    return [path for path in sorted(LIBRARY.glob("*.py")) if not path.stem.endswith(absent)]


@contextmanager
def _alone(what: str) -> Iterator[None]:
    """One process at a time makes something: the others wait, and then find it made."""
    folder = build_folder() / "mpy"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{what}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_small(arch: str, level: int, form: str) -> tuple[dict[str, str], shrink.Names]:
    known = fold.known_on(arch)
    modules = {path.stem: fold.fold(path.read_text(), known) for path in _library_sources(arch)}
    programs = [*_texts(PROGRAMS).values(), *_texts(BESIDE if form in TRIED else PROBES).values()]
    texts_of_stubs = [path.read_text() for path in STUBS.glob("*.pyi")]
    asked = {name for text in (*programs, *texts_of_stubs) for name in fold.mentioned(ast.parse(text))}
    asked |= bundle.handed_out(modules["__init__"])
    if level == 3:
        modules = {name: fold.flatten(text, form in TRIED) for name, text in modules.items()}
        modules = fold.hide_constants(modules, asked)
    bundles, plan = FORMS[form]
    plan = overlays.housed(plans.on_board(plan, arch not in NATIVE_STAYS, known["KERNELS"] == "viper"), bundles)
    if level == 3 and bundles:
        unix = ("compat_unix",) if arch in fold.UNIX else ()  # what a board has in compat itself
        modules = bundle.bundle(modules, {**bundles, "compat": bundles["compat"] + unix}, asked)
    if level == 3:  # where lines may move
        modules = texts.take_texts(modules)
    modules = {name: texts.strip_classes(text) for name, text in modules.items()}
    stubs = {path.stem: vocabulary.names_in_stub(path.read_text()) for path in sorted(STUBS.glob("*.pyi"))}
    numbers = profile_numbers()
    stubs["profile"] -= numbers
    keep = vocabulary.names_in_programs(_texts(PROGRAMS).values())[0].union(vocabulary.runtime_names(), *stubs.values())
    promised = set().union(*map(vocabulary.arguments_in_stub, texts_of_stubs))
    promised |= vocabulary.keywords_in_programs(_texts(PROGRAMS).values())
    others = {**_texts(BESIDE), "overlays": overlays.apart(plan or plans.FULL), "alike": alike.apart(plan, modules)}
    names = shrink.name_map(modules, keep, others, vocabulary.rom_names(), promised)
    long, modules = modules, {name: shrink.shorten(text, names) for name, text in modules.items()}
    if level == 3 and plan:
        overlays.check(long, plan, vocabulary.imported_from_library(_texts(PROGRAMS).values()))
        plan = overlays.planned(plan, modules, names)
        modules, plan = constructors.take_out(modules, plan, vocabulary.rom_names())
        imported = vocabulary.imported_from_library(programs) | bundle.handed_out(modules["__init__"])
        imported = {names.get(name, name) for name in imported}
        modules, plan = alike.merge(modules, plan, imported)
        modules = overlays.take_cold(modules, plan, *LATEST.get(form, ()), imported=imported)
    if level == 3:
        kept = {name: order.keep_builtins(modules[name], _ASKED) for name in HOT if name in modules}
        modules = {name: order.order_names(text) for name, text in {**modules, **kept}.items()}
    return shrink.numbers_known(modules, numbers, names), names


def profile_numbers() -> set[str]:
    """The names of a profile's numbers."""
    (profile,) = (node for node in ast.parse((LIBRARY / "profile.py").read_text()).body if isinstance(node, ast.ClassDef))
    return {target.id for node in profile.body if isinstance(node, ast.Assign) for target in node.targets}


@cache
def _small_library(arch: str, level: int, form: str, _ages: tuple[int, ...]) -> tuple[dict[str, str], shrink.Names]:
    what = f"{_folder(arch, level, form).name}-small"
    made, fingerprint = build_folder() / "mpy" / f"{what}.json", _fingerprint()
    with _alone(what):
        with suppress(OSError, ValueError, KeyError):
            modules, known, arguments, keywords = json.loads(made.read_text())[fingerprint]
            names = shrink.Names(known)
            names.arguments, names.keywords = frozenset(arguments), frozenset(map(tuple, keywords))
            return modules, names
        modules, names = _make_small(arch, level, form)
        _put(made, json.dumps({fingerprint: [modules, names, sorted(names.arguments), sorted(names.keywords)]}))
        return modules, names


def small_library(arch: str, level: int = 0, form: str = "") -> tuple[dict[str, str], shrink.Names]:
    """(texts of the library's modules by name, as mpy-cross gets them; short names by name), in one of FORMS. They
    take seconds, and are kept in build/mpy. Raises Refused."""
    return _small_library(arch, level, form, _ages())


def _ages() -> tuple[int, ...]:
    return tuple(path.stat().st_mtime_ns for path in _inputs())


def _inputs() -> list[Path]:
    """The files from which small_library makes its texts."""
    inputs = [path for pattern in (*PROGRAMS, *BESIDE) for path in ROOT.glob(pattern)]
    return sorted([*inputs, *LIBRARY.glob("*.py"), *STUBS.glob("*.pyi")])


def _fingerprint() -> str:
    """All that a compiled library depends on: its inputs, what makes it, and the MicroPython that is asked for names."""
    digest = hashlib.sha256()
    for path in (*_inputs(), *sorted(Path(__file__).parent.glob("*.py")), overlays.LOADER):
        digest.update(f"{path}\0".encode() + path.read_bytes() + b"\0")
    for name in ("mpy-cross", "micropython"):
        digest.update(f"{find(name).stat().st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _named(modules: Iterable[str]) -> str:
    """A module for a firmware that nobody imports: by it the names of modules and of a profile's numbers stand in ROM, and
    take no heap when they are used."""
    imports = [f"import picoswarm.{name}\npicoswarm.{name}\n" for name in sorted(modules)]
    return "".join(imports + [f"picoswarm.{name}\n" for name in sorted(profile_numbers())])


def compile_library(arch: str, level: int = 0, form: str = "") -> Path:
    """Bring build/mpy/<arch>[-O<level>]/picoswarm up to date; returns the folder that goes on the module path."""
    folder = _folder(arch, level, form)
    made, fingerprint = folder / "made.json", _fingerprint()
    with _alone(folder.name):
        with suppress(OSError, ValueError, KeyError):
            modules = json.loads(made.read_text())[fingerprint]
            if {path.stem for path in (folder / "picoswarm").glob("*.mpy")} == set(modules):
                return folder
        texts, names = small_library(arch, level, form)
        sources = [_put(folder / "source" / "picoswarm" / f"{name}.py", text) for name, text in texts.items()]
        _put(folder / "names.json", json.dumps(names, indent=0, sort_keys=True))
        for path in (*folder.glob("picoswarm/*.mpy"), *folder.glob("source/picoswarm/*.py")):  # these a firmware freezes
            if path.stem not in (*texts, ROM):
                path.unlink(missing_ok=True)
        compile_files(sources, folder / "picoswarm", arch, level)
        _put(folder / "source" / "picoswarm" / f"{ROM}.py", _named(texts))
        _put(made, json.dumps({fingerprint: sorted(texts)}))
    return folder


@cache
def _translated(source: str, arch: str, level: int, shown_as: str, form: str, ages: tuple[int, ...]) -> str:
    names = _small_library(arch, level, form, ages)[1]
    if "swarmboard" in vocabulary.imported(source):  # a test of the firmware, whose names nobody shortens
        names = names.without(_own_names(ages))
    return beside.translate(source, names, shown_as)


@cache
def _own_names(_ages: tuple[int, ...]) -> set[str]:
    return vocabulary.names_in_programs(_texts(PROGRAMS).values())[1]


def translate(source: str, arch: str, level: int = 0, shown_as: str = "program", form: str = "") -> str:
    """A program that uses internal names of the library, for the library of a board. Raises Refused."""
    return _translated(source, arch, level, shown_as, form, _ages())


def compile_program(path: Path, arch: str, level: int = 0, form: str = "") -> bytes:
    """`translate` a file for the library of `level` and compile it, with its assertions and line numbers."""
    return compile_source(translate(path.read_text(), arch, level, path.name, form).encode(), path.name, arch)


def compile_beside(sources: Sequence[Path], folder: Path, arch: str, level: int = 0, form: str = "") -> list[Path]:
    """`compile_program` to `folder`/<name>.mpy, where something changed; returns the .mpy files."""
    ages = _ages()
    of_board = {path.name: _translated(path.read_text(), arch, level, path.name, form, ages) for path in sources}
    texts = [_put(folder / "source" / name, text) for name, text in of_board.items()]
    return compile_files(texts, folder, arch)


def library_folder(arch: str, level: int = 0, form: str = "") -> Path:
    """Where `compile_library` puts its work."""
    return _folder(arch, level, form)


def _folder(arch: str, level: int, form: str) -> Path:
    return build_folder() / "mpy" / (arch + (f"-O{level}" if level else "") + (form and f"-{form}"))


def unix_path() -> str:
    """The MICROPYPATH of a node on the unix port, with the library as a board is given it."""
    return f"{library_folder('x86', BOARD_LEVEL)}:.frozen"


def sizes(arch: str, level: int = 0, form: str = "") -> dict[str, int]:
    """Bytes of each module of the library as an .mpy, by module name."""
    folder = compile_library(arch, level, form) / "picoswarm"
    return {path.stem: path.stat().st_size for path in sorted(folder.glob("*.mpy"))}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="picoswarm_tools.mpy", description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=ARCHES, required=True)
    parser.add_argument("-O", dest="level", type=int, choices=range(4), default=0, help="3 drops line numbers too")
    parser.add_argument("--names", action="store_true", help="what the short names in tracebacks stand for")
    parser.add_argument(
        "--form", choices=tuple(FORMS), default="", help="leaf: what a leaf has; frozen, leaf-frozen: a firmware"
    )
    options = parser.parse_args(arguments)
    try:
        names = small_library(options.arch, options.level, options.form)[1]
        found = sizes(options.arch, options.level, options.form)
    except (Missing, CompileError, Refused) as trouble:
        sys.exit(f"mpy: {trouble}")
    if options.names:
        for short in sorted(set(names.values())):
            print(short, *[name for name in sorted(names) if names[name] == short])
        return 0
    for name, size in found.items():
        print(f"{size:8,d}  {name}")
    print(f"{sum(found.values()):8,d}  bytes in {len(found)} modules for {options.arch}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
