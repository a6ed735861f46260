"""Bitcoin Knots, a full node in C++ (a fork of Bitcoin Core with the same peer-to-peer code): Debian's package of it, from
`sid`, which alone has it. Its libraries do not fit an older Debian, so all of them are unpacked beside it, in the user's
cache, and it runs by their own loader. It comes from the archive that apt is set up with here, and apt checks the
signatures; what it fetches changes with sid, and the tests say which version ran."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .. import runtimes
from . import sources

PACKAGE = "bitcoin-knots"
NOT_NEEDED = re.compile(r"lib(systemd|blkid|mount|selinux|pcre)")  # of what only its installation wants
CONFIGURATION = """\
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{folder}/parts";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Cache::archives "{folder}/cache/archives";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Debug::NoLocking "1";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def _kept() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "picoswarm" / "peers" / "knots"


def find() -> list[str]:
    """The command that runs bitcoind. Raises Missing."""
    installed = shutil.which("bitcoind")
    if installed:
        return [installed]
    root = _kept()
    loader, program = root / "usr/lib64/ld-linux-x86-64.so.2", root / "usr/bin/bitcoind"
    if not (loader.exists() and program.is_file()):
        raise runtimes.Missing(f"the full node {PACKAGE} is not there: {sources.MAKE}, or install bitcoind")
    return [str(loader), "--library-path", str(root / "usr/lib/x86_64-linux-gnu"), str(program)]


def bring() -> None:
    """Unpack it and its libraries, 18 MB of packages. Raises Missing where apt or its keys are not there, or the machine is
    of another kind, and CalledProcessError."""
    try:
        find()
        return
    except runtimes.Missing:
        pass
    machine = os.uname().machine
    if machine != "x86_64" or not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise runtimes.Missing(f"{PACKAGE} comes as a package of Debian for x86_64: install bitcoind yourself on {machine}")
    sys.path.insert(0, str(runtimes.ROOT / "firmware" / "micropython"))
    import aptget

    archive, signed_by = aptget.configured_archives()[0]  # the one that this machine has, whatever suite it takes from it
    target = _kept()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch)
        for name in ("parts", "lists/partial", "cache/archives/partial", "packages", "root"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "apt.conf").write_text(CONFIGURATION.format(folder=folder))
        source = f"Types: deb\nURIs: {archive}\nSuites: sid\nComponents: main\n"
        (folder / "parts/sid.sources").write_text(source + (f"Signed-By: {signed_by}\n" if signed_by else ""))
        env = {**os.environ, "APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C"}

        def apt(*arguments: str, cwd: Path = folder) -> str:
            done = subprocess.run(
                ["apt-get", "-q", *arguments], env=env, cwd=cwd, capture_output=True, text=True, check=True
            )
            return done.stdout

        apt("update")
        plan = apt("--simulate", "--no-install-recommends", "install", PACKAGE)
        wanted = re.findall(rf"^Inst (lib\S+|{PACKAGE}) ", plan, re.M)
        apt("download", *(name for name in wanted if not NOT_NEEDED.match(name)), cwd=folder / "packages")
        for package in sorted((folder / "packages").glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", str(package), str(folder / "root")], check=True)
        shutil.rmtree(target, ignore_errors=True)
        (folder / "root").rename(target)
    find()
