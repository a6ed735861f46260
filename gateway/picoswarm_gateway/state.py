"""What outlives the gateway's process: one sqlite file, which one thread writes.

    await state.adopt("mailbox", ["CREATE TABLE mailbox_mail (...)"])     # once, at the start of the part that owns it
    await state.write("INSERT INTO mailbox_mail VALUES (?, ?)", (a, b))   # on the disk when this returns
    rows = await state.read("SELECT a FROM mailbox_mail")

`write` and `change` return after the commit that holds what they did has reached the disk (WAL, `synchronous=FULL`): what
was acknowledged survives `kill -9` and, if the disk keeps its word, a power cut. All that waits goes in one commit, each in
a savepoint of its own, so that many at once cost one `fsync` and one that fails harms no other.

The tables of a part carry its name in front. Its schema is the list of scripts that made it: to change a table, add a
script; `adopt` runs those that this file has not had yet.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

log = logging.getLogger("state")
Result = TypeVar("Result")
Row = tuple[Any, ...]
BATCH = 512  # changes in one commit
WAITING = 20_000  # changes that wait; `later` is refused then, `write` waits
BUSY_S = 5  # another process (a backup, say) holds the file
WAL_PAGES = 1000  # of 4 KiB: then what they hold moves to the file itself


class StateError(Exception):
    """The state cannot be used: the file is of a later version, or the state is closed."""


class _Job:
    """A change and who waits for it, if anybody."""

    __slots__ = ("change", "done", "result", "error")

    def __init__(self, change: Callable[[sqlite3.Connection], Any], done: Callable[[_Job], None] | None) -> None:
        self.change = change
        self.done = done
        self.result: Any = None
        self.error: BaseException | None = None


class State:
    """See the module. `open` and `close` frame its life; all but `later` is for the event loop that opened it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.commits = 0
        self.changes = 0  # that were committed
        self.failures = 0  # that were not
        self.refused = 0  # changes that nobody waits for, for which there was no room
        self.fault = ""  # why the last commit failed; empty: it did not
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._reading = threading.local()
        self._reading_open: list[sqlite3.Connection] = []
        self._room = asyncio.Semaphore(WAITING)

    async def open(self) -> None:
        """Open the file, made where there is none, and start the thread. A file that sqlite cannot read any more is set
        aside under another name, and a new one begun: a gateway without memory is better than none. Raises OSError and
        sqlite3.Error."""
        loop = asyncio.get_running_loop()
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = await loop.run_in_executor(None, self._open_or_set_aside)
        self._thread = threading.Thread(target=self._run, args=(connection,), name="state", daemon=True)
        self._thread.start()
        self._readers = ThreadPoolExecutor(2, "state-read")
        await self.adopt("state", [])

    async def close(self) -> None:
        """Commit what waits, and close the file."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, thread.join)
        if self._readers:
            self._readers.shutdown(wait=True)
        for connection in self._reading_open:
            connection.close()

    @property
    def is_open(self) -> bool:
        """Whether it takes changes."""
        return self._thread is not None

    # Changes

    async def change(self, change: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run a function of the connection in the writer's thread, and return what it returns once that is on the disk. It
        must not commit. Raises what it raises, then with none of it done, StateError, and sqlite3.Error where the disk is
        full or broken."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def done(_job: _Job) -> None:
            loop.call_soon_threadsafe(lambda: future.done() or future.set_result(None))

        async with self._room:
            if not self.is_open:
                raise StateError("the state is closed")
            job = _Job(change, done)
            self._jobs.put(job)
            await future
        if job.error:
            raise job.error
        return job.result

    async def write(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> int:
        """One statement; returns how many rows it changed. Errors as those of `change`."""
        return await self.change(lambda connection: connection.execute(sql, values).rowcount)

    def later(self, change: Callable[[sqlite3.Connection], Any]) -> bool:
        """As `change`, but nobody waits, from any thread. False: there was no room, or it is closed."""
        if self._thread is None or self._jobs.qsize() >= WAITING:
            self.refused += 1
            return False
        self._jobs.put(_Job(change, None))
        return True

    async def settle(self) -> None:
        """Return when all that was handed over by `later` before is on the disk, or has failed."""
        await self.change(lambda connection: None)

    async def read(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """The rows of a query, of the last commit. It runs beside the writer, and keeps nobody waiting."""
        if not self.is_open or self._readers is None:
            raise StateError("the state is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, sql, values)

    async def adopt(self, part: str, scripts: Sequence[str]) -> None:
        """Bring the tables of a part to the version len(scripts): each script holds the statements of one step. Raises
        StateError where the file has had more of them."""

        def change(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT version FROM schema WHERE part = ?", (part,)).fetchone()
            had = row[0] if row else 0
            if had > len(scripts):
                raise StateError(f"{self.path}: {part} is of version {had}, this program knows {len(scripts)}")
            for script in scripts[had:]:
                for statement in _statements(script):
                    connection.execute(statement)
            connection.execute("INSERT OR REPLACE INTO schema VALUES (?, ?)", (part, len(scripts)))

        await self.change(change)

    # The threads

    def _connect(self) -> sqlite3.Connection:
        # Transactions are ours: sqlite3's own way of beginning them knows no savepoints.
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
        return connection

    def _open_or_set_aside(self) -> sqlite3.Connection:
        try:
            return self._prepare()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, full, not allowed: nothing is wrong with the file
                raise
            aside = self.path.with_name(f"{self.path.name}.broken-{int(time.time())}")
            log.error("the state cannot be read (%s): it is set aside as %s, and a new one begun", error, aside)
            for suffix in ("", "-wal", "-shm"):
                broken = self.path.with_name(self.path.name + suffix)
                if broken.exists():
                    broken.rename(aside.with_name(aside.name + suffix))
            return self._prepare()

    def _prepare(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            connection.execute("CREATE TABLE IF NOT EXISTS schema (part TEXT PRIMARY KEY, version INTEGER) WITHOUT ROWID")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            connection.close()
            raise
        self.path.chmod(0o600)
        return connection

    def _read(self, sql: str, values: Any) -> list[Row]:
        connection = getattr(self._reading, "connection", None)
        if connection is None:
            connection = self._reading.connection = self._connect()
            connection.execute("PRAGMA query_only=1")
            self._reading_open.append(connection)
        return connection.execute(sql, values).fetchall()

    def _run(self, connection: sqlite3.Connection) -> None:
        """The writer: takes all that waits, up to BATCH, does it in one transaction, and tells who waits."""
        is_last = False
        while not is_last:
            jobs = [self._jobs.get()]
            while len(jobs) < BATCH and jobs[-1] is not None and not self._jobs.empty():
                jobs.append(self._jobs.get())
            if jobs[-1] is None:
                is_last = True
                jobs.pop()
            self._commit(connection, jobs)
            for job in jobs:
                self.failures += job.error is not None
                if job.done:
                    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                        job.done(job)
                elif job.error:
                    log.warning("a change of the state failed: %r", job.error)
        connection.close()

    def _commit(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        """Do all of it, each for itself, and commit. Where that fails, all have failed."""
        if not jobs:
            return
        try:
            if connection.in_transaction:  # taking it back failed the last time
                connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                connection.execute("SAVEPOINT one")
                try:
                    job.result = job.change(connection)
                except Exception as error:
                    job.error = error
                    if not connection.in_transaction:  # the disk is full: sqlite took back everything
                        raise
                    connection.execute("ROLLBACK TO one")
                connection.execute("RELEASE one")
            connection.execute("COMMIT")
        except Exception as error:
            self.fault = str(error)
            for job in jobs:
                job.error = job.error or error
            with suppress(sqlite3.Error):  # a broken disk: the next BEGIN says so again, and this thread goes on
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return
        self.fault = ""
        self.commits += 1
        self.changes += sum(job.error is None for job in jobs)


def _statements(script: str) -> Iterable[str]:
    """The statements of a script. (`executescript` would commit what went before.)"""
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""
    if text.strip():
        yield text
