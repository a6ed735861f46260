"""The device library as precompiled `.mpy` files: `python -m picoswarm_tools.mpy --arch armv6m`.

Native code is compiled for one architecture, so each has its own folder, which goes on the module path as it is:
`build/mpy/<arch>/picoswarm/*.mpy`. Only what changed is compiled again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .runtimes import ROOT, Missing, build_folder, find

# "bytecode" is portable: it holds no native code, and leaves out the kernels that are.
ARCHES = ("bytecode", "x86", "x64", "armv6m", "armv7m", "armv7emsp", "xtensawin", "rv32imc")
LIBRARY = ROOT / "lib" / "picoswarm"


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
            shown_as = source.relative_to(ROOT) if source.is_relative_to(ROOT) else source.name
            scratch = target.with_suffix(f".{os.getpid()}.part")
            try:
                _compile_file(source, str(shown_as), scratch, arch, level)
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


def compile_library(arch: str, level: int = 0) -> Path:
    """Bring build/mpy/<arch>[-O<level>]/picoswarm up to date; returns the folder that goes on the module path."""
    folder = library_folder(arch, level)
    sources = sorted(LIBRARY.glob("*.py"))
    if arch == "bytecode":  # the integer kernels serve there
        sources = [source for source in sources if not source.stem.endswith("_viper")]
    for compiled in (folder / "picoswarm").glob("*.mpy"):
        if compiled.stem not in {source.stem for source in sources}:
            compiled.unlink(missing_ok=True)
    compile_files(sources, folder / "picoswarm", arch, level)
    return folder


def library_folder(arch: str, level: int = 0) -> Path:
    """Where `compile_library` puts its work."""
    return build_folder() / "mpy" / (f"{arch}-O{level}" if level else arch)


def sizes(arch: str, level: int = 0) -> dict[str, int]:
    """Bytes of each module of the library as an .mpy, by module name."""
    folder = compile_library(arch, level) / "picoswarm"
    return {path.stem: path.stat().st_size for path in sorted(folder.glob("*.mpy"))}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="picoswarm_tools.mpy", description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=ARCHES, required=True)
    parser.add_argument("-O", dest="level", type=int, choices=range(4), default=0, help="3 drops line numbers too")
    options = parser.parse_args(arguments)
    try:
        found = sizes(options.arch, options.level)
    except (Missing, CompileError) as trouble:
        sys.exit(f"mpy: {trouble}")
    for name, size in found.items():
        print(f"{size:8,d}  {name}")
    print(f"{sum(found.values()):8,d}  bytes in {len(found)} modules for {options.arch}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
