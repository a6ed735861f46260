"""What happens to a gateway that runs for a year: disks fill up, clocks are set, libraries fail, keys change."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace

import structlog
from picoswarm.store import Store
from picoswarm_gateway import loops as loops_module
from picoswarm_gateway import nodefile
from picoswarm_gateway.families.dialing import Dialing
from picoswarm_gateway.families.mailbox import DAY_S, FORGOTTEN_DAYS, MailboxFamily, MailboxTable
from picoswarm_gateway.families.mqtt import seen as seen_module
from picoswarm_gateway.families.mqtt.broker import Broker
from picoswarm_gateway.families.mqtt.seen import Seen
from picoswarm_gateway.families.mqtt.table import MqttTable
from picoswarm_gateway.gateway import Gateway
from picoswarm_gateway.known import KnownNode
from picoswarm_gateway.loops import Loops
from picoswarm_gateway.node import HostNode
from picoswarm_gateway.state import State
from small_mesh import until
from test_mqtt_broker import Dialed

SLEEPER, WRITER, GATEWAY = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32
LOG = structlog.get_logger("test")


class Published(asyncio.Queue):
    """A subscription of a node."""

    def __aiter__(self):
        return self

    __anext__ = asyncio.Queue.get

    def close(self) -> None:
        pass


def with_mailbox(folder: Path, story) -> None:
    """Run a coroutine function of (mailbox, what the mesh publishes, the gateway around it)."""

    async def whole() -> None:
        state = State(folder / "state.sqlite")
        await state.open()
        published = Published()
        revoked: set[bytes] = set()
        node = SimpleNamespace(
            subscribe=lambda topics: published, session=lambda id32: None, is_revoked=revoked.__contains__, revoked=revoked
        )
        owners = SimpleNamespace(owner=lambda box: GATEWAY, listen=lambda _listener: None)
        gateway = SimpleNamespace(db=state, node=node, id=GATEWAY, owners=owners, log=LOG, loops=Loops(LOG))
        mailbox = MailboxFamily(MailboxTable(bytes=100))
        await mailbox.start(gateway)
        try:
            await story(mailbox, published, gateway)
        finally:
            await mailbox.stop()
            await state.close()

    asyncio.run(whole())


def say(text: bytes) -> SimpleNamespace:
    return SimpleNamespace(topic="garden/gate", payload=text, origin=WRITER)


def test_a_loop_that_fails_is_said_and_begins_again(monkeypatch):
    monkeypatch.setattr(loops_module, "FIRST_S", 0.01)

    async def story():
        loops, runs = Loops(LOG), []

        async def run():
            runs.append(len(runs))
            if len(runs) < 3:
                raise RuntimeError("the pipe burst")
            await asyncio.Event().wait()

        with structlog.testing.capture_logs() as logged:
            task = loops.begin("plumbing", run)
            await until(lambda: len(runs) == 3)
        assert loops.state()["plumbing"]["count"] == 2 and "burst" in loops.state()["plumbing"]["last"]
        assert [line["loop"] for line in logged] == ["plumbing"], "the same trouble is not said each time"
        await loops.end([task])
        assert task.cancelled()

    asyncio.run(story())


def test_what_fails_in_the_background_is_in_the_gateways_state(mesh):
    async def story():
        async with Gateway(mesh.config()) as gateway, mesh.node("board", gateway) as node:
            gateway.listen(lambda event: 1 // 0)
            await until(lambda: "events: connected" in gateway.state()["faults"])
            assert "picoswarm_faults_total" in gateway.operations.metrics.render()[0].decode()
            await until(node.sessions)

    asyncio.run(story())


def test_sleepers_get_their_mail_although_some_was_too_long_and_the_disk_was_full(tmp_path):
    async def story(mailbox, published, gateway):
        await mailbox.follow(SLEEPER, b"\x08garden/#")
        published.put_nowait(say(b"x" * 200))  # longer than a box
        await until(lambda: mailbox.dropped == 1)
        change, gateway.db.change = gateway.db.change, full
        published.put_nowait(say(b"lost"))
        await until(lambda: mailbox.failed == 1)
        gateway.db.change = change
        published.put_nowait(say(b"shut"))
        await until(lambda: mailbox.put == 1)
        assert (await mailbox._take(SLEEPER, bytes(4))).endswith(b"shut")
        assert gateway.loops.state()["mailbox: listening"]["count"] == 1

    async def full(change):
        raise sqlite3.OperationalError("database or disk is full")

    with_mailbox(tmp_path, story)


def test_mail_of_before_the_clock_was_set_is_as_old_as_it_was(tmp_path, monkeypatch):
    async def story(mailbox, published, gateway):
        await mailbox.follow(SLEEPER, b"\x08garden/#")
        await mailbox.submit(WRITER, SLEEPER + b"a letter")
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + 1000 * DAY_S)  # it began without a clock, and asked for the time
        await mailbox.sweep()
        assert mailbox.expired == 0 and mailbox.state()["sleepers"] == 1
        answer = await mailbox._take(SLEEPER, bytes(4))
        assert int.from_bytes(answer[38:42], "big") < 60
        monkeypatch.setattr(time, "time", now)
        await mailbox.sweep()
        assert mailbox.expired == 0

    with_mailbox(tmp_path, story)


def test_filters_of_boards_that_never_came_back_and_all_of_revoked_ones_go(tmp_path):
    async def story(mailbox, published, gateway):
        await mailbox.follow(SLEEPER, b"\x08garden/#")
        await mailbox.follow(WRITER, b"\x08garden/#")
        await mailbox.submit(SLEEPER, WRITER + b"a letter")
        await mailbox.sweep()
        assert mailbox.state()["sleepers"] == 2
        old = time.time() - (FORGOTTEN_DAYS + 1) * DAY_S
        await gateway.db.write("UPDATE mailbox_filters SET at = ? WHERE box = ?", (old, SLEEPER))
        gateway.node.revoked.add(WRITER)
        await mailbox.sweep()
        assert mailbox.state()["sleepers"] == 0
        assert await gateway.db.read("SELECT * FROM mailbox_filters") == []
        assert await gateway.db.read("SELECT * FROM mailbox_mail") == []

    with_mailbox(tmp_path, story)


def test_the_file_keeps_no_more_acknowledged_messages_than_count(tmp_path, monkeypatch):
    monkeypatch.setattr(seen_module, "MOST", 10)
    monkeypatch.setattr(seen_module, "TRIM_S", 0.0)

    async def story():
        state = State(tmp_path / "state.sqlite")
        await state.open()
        seen = Seen(state)
        await seen.start()
        for number in range(50):
            await seen.add(SLEEPER, number)
        await state.settle()
        ((count,),) = await state.read("SELECT count(*) FROM mqtt_seen")
        assert 10 <= count <= 11 and seen.has(SLEEPER, 49)
        await state.close()

    asyncio.run(story())


def test_a_disk_that_breaks_for_a_while_stops_the_state_for_no_longer(tmp_path, monkeypatch):
    class Disk(sqlite3.Connection):
        is_broken = False

        def execute(self, sql, *values):
            if Disk.is_broken and sql in ("COMMIT", "ROLLBACK"):
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *values)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *path, **more: connect(*path, **more, factory=Disk))

    async def story():
        state = State(tmp_path / "state.sqlite")
        await state.open()
        await state.adopt("part", ["CREATE TABLE part (number INTEGER)"])
        Disk.is_broken = True
        for _ in range(2):
            try:
                async with asyncio.timeout(10):
                    await state.write("INSERT INTO part VALUES (1)")
                raise AssertionError("it is not on the disk")
            except sqlite3.OperationalError as error:
                assert "I/O" in str(error)
        Disk.is_broken = False
        async with asyncio.timeout(10):
            await state.write("INSERT INTO part VALUES (2)")
        assert await state.read("SELECT number FROM part") == [(2,)] and not state.fault
        await state.close()

    asyncio.run(story())


def test_the_broker_is_dialed_again_whatever_a_library_comes_upon():
    async def story():
        tries = []

        def client(*_arguments, **_named):
            tries.append(1)
            raise KeyError("a packet that nobody foresaw")

        async def soon(_seconds: float) -> None:
            await asyncio.sleep(0)

        broker = Broker(MqttTable(url="mqtt://127.0.0.1:1"), "id", "picoswarm/status/gateway/id", LOG, client)
        loops = Loops(LOG)
        dialing = Dialing(Dialed(broker), loops, soon)
        dialing.start()
        await until(lambda: len(tries) > 2)
        assert "foresaw" in broker.trouble and "foresaw" in next(iter(loops.state().values()))["last"]
        await dialing.stop()

    asyncio.run(story())


def test_a_change_of_keys_that_ends_all_sessions_at_once_is_told_of_each(tmp_path):
    async def story():
        node = HostNode(Store(str(tmp_path)), bytes(range(32)))
        for number in range(400):
            node.events.put(("disconnected", number, 9))
        assert (await anext(node.events))[1] == 0

    asyncio.run(story())


def test_after_a_restart_it_still_knows_who_may_come_back_from_before_a_revocation(mesh):
    async def story():
        config = mesh.config()
        state = State(Path(config.mesh.folder) / "state.sqlite")
        await state.open()
        await nodefile.load(state)
        nodefile.save(state, [KnownNode(SLEEPER, "sleeper", last_seen=time.time())])
        await state.close()
        async with Gateway(config) as gateway:
            knows = gateway.node.swarm.membership.remembers
            assert knows(SLEEPER) and not knows(WRITER)

    asyncio.run(story())
