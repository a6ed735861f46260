"""What a board takes for an update, and what it does with neighbours that lie (docs/updates.md, docs/protocol.md 7.11)."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import picoswarm.appfiles
import picoswarm.taking
import picoswarm.update
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from picoswarm import Node
from picoswarm.appslots import APP, UPDATE_KEY, AppState
from picoswarm.failures import Busy
from picoswarm.serving import piece
from picoswarm.update import Updater
from picoswarm_gateway.families.update import bundle
from picoswarm_gateway.families.update.bundle import Bundle

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gateway"))
from small_mesh import HOST, SmallMesh, until  # noqa: E402

KEY = Ed25519PrivateKey.generate()
OTHER_KEY = Ed25519PrivateKey.generate()
FILES = {"app.py": b"print('hello')\n" * 100, "lib/empty.py": b"", "lib/x.bin": bytes(range(256)) * 3 + b"end"}
TURNS = 0.5  # seconds, in which a board asks several times


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    monkeypatch.setattr(picoswarm.update, "_TURN_MS", 50)
    monkeypatch.setattr(picoswarm.taking, "_PAUSE_MS", 0)
    monkeypatch.setattr(picoswarm.update, "_NEED_S", 0)
    gc.freeze()  # nodes collect when they start, and what pytest holds takes most of that time
    yield
    gc.unfreeze()


def made(version: int, files: dict[str, bytes] | None = None, boards: str = "x", key: Ed25519PrivateKey = KEY) -> Bundle:
    return bundle.make(files or FILES, version, [boards], key)


class Neighbour:
    """A node that offers a bundle to everybody, whatever they have. `lie` changes its answers to questions for pieces."""

    def __init__(self, offered: Bundle, lie: Callable[[bytes, bytes], bytes] = lambda question, answer: answer) -> None:
        self.offered = offered
        self.asked = self.pieces = 0
        self._lie = lie

    def __call__(self, _caller: bytes, payload: bytes) -> bytes:
        if payload[0] == 0:
            self.asked += 1
            return self.offered.header.text
        self.pieces += 1
        return self._lie(payload, piece(self.offered, payload))


class Scene:
    """A board with an Updater, and its neighbours. `root`: where the board's applications are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.root.mkdir()
        self.mesh = SmallMesh(folder)
        self.store = self.mesh.store("board")
        self.store.write(UPDATE_KEY, KEY.public_key().public_bytes_raw())
        self.board: Node | None = None
        self.updater: Updater | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Scene:
        self.board = self.mesh.node("board", profile={"bootstrap": 1, "start_ms": 0, "links": 8, "inbound": 8})
        await self._stack.enter_async_context(self.board)
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self.updater:
            self.updater.stop()
        await self._stack.aclose()

    def begin(self) -> None:
        """Start the updater of the board, or start it again as after a reset."""
        if self.updater:
            self.updater.stop()
        self.updater = Updater(self.board, ["x"], f"{self.root}/")
        self.updater.start()

    async def add(self, neighbour: Neighbour) -> Node:
        """A node that offers something, with a session with the board."""
        name = f"n{len(list(self.folder.iterdir()))}"
        node = self.mesh.node(name, f"{HOST}:{self.board._driver.port}", profile={"start_ms": 0})
        await self._stack.enter_async_context(node)
        node.handle("update", neighbour)
        await self.meet(node)
        return node

    async def meet(self, node: Node) -> None:
        await until(lambda: node.contact(self.board.id))
        await node.request(self.board.id, "about")

    def state(self) -> AppState:
        return AppState(self.store.read(APP))

    def files(self, slot: str = "app_a") -> dict[str, bytes]:
        folder = self.root / slot
        found = {path for path in folder.rglob("*") if path.is_file() and path.name != ".update"}
        return {str(path.relative_to(folder)): path.read_bytes() for path in found}

    def set_state(self, **values: int) -> None:
        state = self.state()
        for name, value in values.items():
            setattr(state, name, value)
        self.store.write(APP, state.encode())


def run(folder: Path, scenario) -> None:
    async def whole() -> None:
        async with asyncio.timeout(60), Scene(folder) as scene:
            await scenario(scene)

    asyncio.run(whole())


def is_with(scene: Scene, node: Node) -> bool:
    return any(session[0] == node.id for session in scene.board.sessions())


def test_a_signed_application_for_this_board_is_taken(tmp_path):
    async def scenario(scene):
        await scene.add(Neighbour(made(3)))
        scene.begin()
        await scene.updater.ready.wait()
        assert scene.files() == FILES
        state = scene.state()
        assert (state.slot, state.version, state.trial) == (1, 3, 1)

    run(tmp_path, scenario)


@pytest.mark.parametrize("what", ["wrong signature", "a manifest of another key", "altered version"])
def test_what_our_update_key_did_not_sign_is_not_taken_and_costs_the_session(what, tmp_path):
    async def scenario(scene):
        offered = made(3, key=OTHER_KEY if what == "a manifest of another key" else KEY)
        text = offered.header.text
        if what == "wrong signature":
            text = text[:-40] + bytes((text[-40] ^ 1,)) + text[-39:]
        if what == "altered version":
            text = text[:4] + b"\x09" + text[5:]
        offered.header.text = text
        neighbour = Neighbour(offered)
        node = await scene.add(neighbour)
        scene.begin()
        await until(lambda: not is_with(scene, node))
        assert "not signed" in scene.updater.trouble
        assert neighbour.pieces == 0 and not scene.files() and scene.state().floor == 0

    run(tmp_path, scenario)


def test_bytes_that_are_no_header_cost_the_session(tmp_path):
    async def scenario(scene):
        offered = made(3)
        offered.header.text = b"\1" * 300
        node = await scene.add(Neighbour(offered))
        scene.begin()
        await until(lambda: not is_with(scene, node))
        assert not scene.files()

    run(tmp_path, scenario)


@pytest.mark.parametrize("what", ["a downgrade", "the version that runs", "the wrong board", "no update key", "on trial"])
def test_what_is_not_for_this_board_now_is_not_fetched(what, tmp_path):
    async def scenario(scene):
        scene.set_state(floor=5, version=5, slot=2)
        version = {"a downgrade": 4, "the version that runs": 5}.get(what, 6)
        neighbour = Neighbour(made(version, boards="y" if what == "the wrong board" else "x"))
        node = await scene.add(neighbour)
        if what == "no update key":
            scene.store.remove(UPDATE_KEY)
        if what == "on trial":
            scene.set_state(trial=2)
        scene.begin()
        await asyncio.sleep(TURNS)
        if what not in ("no update key", "on trial"):
            await until(lambda: neighbour.asked)
            await asyncio.sleep(TURNS)
        assert neighbour.pieces == 0 and not scene.files() and scene.updater.progress() is None
        assert is_with(scene, node), "an honest mistake"

    run(tmp_path, scenario)


def test_a_lying_neighbour_is_caught_at_its_first_wrong_chunk_and_another_asked(tmp_path):
    async def scenario(scene):
        offered = made(3)

        def lie(question, answer):
            return answer if question[0] == 1 or question[-1] < 2 else b"evil" + answer[4:]

        liar, honest = Neighbour(offered, lie), Neighbour(offered)
        node = await scene.add(liar)
        scene.begin()
        await until(lambda: not is_with(scene, node))
        assert "wrong piece" in scene.updater.trouble and scene.updater.progress() == (3, 2, offered.header.chunks)
        await scene.add(honest)
        await scene.updater.ready.wait()
        assert scene.files() == FILES
        listing = (offered.header.listed + 255) // 256
        assert liar.pieces <= listing + 4 and honest.pieces == offered.header.chunks - 2, "what came before was kept"

    run(tmp_path, scenario)


def test_a_neighbour_that_lies_about_the_list_is_caught(tmp_path):
    async def scenario(scene):
        offered = made(3)
        node = await scene.add(Neighbour(offered, lambda question, answer: bytes(len(answer))))
        scene.begin()
        await until(lambda: not is_with(scene, node))
        assert "wrong piece" in scene.updater.trouble and not scene.files()
        await scene.add(Neighbour(offered))
        await scene.updater.ready.wait()
        assert scene.files() == FILES

    run(tmp_path, scenario)


def test_a_neighbour_that_falls_silent_is_followed_by_another(tmp_path):
    async def scenario(scene):
        offered = made(3)
        await scene.add(Neighbour(offered, lambda question, answer: answer if question[0] == 1 else b""))
        scene.begin()
        await until(lambda: scene.updater.progress() == (3, 0, offered.header.chunks))
        await scene.add(Neighbour(offered))
        await scene.updater.ready.wait()
        assert scene.files() == FILES

    run(tmp_path, scenario)


def test_a_reset_and_a_lost_link_at_every_chunk_cost_at_most_that_chunk(tmp_path):
    async def scenario(scene):
        offered = made(3)
        chunks = offered.header.chunks
        allowed = 0

        def cut(question, answer):
            return answer if question[0] == 1 or int.from_bytes(question[-2:]) < allowed else b""

        neighbour = Neighbour(offered, cut)
        await scene.add(neighbour)
        for allowed in range(chunks + 1):
            scene.begin()
            if allowed < chunks:
                await until(lambda at=allowed: scene.updater.progress() == (3, at, chunks))
        await scene.updater.ready.wait()
        assert scene.files() == FILES

    run(tmp_path, scenario)


@pytest.mark.parametrize("name", ["../boot.py", "/boot.py"])
def test_path_traversal_in_a_signed_update_writes_nothing_and_is_not_tried_again(name, tmp_path, monkeypatch):
    async def scenario(scene):
        (scene.root / "boot.py").write_bytes(b"good")
        monkeypatch.setattr(bundle, "check", lambda *what: None)  # the tool makes none
        monkeypatch.setattr(Bundle, "_parts", lambda self, rest: {})
        neighbour = Neighbour(made(3, {**FILES, name: b"evil" * 100}))
        await scene.add(neighbour)
        scene.begin()
        await until(lambda: scene.updater.trouble)
        assert "name" in scene.updater.trouble
        pieces = neighbour.pieces
        await asyncio.sleep(TURNS)
        assert neighbour.pieces == pieces and scene.files() == {} and scene.state().floor == 0
        assert (scene.root / "boot.py").read_bytes() == b"good"
        assert sorted(path.name for path in scene.root.iterdir()) == ["boot.py"]

    run(tmp_path, scenario)


def test_a_full_flash_is_told_and_leaves_the_application_as_it_is(tmp_path, monkeypatch):
    async def scenario(scene):
        (scene.root / "app_b").mkdir()
        (scene.root / "app_b" / "app.py").write_bytes(b"runs")
        scene.set_state(slot=2, version=1, floor=1)
        monkeypatch.setattr(picoswarm.appfiles, "free_bytes", lambda root: 1000)
        neighbour = Neighbour(made(3))
        await scene.add(neighbour)
        scene.begin()
        await until(lambda: "no room: version 3 needs" in scene.updater.trouble)
        assert neighbour.pieces == 0 and not (scene.root / "app_a").exists()
        assert scene.files("app_b") == {"app.py": b"runs"} and scene.state().version == 1

    run(tmp_path, scenario)


def test_a_flash_that_fills_up_on_the_way_is_told_and_tried_again_later(tmp_path, monkeypatch):
    async def scenario(scene):
        left = 4
        write = picoswarm.appfiles.AppFiles.write

        def full(self, name, at, data):
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(28, "no space")
            write(self, name, at, data)

        monkeypatch.setattr(picoswarm.appfiles.AppFiles, "write", full)
        monkeypatch.setattr(picoswarm.update, "_RETRY_S", 1)
        await scene.add(Neighbour(made(3)))
        scene.begin()
        await until(lambda: "no room" in scene.updater.trouble)
        assert not (scene.root / "app_a").exists()
        left = 1 << 20
        await scene.updater.ready.wait()
        assert scene.files() == FILES

    run(tmp_path, scenario)


def test_a_flash_that_keeps_failing_is_left_alone_for_longer_each_time(tmp_path):
    async def scenario(scene):
        scene.begin()
        rests = []
        for _ in range(9):
            scene.updater.rest()
            rests.append(scene.updater._rests_s - scene.updater._uptime)
        assert rests == [60, 120, 240, 480, 960, 1920, 3840, 3840, 3840]

    run(tmp_path, scenario)


def test_a_board_that_slept_remembers_its_troubles_and_tries_again_at_few_of_its_wakes(tmp_path, monkeypatch):
    async def scenario(scene):
        scene.begin()
        updater = scene.updater
        tried = 0
        for draw in range(256):
            monkeypatch.setattr(picoswarm.update, "urandom", lambda _n, draw=draw: bytes((draw,)))
            updater._rests_s = 0
            updater.remember(4)
            tried += updater._uptime >= updater._rests_s
        assert tried == 16 and updater.troubles == 4
        began = time.monotonic()
        await updater.settle(60_000)  # a board that rests does not stay awake for it
        assert time.monotonic() - began < 30
        monkeypatch.setattr(picoswarm.update, "urandom", lambda _n: b"\xff")
        updater._rests_s = 0
        updater.remember(0)
        assert updater._uptime >= updater._rests_s
        updater.remember(200)
        assert updater.troubles == 6

    run(tmp_path, scenario)


def test_one_update_at_a_time_and_the_newer_takes_the_place_of_the_older(tmp_path):
    async def scenario(scene):
        old, new = made(3), made(4, {"app.py": b"newer"})
        first = Neighbour(old, lambda question, answer: answer if question[0] == 1 else b"")
        await scene.add(first)
        scene.begin()
        await until(lambda: scene.updater.progress() == (3, 0, old.header.chunks))
        await scene.add(Neighbour(new))
        await scene.updater.ready.wait()
        assert scene.files() == {"app.py": b"newer"} and scene.state().version == 4
        assert [path.name for path in scene.root.iterdir()] == ["app_a"]

    run(tmp_path, scenario)


def test_pieces_are_handed_out_at_a_limited_rate(tmp_path):
    async def scenario(scene):
        await scene.add(Neighbour(made(3)))
        scene.begin()
        await scene.updater.ready.wait()
        scene.set_state(trial=0)
        scene.begin()
        await asyncio.sleep(0)
        question = b"\2" + made(3).header.id + bytes(2)
        answered = 0
        with pytest.raises(Busy):
            for _ in range(1000):
                answered += bool(scene.updater._serve(scene.board.id, question))
        assert 0 < answered <= 2 * picoswarm.update._PER_S

    run(tmp_path, scenario)


def test_a_board_that_is_about_to_sleep_waits_for_what_is_on_its_way(tmp_path):
    async def scenario(scene):
        offered = made(3)
        neighbour = Neighbour(made(1))
        scene.set_state(floor=1)
        await scene.add(neighbour)
        scene.begin()
        async with asyncio.timeout(20):
            await scene.updater.settle(60_000)
        assert neighbour.asked and not scene.updater.ready.is_set(), "nothing is left to fetch"
        neighbour.offered = offered
        scene.begin()
        async with asyncio.timeout(20):
            await scene.updater.settle(60_000)
        assert scene.updater.ready.is_set() and scene.files() == FILES
        began = asyncio.get_running_loop().time()
        scene.updater.ready.clear()
        scene.updater.fetch = object()
        await scene.updater.settle(200)
        assert asyncio.get_running_loop().time() - began >= 0.2
        scene.updater.fetch = None

    run(tmp_path, scenario)


def test_only_a_confirmed_application_is_handed_on(tmp_path):
    async def scenario(scene):
        await scene.add(Neighbour(made(3)))
        scene.begin()
        await scene.updater.ready.wait()
        ask = bytes(5) + b"x"
        scene.begin()
        assert scene.updater._serve(scene.board.id, ask) == b"", "on trial"
        scene.updater.confirm()
        assert scene.updater._serve(scene.board.id, ask) == made(3).header.text
        assert scene.state().trial == 0
        status = scene.updater._serve(scene.board.id, b"\4")
        assert status[:13] == b"\0" + (3).to_bytes(4) * 2 + bytes(4)

    run(tmp_path, scenario)


def test_odd_questions_are_answered_with_nothing(tmp_path):
    async def scenario(scene):
        scene.begin()
        for payload in (b"\1", b"\2" * 12, b"\xff", bytes(400), b"\3", b"\3" + bytes(3)):
            assert scene.updater._serve(scene.board.id, payload) == b""
        assert len(scene.updater._serve(scene.board.id, b"")) == 17

    run(tmp_path, scenario)
