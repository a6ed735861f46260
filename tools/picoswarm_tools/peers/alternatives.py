"""What a user would pick instead, for the rows `compare.*`. It is only run at measuring time, from build/peers: none of it
belongs to the project.

    mosquitto     the machine's, or the distribution's package, unpacked without root
    microdot      of the package index, through pip
    umqtt.simple  of micropython-lib: $MICROPYTHON_LIB (a checkout of it), or a clone
    mqtt_as       $MQTT_AS (its file), where it is given: nothing fetches it
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from .. import mpy, runtimes

MICROPYTHON_LIB = "https://github.com/micropython/micropython-lib"
MICRODOT = "microdot==2.7.0"
MICRODOT_FILES = ("__init__", "microdot", "helpers", "websocket")
MAKE = "run `make peers`"
LEVEL = 3


def folder() -> Path:
    """Where they are."""
    return runtimes.build_folder() / "peers"


def _unpacked(package: str) -> Path:
    return folder() / package


def mosquitto() -> tuple[list[str], dict[str, str]]:
    """(the command, what it needs in its environment). Raises Missing."""
    installed = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if installed:
        return [installed], {}
    unpacked = _unpacked("mosquitto")
    binary = unpacked / "usr/sbin/mosquitto"
    if not binary.is_file():
        raise runtimes.Missing(f"mosquitto is not there: {MAKE}, or install the package mosquitto")
    libraries = sorted({str(path.parent) for path in unpacked.glob("**/*.so.*")})
    return [str(binary)], {"LD_LIBRARY_PATH": ":".join(libraries)}


def _compiled(sources: dict[str, Path], name: str) -> Path:
    """The modules (dotted name: its source) as .mpy in a folder for the module path, as our own library is."""
    target = folder() / "mpy" / name
    for module, source in sources.items():
        path = target / (module.replace(".", "/") + ".mpy")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mpy.compile_source(source.read_bytes(), module, "bytecode", LEVEL))
    return target


def umqtt() -> Path:
    """A folder with umqtt/simple.mpy. Raises Missing."""
    given = os.environ.get("MICROPYTHON_LIB")
    root = Path(given) if given else _unpacked("micropython-lib")
    source = root / "micropython/umqtt.simple/umqtt/simple.py"
    if not source.is_file():
        raise runtimes.Missing(f"umqtt.simple is not there: {MAKE}, or set MICROPYTHON_LIB to a checkout of micropython-lib")
    return _compiled({"umqtt.simple": source}, "umqtt")


def microdot() -> Path:
    """A folder with microdot and its websocket. Raises Missing."""
    root = _unpacked("microdot") / "microdot"
    if not root.is_dir():
        raise runtimes.Missing(f"microdot is not there: {MAKE}")
    return _compiled({f"microdot.{name}": root / f"{name}.py" for name in MICRODOT_FILES}, "microdot")


def mqtt_as() -> Path:
    """A folder with mqtt_as.mpy. Raises Missing."""
    given = os.environ.get("MQTT_AS")
    if not given or not Path(given).is_file():
        raise runtimes.Missing("mqtt_as is not given: set MQTT_AS to its file")
    return _compiled({"mqtt_as": Path(given)}, "mqtt_as")


def bring_mosquitto() -> None:
    sys.path.insert(0, str(runtimes.ROOT / "firmware" / "micropython"))
    import aptget

    aptget.unpack(_unpacked("mosquitto"), ["mosquitto"])


def bring_microdot() -> None:
    scratch = folder() / "pip"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", str(scratch)]
    subprocess.run([*command, MICRODOT], check=True)
    (wheel,) = scratch.glob("microdot-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(_unpacked("microdot"))


def bring_umqtt() -> None:
    target = _unpacked("micropython-lib")
    shutil.rmtree(target, ignore_errors=True)
    command = ["git", "clone", "-q", "--depth", "1", MICROPYTHON_LIB, str(target)]
    subprocess.run(command, check=True, env={**os.environ, "GIT_TERMINAL_PROMPT": "0"}, timeout=300)
