"""The family `update`: bundles, the API, the commands, and what the gateway knows of boards (docs/updates.md)."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from picoswarm.appslots import UPDATE_KEY
from picoswarm.manifest import Header
from picoswarm.store import Store
from picoswarm.update import Updater
from picoswarm_gateway.families.update import bundle, keyfile
from picoswarm_gateway.families.update.bundle import Bundle, Refused
from picoswarm_gateway.families.update.family import Told, UpdateFamily, UpdateTable
from picoswarm_gateway.gateway import Gateway
from picoswarm_tools.cli import main
from running_mesh import RunningMesh
from small_mesh import SmallMesh, until

KEY = Ed25519PrivateKey.generate()
FILES = {"app.py": b"print(1)\n", "lib/x.bin": bytes(range(200)) * 3}


def made(version: int = 3, boards: tuple[str, ...] = ("x",), files: dict[str, bytes] = FILES) -> Bundle:
    return bundle.make(files, version, list(boards), KEY)


# Bundles


def test_a_bundle_is_read_back_as_it_was_made():
    raw = made(7, ("RPI_PICO_W", "armv7m")).raw
    read = Bundle(raw)
    assert read.files == FILES and read.boards == ["RPI_PICO_W", "armv7m"] and read.header.version == 7
    assert read.is_signed_by(KEY.public_key().public_bytes_raw())
    assert not read.is_signed_by(Ed25519PrivateKey.generate().public_key().public_bytes_raw())


def test_every_flipped_bit_of_a_bundle_is_found():
    raw = made().raw
    public = KEY.public_key().public_bytes_raw()
    for at in range(len(raw)):
        damaged = raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]
        with suppress(Refused):
            assert not Bundle(damaged).is_signed_by(public), at
    for damaged in (b"", raw[:-1], raw + b"x"):
        with pytest.raises(Refused):
            Bundle(damaged)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"version": 0}, "version"),
        ({"version": 1 << 30}, "version"),
        ({"boards": []}, "Name the boards"),
        ({"boards": ["two words"]}, "Name the boards"),
        ({"boards": ["x" * 97]}, "at most 96"),
        ({"files": {"app.py": b"", "../x": b""}}, "cannot be the name"),
        ({"files": {"app.py": b"", ".update": b""}}, "cannot be the name"),
        ({"files": {"app.py": b"", "App.py": b""}}, "upper and lower"),
        ({"files": {f"f{i}": b"" for i in range(65)}}, "64 files"),
        ({"files": {"app.py": bytes(300_000)}}, "more than an update may have"),
    ],
)
def test_what_no_board_would_take_is_not_made(change, word):
    with pytest.raises(Refused, match=word):
        bundle.make(**{"files": FILES, "version": 1, "boards": ["x"], "key": KEY, **change})


def test_a_folder_without_an_application_or_with_a_key_is_no_update(tmp_path):
    (tmp_path / "lib.py").write_bytes(b"")
    with pytest.raises(Refused, match="neither app.py nor app.mpy"):
        bundle.read_folder(tmp_path)
    (tmp_path / "app.mpy").write_bytes(b"M")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_bytes(b"")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x").write_bytes(b"")
    assert set(bundle.read_folder(tmp_path)) == {"app.mpy", "lib.py"}
    keyfile.create(tmp_path / "update.key")
    with pytest.raises(Refused, match="private key"):
        bundle.read_folder(tmp_path)


def test_a_key_file_is_for_its_owner_and_is_not_overwritten(tmp_path):
    path = tmp_path / "update.key"
    key = keyfile.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keyfile.load(path).private_bytes_raw() == key.private_bytes_raw()
    assert keyfile.load_public(path) == keyfile.load_public(keyfile.public_path(path)) == key.public_key().public_bytes_raw()
    with pytest.raises(Refused, match="holds a key"):
        keyfile.create(path)
    path.chmod(0o640)
    with pytest.raises(Refused, match="chmod 600"):
        keyfile.load(path)
    path.chmod(0o600)
    path.write_text("nonsense")
    with pytest.raises(Refused, match="no key file"):
        keyfile.load_public(path)


# The family


def serve(family: UpdateFamily, payload: bytes) -> bytes:
    return family._serve(bytes(32), payload)


def test_a_folder_of_bundles_is_offered_the_newest_for_each_board(tmp_path):
    async def scenario():
        mesh = SmallMesh(tmp_path)
        folder = tmp_path / "bundles"
        folder.mkdir()
        for each in (made(3), made(4), made(9, ("y",))):
            (folder / f"{each.header.version}.update").write_bytes(each.raw)
        (folder / "broken.update").write_bytes(made(10).raw[:-1])
        (folder / "notes.txt").write_bytes(b"not a bundle")
        async with Gateway(mesh.config(update=UpdateTable(folder=str(folder)))) as gateway:
            family = gateway.families["update"]
            assert set(family.bundles) == {"3.update", "4.update", "9.update"} and family.refused == 1
            ask = bytes(5)
            assert Header(serve(family, ask + b"x")).version == 4
            assert Header(serve(family, ask + b"armv6m y x")).version == 9
            assert serve(family, ask + b"z") == b"" and serve(family, b"\0" + (4).to_bytes(4) + b"x") == b""
            assert serve(family, b"\2" + made(3).header.id + bytes(2)) == FILES["app.py"]
            (folder / "9.update").unlink()
            family._scan()
            assert serve(family, ask + b"y") == b"", "what is taken out is offered no longer"

    asyncio.run(scenario())


def test_a_gateway_with_the_public_key_refuses_bundles_of_another(tmp_path):
    async def scenario():
        mesh = SmallMesh(tmp_path)
        config = mesh.config()
        Store(str(tmp_path / "gateway")).write(UPDATE_KEY, bytes(range(32)))
        async with Gateway(config) as gateway:
            with pytest.raises(Refused, match="another key"):
                gateway.families["update"].put(made().raw)

    asyncio.run(scenario())


def test_pieces_are_limited_for_all_boards_together(tmp_path):
    async def scenario():
        async with Gateway(SmallMesh(tmp_path).config(update=UpdateTable(pieces=5))) as gateway:
            family = gateway.families["update"]
            family.put(made().raw)
            with pytest.raises(Exception, match="later"):
                for _ in range(100):
                    serve(family, b"\2" + made().header.id + bytes(2))

    asyncio.run(scenario())


def test_a_board_is_told_of_a_bundle_at_once_and_the_gateway_follows_it(tmp_path):
    async def scenario():
        mesh = SmallMesh(tmp_path)
        async with Gateway(mesh.config()) as gateway:
            store = mesh.store("board")
            store.write(UPDATE_KEY, KEY.public_key().public_bytes_raw())
            (tmp_path / "root").mkdir()
            async with mesh.node("board", gateway) as board:
                await until(lambda: board.contact(gateway.id))
                await board.request(gateway.id, "about")
                updater = Updater(board, ["x"], f"{tmp_path / 'root'}/")
                updater.start()
                await until(lambda: gateway.id in updater._asked)  # and got nothing
                family = gateway.families["update"]
                family.put(made().raw)
                async with asyncio.timeout(30):
                    await updater.ready.wait()
                await family.ask(board.id)
                told = family.told[board.id]
                assert (told.version, told.trial, told.state()) == (3, 1, "on trial")
                assert gateway.operations.nodes.find("board").row()["app"] == "version 3, on trial"
                updater.confirm()
                await family.ask(board.id)
                (node,) = family.overview()["nodes"]
                assert (node["name"], node["version"], node["state"]) == ("board", 3, "runs")
                updater.stop()

    asyncio.run(scenario())


def test_a_state_that_is_too_short_is_none():
    assert Told.parse(bytes(16)) is None
    told = Told.parse(b"\2" + (5).to_bytes(4) * 3 + (1).to_bytes(2) + (9).to_bytes(2) + b"no room\xff")
    assert (told.trial, told.fetching, told.chunks, told.of, told.trouble) == (2, 5, 1, 9, "no room\ufffd")
    assert told.state() == "fetching" and told.text() == "version 5; fetching 5: 1 of 9"


# Commands and API


def command(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["update", *map(str, words)], env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_three_commands_bring_an_application_to_a_gateway(tmp_path):
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_bytes(b"print(1)\n")
    node = tmp_path / "node"
    Store(str(node))
    key = tmp_path / "update.key"
    status, said = command("keygen", "--key", key, node)
    assert status == 0 and "trusts it" in said
    assert Store(str(node)).read(UPDATE_KEY) == keyfile.load_public(key)
    status, said = command("keygen", "--key", key, node, "--json")
    assert status == 0 and json.loads(said)["made"] is False
    out = tmp_path / "a.update"
    status, said = command("make", app, "--version", 3, "--board", "x", "--key", key, "-o", out, "--json")
    assert status == 0 and json.loads(said)["version"] == 3
    (tmp_path / "mesh").mkdir()
    with RunningMesh(tmp_path / "mesh") as mesh:
        at = ("--url", mesh.url, "--token", "a token for tests")
        status, said = command("push", out, *at)
        assert status == 0 and "offers version 3 for x" in said
        found = mesh.get("/api/updates")
        assert [each["version"] for each in found["bundles"]] == [3]
        status, said = command("status", *at)
        assert status == 0 and "version 3" in said and "none has told yet" in said
        status, said = command("status", *at, "--wait", "0.1")
        assert status == 4
        assert command("push", out, "--url", mesh.url)[0] == 1, "a write needs the token"
        status, said = command("make", app, "--version", 2, "--board", "x", "--key", key, "-o", out)
        status, said = command("push", out, *at)
        assert status == 1 and "Version 3" in said
        assert mesh.web.post("/api/updates", content=bytes(1 << 20), headers={}).status_code == 413
        (row,) = [each for each in mesh.get("/api/state")["families"].items() if each[0] == "update"]
        assert row[1]["bundles"] == 1


def test_mistakes_in_a_command_are_told_by_status(tmp_path):
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_bytes(b"")
    key = tmp_path / "k"
    assert command("make", app, "--board", "x")[0] == 2
    status, said = command("make", app, "--version", 1, "--board", "x", "--key", key)
    assert status == 1 and "keygen" in said
    assert command("keygen", "--key", key)[0] == 0
    assert command("make", app, "--version", 0, "--board", "x", "--key", key)[0] == 1
    node = tmp_path / "node"
    Store(str(node)).write(UPDATE_KEY, bytes(range(32)))
    status, said = command("keygen", "--key", key, node)
    assert status == 1 and "--replace" in said
    assert command("keygen", "--key", key, node, "--replace")[0] == 0
    (tmp_path / "x.update").write_bytes(os.urandom(300))
    assert command("push", tmp_path / "x.update")[0] == 1
    (tmp_path / "x.update").write_bytes(made().raw)
    assert command("push", tmp_path / "x.update", "--url", "http://127.0.0.1:1")[0] == 3
    assert command("status", "--url", "http://127.0.0.1:1")[0] == 3


def test_files_of_a_folder_keep_their_place(tmp_path):
    (tmp_path / "lib" / "deep").mkdir(parents=True)
    (tmp_path / "app.py").write_bytes(b"a")
    (tmp_path / "lib" / "deep" / "x.py").write_bytes(b"b")
    assert bundle.read_folder(Path(tmp_path)) == {"app.py": b"a", "lib/deep/x.py": b"b"}
