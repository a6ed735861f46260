"""Runs on a board, from its REPL: prints what the board is, and the hashes of the files in PATHS and FOLDERS.

PATHS and FOLDERS stand before this text, as the host wrote them. The answer is lines of JSON behind a mark, one for each
file, since a board has no room for all of it in one piece.
"""

import gc
import hashlib
import json
import os
import sys


def digest(path):
    """SHA-256 of a file in hexadecimal, or None where there is no such file."""
    whole = hashlib.sha256()
    buf = bytearray(512)
    view = memoryview(buf)
    try:
        with open(path, "rb") as file:
            while True:
                n = file.readinto(buf)
                if not n:
                    break
                whole.update(view[:n])
    except OSError:
        return None
    return "".join("%02x" % byte for byte in whole.digest())


def names(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def is_frozen():
    """Whether the firmware itself has the library."""
    path, sys.path[:] = sys.path[:], [".frozen"]
    try:
        __import__("picoswarm.errors")
        return True
    except ImportError:
        return False
    finally:
        sys.path[:] = path


def network():
    """(connected, address) of Wi-Fi; None: there is none, or nobody has switched it on."""
    try:
        import network

        wlan = network.WLAN(getattr(network, "STA_IF", 0))
        return wlan.active() and [wlan.isconnected(), wlan.ifconfig()[0]]
    except (ImportError, AttributeError, OSError):
        return None


def main():
    gc.collect()
    free = gc.mem_free()
    version = sys.implementation
    about = {
        "version": ".".join(str(part) for part in version[1][:3]),
        "machine": getattr(version, "_machine", sys.platform),
        "build": getattr(version, "_build", ""),
        "mpy": getattr(version, "_mpy", 0),
        "free": free,
        "frozen": is_frozen(),
        "wifi": network(),
        "path": sys.path,
        "folders": FOLDERS,
    }
    try:
        block, _, _, left = os.statvfs("/")[:4]
        about["disk_free"] = block * left
    except OSError:
        about["disk_free"] = None
    tell(about)
    for path in PATHS:
        tell(["", path, digest(path)])
    for folder in FOLDERS:
        for name in names(folder):
            tell([folder, name, digest(folder + "/" + name)])


def tell(facts):
    print("\npicoswarm:" + json.dumps(facts))


main()
