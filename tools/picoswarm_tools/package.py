"""`python -m picoswarm_tools.package [--check]`: write package.json, which `mip` installs the device library from.

The list is every module of lib/picoswarm but those for CPython alone. `--check` writes nothing and exits 1 where the file is
not what this program would write.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST_ONLY = {"compat_host.py", "files_host.py", "kernels_host.py"}


def device_modules(root: Path = ROOT) -> list[str]:
    """File names of the modules that a board installs, sorted."""
    return sorted(path.name for path in (root / "lib" / "picoswarm").glob("*.py") if path.name not in HOST_ONLY)


def package_json(root: Path = ROOT) -> str:
    """The text of package.json: pairs of (path on the board, path beside package.json)."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    urls = [[f"picoswarm/{name}", f"lib/picoswarm/{name}"] for name in device_modules(root)]
    lines = ",\n    ".join(json.dumps(pair) for pair in urls)
    return f'{{\n  "version": {json.dumps(version)},\n  "deps": [],\n  "urls": [\n    {lines}\n  ]\n}}\n'


def main(arguments: list[str]) -> int:
    target = ROOT / "package.json"
    wanted = package_json()
    if "--check" in arguments:
        if target.exists() and target.read_text() == wanted:
            return 0
        print("package.json is out of date: run `make docs`", file=sys.stderr)
        return 1
    target.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
