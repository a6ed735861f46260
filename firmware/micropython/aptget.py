"""apt as a plain downloader: sources and packages from the mirror that this machine is configured for, nothing installed.

All state (lists, archives, configuration) lives in a folder of the caller's, so no root is needed and the machine's own
apt is untouched. Signatures are checked by apt against the machine's keyrings. Release dates are not: a mirror that is
frozen on purpose is past its Valid-Until, and what is fetched here is pinned by SHA-256 or built in a scratch folder.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

_CONF = """\
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{parts}";
Dir::State::lists "{lists}";
Dir::State::status "{status}";
Dir::Cache "{cache}";
Dir::Cache::archives "{cache}/archives";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Debug::NoLocking "1";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
"""


class AptError(Exception):
    """apt is missing, or refused; the message says what was tried."""


def _run(command, **more):
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more
    )
    if done.returncode:
        tail = "\n  ".join(done.stdout.strip().splitlines()[-6:])
        raise AptError("`%s` failed:\n  %s" % (" ".join(command), tail))
    return done.stdout


def _config(*keys):
    """Values of apt's configuration paths, as apt-config resolves them."""
    pairs = [part for i, key in enumerate(keys) for part in ("K%d" % i, key + "/f")]
    out = _run(["apt-config", "shell", *pairs])
    found = dict(re.findall(r"^(K\d+)='(.*)'$", out, re.M))
    return [Path(found["K%d" % i]) for i in range(len(keys)) if "K%d" % i in found]


def _deb822(text):
    """Stanzas of a .sources file as dicts with lower-case keys; continuation lines are joined by newlines."""
    for block in re.split(r"\n\s*\n", text):
        stanza, key = {}, None
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in " \t" and key:
                stanza[key] += "\n" + line
            elif ":" in line:
                key, value = line.split(":", 1)
                key = key.strip().lower()
                stanza[key] = value.strip()
        if stanza:
            yield stanza


def _one_line(text):
    """Entries of a sources.list file in the shape of `_deb822`."""
    for line in text.splitlines():
        match = re.match(r"\s*(deb(?:-src)?)\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if not match:
            continue
        kind, options, uri, suite, components = match.groups()
        stanza = {"types": kind, "uris": uri, "suites": suite, "components": components}
        for option in (options or "").split():
            name, _, value = option.partition("=")
            if name.lower() == "signed-by":
                stanza["signed-by"] = value
        yield stanza


def configured_archives():
    """Archives of this machine's sources that carry `main` of a plain release: [(uri, signed_by or ""), ...].

    Those that look like the Debian main archive come first. Disabled entries, security and update suites and media are
    left out.
    """
    if not shutil.which("apt-get"):
        raise AptError("there is no apt-get on this machine")
    paths = _config("Dir::Etc::sourcelist", "Dir::Etc::sourceparts")
    files = [paths[0]] + [p for folder in paths[1:] if folder.is_dir() for p in sorted(folder.iterdir())]
    found = []
    for path in files:
        if not path.is_file() or path.suffix not in (".list", ".sources"):
            continue
        text = path.read_text(errors="replace")
        for entry in _deb822(text) if path.suffix == ".sources" else _one_line(text):
            plain = any(re.fullmatch(r"[a-z]+", suite) for suite in entry.get("suites", "").split())
            if (
                entry.get("enabled", "yes").lower() in ("no", "false", "0")
                or "main" not in entry.get("components", "").split()
                or not plain
            ):
                continue
            for uri in entry.get("uris", "").split():
                item = (uri.rstrip("/"), entry.get("signed-by", ""))
                if not uri.startswith("cdrom:") and item not in found:
                    found.append(item)
    if not found:
        raise AptError("apt has no archive with component main configured")
    return sorted(found, key=lambda item: not item[0].endswith("debian"))


def _private(folder, status):
    """Make apt's private state under `folder`; returns the environment that selects it."""
    for part in ("parts", "lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    paths = {"parts": folder / "parts", "lists": folder / "lists", "cache": folder / "cache", "status": status}
    (folder / "apt.conf").write_text(_CONF.format(**paths))
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR") or k.lower().endswith("_proxy")}
    return dict(keep, APT_CONFIG=str(folder / "apt.conf"), LC_ALL="C", DEBIAN_FRONTEND="noninteractive")


def fetch_sources(folder, packages, suites, say, binaries=()):
    """Download the upstream tarballs of source packages into `folder`, and binary packages as they are, from the first suite
    that has them all.

    Returns the paths of the .orig tarballs, in the order of `packages`, then those of the .deb files. Raises AptError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "apt"
    troubles = []
    for suite in suites:
        for uri, signed_by in configured_archives():
            shutil.rmtree(state, ignore_errors=True)
            environment = _private(state, "/dev/null")
            types = "deb deb-src" if binaries else "deb-src"
            entry = "Types: %s\nURIs: %s\nSuites: %s\nComponents: main\nCheck-Valid-Until: no\n" % (types, uri, suite)
            if signed_by:
                entry += "Signed-By: %s\n" % signed_by
            (state / "parts/source.sources").write_text(entry)
            get = ["apt-get", "-q", "--only-source", "--download-only", "--tar-only", "source", *packages]
            try:
                _run(["apt-get", "-q", "update", "--error-on=any"], env=environment)
                _run(get, env=environment, cwd=str(folder))
                if binaries:
                    _run(["apt-get", "-q", "download", *binaries], env=environment, cwd=str(folder))
                found = [sorted(folder.glob(name + "_*.orig.tar.*")) for name in packages]
                found += [sorted(folder.glob(name + "_*.deb")) for name in binaries]
                if all(found):
                    return [files[-1] for files in found]
                troubles.append("%s: no upstream tarball" % suite)
            except AptError as trouble:
                troubles.append("%s: %s" % (suite, trouble))
                say("the source packages are not to be had from %s" % suite)
            finally:
                shutil.rmtree(state, ignore_errors=True)
    raise AptError("no %s in %s\n%s" % (" and ".join([*packages, *binaries]), ", ".join(suites), "\n".join(troubles)))


def missing(packages):
    """Those of `packages` that dpkg does not know as installed."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", *packages],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    installed = {line.split()[0] for line in done.stdout.splitlines() if line.rstrip().endswith("ii")}
    return [name for name in packages if name not in installed]


def install(packages):
    """Install packages on this machine; root only. Recommended packages stay away."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C")
    command = ["apt-get", "-q", "-y", "--no-install-recommends", "install", *packages]
    try:
        _run(command, env=environment)
    except AptError:
        # A fresh container has no package lists, and old lists name files that the mirror no longer has.
        _run(["apt-get", "-q", "update"], env=environment)
        _run(command, env=environment)


def unpack(folder, packages):
    """Unpack packages, and those of their dependencies that are not installed, into `folder`; needs no root."""
    state = folder.with_name(folder.name + ".apt")
    shutil.rmtree(state, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        environment = _private(state, "/var/lib/dpkg/status")
        own = _config("Dir::Etc::sourcelist", "Dir::Etc::sourceparts")
        for path in [own[0], *(p for part in own[1:] if part.is_dir() for p in part.iterdir())]:
            if path.is_file() and path.suffix in (".list", ".sources"):
                shutil.copy(path, state / "parts" / path.name)
        _run(["apt-get", "-q", "update"], env=environment)
        options = ["-y", "--no-install-recommends", "--download-only"]
        _run(["apt-get", "-q", *options, "install", *packages], env=environment)
        folder.mkdir(parents=True)
        for package in sorted((state / "cache/archives").glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(folder)])
    finally:
        shutil.rmtree(state, ignore_errors=True)
