"""`picoswarm deploy`, with the real mpremote, on 32-bit MicroPythons with a littlefs of their own: what is copied and what
is not, and what is on the board after the power went."""

import dataclasses
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from picoswarm_tools.cli import main
from picoswarm_tools.runtimes import ROOT
from picoswarm_tools.shipping import board as boards
from picoswarm_tools.shipping import deploy, payload
from picoswarm_tools.shipping.exits import Failed, NoDevice
from picoswarm_tools.shipping.payload import File
from picoswarm_tools.shipping.remote import Remote
from pty_board import PtyBoard

LONG = bool(os.environ.get("PICOSWARM_LONG"))
BOOT = b"import landing\nlanding.land()\n"


@pytest.fixture
def there(tmp_path):
    with PtyBoard(tmp_path / "flash") as board:
        yield board


@pytest.fixture
def pty_board(monkeypatch):
    """A board of the checkout whose native code the machine of the tests runs."""
    made = dataclasses.replace(boards.all_boards()[0], arch="x86")
    monkeypatch.setattr(boards, "all_boards", lambda: [made])
    return made.name


def release(number, extra=3, size=900):
    """A set of files that says which it is: each holds the number, one of them is only in this release."""
    noise = random.Random(number).randbytes(size)
    named = {f"/lib/part_{i}.py": b"RELEASE = %d  # %s\n" % (number, noise.hex().encode()) for i in range(extra)}
    named[f"/lib/picoswarm/only_in_{number}.py"] = b"RELEASE = %d\n" % number
    own = [
        File("/landing.py", (payload.FIRMWARE / "landing.py").read_bytes()),
        File("/boot.py", BOOT),
        File("/main.py", b"print('release', %d)\n" % number),
    ]
    return own + [File(path, data) for path, data in sorted(named.items())]


def bring(port, files, is_dry=False, seconds=20):
    """Deploy a release; the facts."""
    remote = Remote(port, seconds)
    there = remote.inventory([file.path for file in files], [payload.LIBRARY, deploy.STAGE])
    return deploy.deploy_files(remote, files, there, is_dry, lambda *_: None)


def which(port, *releases):
    """Of which release exactly the files are on the board, with nothing that waits to land; None: of no one."""
    paths = {file.path for files in releases for file in files}
    there = Remote(port).inventory(sorted(paths), [payload.LIBRARY, "/.ready"])
    for files in releases:
        right = all(there["files"][file.path] == file.digest for file in files)
        wanted = {file.path.rsplit("/", 1)[1] for file in files if file.path.startswith(payload.LIBRARY)}
        if right and set(there["folders"][payload.LIBRARY]) == wanted and not there["folders"]["/.ready"]:
            return files
    return None


def holds(port, files):
    return which(port, files) is files


def test_the_whole_library_arrives_works_and_is_not_copied_again(there, pty_board, tmp_path):
    app = tmp_path / "mine.py"
    app.write_text("WHO = 'the user'\n")
    command = ["deploy", pty_board, there.port, "--no-reset", "--json", "--timeout", "240", "--app", str(app)]
    first = CliRunner().invoke(main, command)
    assert first.exit_code == 0, first.output
    facts = json.loads(first.output)
    assert {"/app.py", "/lib/profile.mpy", "/lib/picoswarm/node.mpy"} <= set(facts["changed"]) and facts["bytes"] > 100_000
    works = "import app, picoswarm, profile; print(app.WHO, picoswarm.Node, profile.PROFILE.records)"
    assert "the user <class 'Node'> 64" in Remote(there.port).execute(works)
    starts = there.starts
    again = json.loads(CliRunner().invoke(main, command).output)
    assert (again["changed"], again["removed"], again["written"]) == ([], [], False)
    assert again["kept"] == facts["kept"] + len(facts["changed"])
    assert there.starts == starts + 1  # the one that mpremote asks for: nothing else was restarted
    # A deployment that names no program leaves the one that is there.
    assert "/app.py" not in json.loads(CliRunner().invoke(main, command[:7]).output)["changed"]
    # It boots into what was deployed; which ends soon, where a radio should be.
    there.power_off()
    there.power_on()
    until = time.monotonic() + 60
    while b"boot: cause" not in there.said and time.monotonic() < until:
        time.sleep(0.1)
    assert b"boot: cause" in there.said


def test_only_what_changed_is_copied_and_what_is_gone_goes(there):
    old, new = release(1), release(2)
    assert len(bring(there.port, old)["changed"]) == len(old)
    mixed = [*old[:3], new[3], *old[4:]]
    assert bring(there.port, mixed)["changed"] == [new[3].path]
    facts = bring(there.port, new)
    assert facts["removed"] == ["/lib/picoswarm/only_in_1.py"] and facts["kept"] == 3
    assert holds(there.port, new)


def test_a_dry_run_changes_nothing(there):
    facts = bring(there.port, release(1), is_dry=True)
    assert len(facts["changed"]) == len(release(1)) and not facts["written"]
    assert "main.py" not in Remote(there.port).execute("import os; print(os.listdir('/'))")


def test_an_interrupted_deployment_goes_on_where_it_stopped(there):
    old, new = release(1), release(2, extra=12, size=2000)
    bring(there.port, old)
    remote = Remote(there.port)
    inventory = remote.inventory([file.path for file in new], [payload.LIBRARY, deploy.STAGE])
    starts = there.starts

    def pull(_what, done, _total):
        if done == 8:
            there.power_off()

    with pytest.raises((Failed, NoDevice)):
        deploy.deploy_files(remote, new, inventory, False, pull)
    there.power_on()
    assert holds(there.port, old) and there.starts > starts
    facts = bring(there.port, new)
    assert 4 <= facts["resumed"] < len(facts["changed"])
    assert holds(there.port, new)


def operations(tmp_path, files):
    """Erase and program operations of one deployment over release 1."""
    with PtyBoard(tmp_path / "counted", cut=1 << 30) as board:
        bring(board.port, release(1))
        bring(board.port, files)
        left = Remote(board.port).execute("import machine; print('left', machine.flash.cut)", is_resumed=True)
        return (1 << 30) - int(left.split("left")[1])


def test_a_power_cut_leaves_the_old_release_or_the_new_one(tmp_path):
    old, new = release(1), release(2)
    total = operations(tmp_path, new)
    cuts = range(1, total + 1) if LONG else sorted(random.Random(4).sample(range(1, total - 9), 2)) + [total]
    flash = tmp_path / "flash"
    with PtyBoard(flash) as board:
        bring(board.port, old)
    before = flash.read_bytes()
    states = []
    for cut in cuts:
        flash.write_bytes(before)
        with PtyBoard(flash, cut=cut) as board:
            with pytest.raises((Failed, NoDevice)):
                bring(board.port, new)
            assert board.is_dead
            board.power_on()
            found = which(board.port, old, new)
            assert found is not None, f"cut {cut} of {total} left a mixture"
            states.append(found is new)
            assert f"release {1 + states[-1]}".encode() in bytes(board.said)
            if LONG or cut == cuts[0]:
                bring(board.port, new)
                assert holds(board.port, new)
    assert states[-1] and not states[0], states  # the last operation comes after the rename that decides


def test_a_second_power_cut_while_the_files_land_at_the_next_start_changes_nothing(tmp_path):
    old, new = release(1), release(2)
    flash = tmp_path / "flash"
    with PtyBoard(flash) as board:
        bring(board.port, old)
        # All is staged and decided; nothing has landed yet.
        remote = Remote(board.port)
        inventory = remote.inventory([file.path for file in new], [payload.LIBRARY, deploy.STAGE])
        deploy._stage(remote, deploy.plan(new, inventory), deploy.plan(new, inventory).changed, lambda *_: None)
        remote.execute("import os; os.rename('/.stage', '/.ready')", is_resumed=True)
        board.power_off()
        for cut in (2, 1):
            board.power_on(cut)
            assert board._gone.wait(20), "it had nothing to land"
        board.power_on()
        assert holds(board.port, new)


def test_a_blank_board_that_was_cut_after_the_rename_is_deployed_again(tmp_path):
    first, second = release(1), release(2)
    with PtyBoard(tmp_path / "flash") as board:
        remote = Remote(board.port)
        todo = deploy.plan(first, remote.inventory([], [deploy.STAGE]))
        deploy._stage(remote, todo, todo.changed, lambda *_: None)
        remote.execute("import os; os.rename('/.stage', '/.ready')", is_resumed=True)
        board.power_off()
        board.power_on()
        assert bring(board.port, second)["written"]
        assert holds(board.port, second)


def test_the_library_goes_into_romfs_and_leaves_the_file_system(there):
    files = release(1)
    bring(there.port, files)
    library = [file for file in files if file.path.startswith(payload.LIBRARY)]
    assert deploy.deploy_rom(Remote(there.port), library, False)["written"]
    assert not deploy.deploy_rom(Remote(there.port), library, False)["written"]
    bring(there.port, [file for file in files if file not in library])
    output = Remote(there.port).execute("import os, picoswarm.only_in_1 as part; print(part.RELEASE, os.listdir('/lib'))")
    assert output.startswith("1 ") and "picoswarm" not in output


def test_a_firmware_without_romfs_is_told_apart(tmp_path):
    with PtyBoard(tmp_path / "flash", rom_bytes=0) as board, pytest.raises(Failed, match="ROMFS"):
        deploy.deploy_rom(Remote(board.port), release(1), False)


def test_the_library_of_another_chip_is_refused_before_anything_is_copied(there):
    done = CliRunner().invoke(main, ["deploy", "ESP32_GENERIC", there.port])
    assert done.exit_code == 1 and "xtensawin" in done.output, done.output
    assert "picoswarm" not in Remote(there.port).execute("import os; print(os.listdir('/'))")


def test_nothing_at_the_port_is_no_device(tmp_path):
    done = CliRunner().invoke(main, ["deploy", "RPI_PICO_W", str(tmp_path / "ttyACM7")])
    assert done.exit_code == 3 and "doctor" in done.output, done.output


def test_a_board_that_never_ends_is_a_timeout(there):
    with pytest.raises(Exception) as caught:
        Remote(there.port, 3).execute("while True: pass")
    assert caught.value.exit_code == 4


def mpremote(board, *arguments):
    command = [sys.executable, "-m", "mpremote", "connect", board.port, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_mip_installs_the_package(tmp_path):
    """Some of the modules that package.json names; that it names all is held by test_install.py. The file system is that of
    an ESP32 with 4 MB of flash: a Pico W's is too small for all sources."""
    package = json.loads((ROOT / "package.json").read_text())
    some = ("rooterror", "errors", "wire", "compat", "__init__")
    package["urls"] = [pair for pair in package["urls"] if LONG or Path(pair[0]).stem in some]
    (tmp_path / "package.json").write_text(json.dumps(package))
    (tmp_path / "lib").symlink_to(ROOT / "lib")
    program = "import os, picoswarm.errors; print(len(os.listdir('/lib/picoswarm')), picoswarm.errors.Malformed)"
    with PtyBoard(tmp_path / "flash", blocks=512) as board:
        mpremote(board, "mip", "install", "--target", "/lib", str(tmp_path / "package.json"))
        said = mpremote(board, "exec", program)
    assert said.split(" ", 1) == [str(len(package["urls"])), "<class 'Malformed'>\n"]


def test_a_board_imports_the_library_from_this_computer_by_mount(there):
    output = mpremote(there, "mount", str(ROOT / "lib"), "exec", "import picoswarm.errors as e; print(e.Malformed)")
    assert "<class 'Malformed'>" in output
