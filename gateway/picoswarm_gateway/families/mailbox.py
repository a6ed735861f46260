"""The family `mailbox`: what is meant for a board that sleeps waits here until it wakes (docs/protocol.md 7.9).

Two kinds of mail. A *letter* is put into the box of a node by another one; it is on the disk before that is acknowledged. A
*publication* is what the mesh published under a filter of the sleeper while it had no session with this gateway. The box of
a node stands at the gateway that owns the node; letters that come to another gateway are handed on. Mail that came while the
owner was away stays where it is: any member can say that it is a gateway, and none is to get the mail of others by that. The
owner is told where more of it waits, and the board fetches it there itself.

Policy, in numbers of the table `[mailbox]`: a box holds so much, and all boxes together; where it is full the oldest mail
makes room, and is counted; mail of a certain age goes. Of one sender so many letters wait in a box, and in all of them; one
more is refused, so that nobody's letters push out those of others. A node that nobody ever saw may get letters, within the
same bounds. What a revoked node has here goes.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from picoswarm.errors import PicoswarmError
from picoswarm.identity import is_valid_id
from picoswarm.pubsub import kept, matches
from picoswarm.topics import is_filter

from . import Family, Refused

if TYPE_CHECKING:
    from ..gateway import Gateway

SCHEMA = [
    """CREATE TABLE mailbox_mail (number INTEGER PRIMARY KEY AUTOINCREMENT, box BLOB, kind INTEGER, origin BLOB, at REAL,
    data BLOB);
    CREATE INDEX mailbox_box ON mailbox_mail (box, number);
    CREATE TABLE mailbox_filters (box BLOB PRIMARY KEY, filters BLOB) WITHOUT ROWID;""",
    """ALTER TABLE mailbox_filters ADD COLUMN at REAL DEFAULT 0;
    UPDATE mailbox_filters SET at = strftime('%s', 'now');""",
    "CREATE INDEX mailbox_sender ON mailbox_mail (origin, box) WHERE kind = 0",
    # No number of one gateway is to mean mail of another one: each begins somewhere else.
    """INSERT INTO sqlite_sequence (name, seq) SELECT 'mailbox_mail', 1 + abs(random() % 536870912)
    WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'mailbox_mail')""",
]
ID = 32
NUMBER = 4
LETTER, PUBLICATION = 0, 1
FILTERS = 8  # of a box
SLEEPERS = 10_000  # boxes with filters; each published message is held against all of them
DAY_S = 86_400
SWEEP_S = 600.0
FORGOTTEN_DAYS = 180  # filters go of a board that asked for nothing in so long
JUMP_S = 60.0  # by so much a clock is set, and does not drift
FORWARD_MS = 5000
NOTICES = 10_000  # boxes of which other gateways said that they have mail for them
PLACES = 4  # of such gateways, for a box
TOLD = 10  # boxes in one request
SENT_S = 30.0  # in which a board that does not know its owner is told once of it
AHEAD = 1 << 30  # numbers on the wire are modulo 2**30; a box never holds mail so far apart


class MailboxTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[mailbox]`: what is kept for boards that sleep."""

    enabled: bool = True
    messages: int = 64  # in a box
    bytes: int = 16_384  # in a box
    total: int = 100_000  # messages in all boxes
    sender: int = 32  # letters of one sender in a box
    sender_total: int = 1000  # letters of one sender in all boxes
    days: float = 7.0  # mail that is older goes

    def check(self, found: list[tuple[str, str]]) -> None:
        """Add (path, what is wrong) for what cannot be."""
        for name in ("messages", "bytes", "total", "sender", "sender_total", "days"):
            value = getattr(self, name)
            if value is not None and not value > 0:  # nan is neither
                found.append((f"mailbox.{name}", "more than 0"))


class MailboxFamily(Family):
    """See the module."""

    name = "mailbox"

    def __init__(self, table: MailboxTable) -> None:
        super().__init__()
        self.verbs = {"put": self.submit, "keep": self._keep, "take": self._take, "hear": self.follow, "waits": self._waits}
        self.put = self.taken = self.dropped = self.expired = self.failed = 0
        self._table = table
        self._gateway: Gateway | None = None
        self._filters: dict[bytes, bytes] = {}  # by box
        self._tasks: list[asyncio.Task] = []
        self._elsewhere: dict[bytes, set[bytes]] = {}  # gateways that have mail for a box, too
        self._sent: dict[bytes, float] = {}  # when boards were sent to their owners, the latest last
        self._has_strays = asyncio.Event()  # mail for boxes of other gateways, perhaps

    async def start(self, gateway: Gateway) -> None:
        self._gateway = gateway
        await gateway.db.adopt(self.name, SCHEMA)
        self._filters = dict(await gateway.db.read("SELECT box, filters FROM mailbox_filters"))
        ((self._last,),) = await gateway.db.read("SELECT coalesce(max(number), 0) FROM mailbox_mail")
        self._offset = time.time() - time.monotonic()
        gateway.owners.listen(lambda _before, _now: self._has_strays.set())
        runs = {"mailbox: listening": self._listen, "mailbox: sweeping": self._sweep, "mailbox: telling": self._tell}
        self._tasks = [gateway.loops.begin(name, run) for name, run in runs.items()]

    async def stop(self) -> None:
        if self._gateway:
            await self._gateway.loops.end(self._tasks)

    def state(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in ("put", "taken", "dropped", "expired", "failed")}
        return {"state": "up", "sleepers": len(self._filters), "elsewhere": len(self._elsewhere), **counts}

    # Verbs

    async def submit(self, board: bytes, what: bytes) -> bytes:
        """`put`: id 32 | letter. Acknowledged once it is on the disk of the gateway that owns the box."""
        box, letter = what[:ID], what[ID:]
        if not is_valid_id(box):
            raise Refused("no such id")
        if not letter:
            raise Refused("an empty letter")
        owner = self._gateway.owners.owner(box)
        if owner != self._gateway.id:
            try:
                return await self._gateway.node.request(owner, "mailbox/keep", board + what, FORWARD_MS)
            except PicoswarmError as error:
                if getattr(error, "status", 0) == Refused.status:
                    raise Refused(str(error)) from None
                self._has_strays.set()  # it is gone, or has no mailboxes: better here than nowhere
        await self._store(box, LETTER, board, letter)
        return b""

    async def _keep(self, board: bytes, what: bytes) -> bytes:
        """`keep`: id 32 of the sender | as `put`. Another gateway hands a letter on."""
        if board not in self._gateway.owners.gateways:
            raise Refused("only gateways hand letters on")
        sender, box, letter = what[:ID], what[ID : 2 * ID], what[2 * ID :]
        if not (is_valid_id(sender) and is_valid_id(box) and letter):
            raise Refused("malformed")
        await self._store(box, LETTER, sender, letter)
        return b""

    async def _waits(self, board: bytes, what: bytes) -> bytes:
        """`waits`: ids of boxes. Another gateway has mail for boxes that stand here."""
        gateways = self._gateway.owners.gateways
        if board not in gateways:
            raise Refused("only gateways say where mail waits")
        if not what or len(what) % ID:
            raise Refused("malformed")
        for at in range(0, len(what), ID):
            places = self._elsewhere.setdefault(what[at : at + ID], set())
            places &= gateways  # one that is gone says it again when it is back
            if len(places) < PLACES:
                places.add(board)
        while len(self._elsewhere) > NOTICES:
            del self._elsewhere[next(iter(self._elsewhere))]
        return b""

    async def follow(self, board: bytes, what: bytes) -> bytes:
        """`hear`: filters, each its length 1 and its text; none ends it. From now on what is published under them waits for
        this board while it has no session here."""
        texts, at = [], 0
        while at < len(what):
            texts.append(what[at + 1 : at + 1 + what[at]])
            at += 1 + what[at]
        if kept(what, FILTERS) != len(what) or not all(is_filter(text) for text in texts):
            raise Refused("malformed filters, or too many")
        if what:
            if board not in self._filters and len(self._filters) >= SLEEPERS:
                raise Refused("too many boards have filters here")
            sql = "INSERT OR REPLACE INTO mailbox_filters VALUES (?, ?, ?)"
            await self._gateway.db.write(sql, (board, what, time.time()))
            self._filters[board] = what
        else:
            await self._gateway.db.write("DELETE FROM mailbox_filters WHERE box = ?", (board,))
            self._filters.pop(board, None)
        return b""

    async def _take(self, board: bytes, what: bytes) -> bytes:
        """`take`: number 4 of the last mail that the board has, 0 for none, which ends that mail and all before it. The
        answer is the oldest mail: number 4 | how many more wait, 255 at most, 1 | kind 1 | origin 32 | age in s 4 | data; or
        the id of another gateway that has more; or empty."""
        if len(what) != NUMBER:
            raise Refused("malformed")
        had = int.from_bytes(what, "big") % AHEAD

        def change(db: sqlite3.Connection) -> tuple | None:
            db.execute("UPDATE mailbox_filters SET at = ? WHERE box = ?", (time.time(), board))
            if had:
                row = db.execute(
                    "SELECT max(number) FROM mailbox_mail WHERE box = ? AND number % ? = ?", (board, AHEAD, had)
                )
                (last,) = row.fetchone()
                if last:
                    ended = db.execute("DELETE FROM mailbox_mail WHERE box = ? AND number <= ?", (board, last))
                    self.taken += ended.rowcount
            (count,) = db.execute("SELECT count(*) FROM mailbox_mail WHERE box = ?", (board,)).fetchone()
            columns = "number, kind, origin, at, data"
            sql = f"SELECT {columns} FROM mailbox_mail WHERE box = ? ORDER BY number LIMIT 1"
            first = db.execute(sql, (board,)).fetchone()
            return first and (count, *first)

        found = await self._gateway.db.change(change)
        if found is None:
            return self._place(board)
        count, number, kind, origin, at, data = found
        head = (number % AHEAD).to_bytes(NUMBER, "big") + bytes((min(count - 1, 255), kind))
        age = max(0, min(int(time.time() - at), AHEAD))
        return head + origin + age.to_bytes(4, "big") + data

    def _place(self, board: bytes) -> bytes:
        """Where else there may be mail for a board: with its owner, or where a gateway said so. Each place is named once:
        the owner again after a while, a gateway when it has said so again."""
        places = self._elsewhere.pop(board, set()) & self._gateway.owners.gateways
        owner, now = self._gateway.owners.owner(board), time.monotonic()
        if owner != self._gateway.id and now - self._sent.get(board, -SENT_S) >= SENT_S:
            self._sent.pop(board, None)
            self._sent[board] = now
            if len(self._sent) > NOTICES:
                del self._sent[next(iter(self._sent))]
            places.discard(owner)
            place = owner
        else:
            place = places.pop() if places else b""
        if places:
            self._elsewhere[board] = places
        return place

    # Mail

    async def _store(self, box: bytes, kind: int, origin: bytes, data: bytes) -> None:
        """Put mail into a box, on the disk when this returns; the oldest makes room."""
        table = self._table
        if len(data) > table.bytes:
            raise Refused("too long for a box")

        def change(db: sqlite3.Connection) -> int:
            if kind == LETTER:
                sql = "SELECT count(*), coalesce(sum(box = ?), 0) FROM mailbox_mail WHERE kind = 0 AND origin = ?"
                in_all, in_box = db.execute(sql, (box, origin)).fetchone()
                if in_box >= table.sender or in_all >= table.sender_total:
                    raise Refused("too many of your letters wait " + ("there" if in_box >= table.sender else "here"))
            db.execute(
                "INSERT INTO mailbox_mail (box, kind, origin, at, data) VALUES (?, ?, ?, ?, ?)",
                (box, kind, origin, time.time(), data),
            )
            dropped, size = 0, 0
            rows = db.execute("SELECT number, length(data) FROM mailbox_mail WHERE box = ? ORDER BY number DESC", (box,))
            for count, (number, length) in enumerate(rows.fetchall(), 1):
                size += length
                if count > table.messages or size > table.bytes:
                    dropped = db.execute("DELETE FROM mailbox_mail WHERE box = ? AND number <= ?", (box, number)).rowcount
                    break
            (all_boxes,) = db.execute("SELECT count(*) FROM mailbox_mail").fetchone()
            if all_boxes > table.total:
                sql = "DELETE FROM mailbox_mail WHERE number IN (SELECT number FROM mailbox_mail ORDER BY number LIMIT ?)"
                dropped += db.execute(sql, (all_boxes - table.total,)).rowcount
            return dropped

        self.dropped += await self._gateway.db.change(change)
        self.put += 1

    async def _listen(self) -> None:
        """What is published goes to the sleepers that want it."""
        node = self._gateway.node
        subscription = node.subscribe("#")
        try:
            async for message in subscription:
                topic = message.topic.encode()
                text = bytes((len(topic),)) + topic
                for box, filters in list(self._filters.items()):
                    if box != message.origin and self._wants(filters, text) and node.session(box) is None:
                        await self._keep_publication(box, message.origin, text + message.payload)
        finally:
            subscription.close()

    async def _keep_publication(self, box: bytes, origin: bytes, data: bytes) -> None:
        try:
            await self._store(box, PUBLICATION, origin, data)
        except Refused:  # longer than a box
            self.dropped += 1
        except Exception as error:  # the disk is full, say
            self.failed += 1
            self._gateway.loops.note("mailbox: listening", error)

    async def _tell(self) -> None:
        """The owners of boxes hear that mail for these is here: when the gateways change, and now and then."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_strays.wait(), SWEEP_S)
            self._has_strays.clear()
            boxes: dict[bytes, list[bytes]] = {}
            for (box,) in await self._gateway.db.read("SELECT DISTINCT box FROM mailbox_mail"):
                boxes.setdefault(self._gateway.owners.owner(box), []).append(box)
            boxes.pop(self._gateway.id, None)
            for owner, strays in boxes.items():
                for at in range(0, len(strays), TOLD):
                    with suppress(PicoswarmError):  # it is told again with the next change, or later
                        what = b"".join(strays[at : at + TOLD])
                        await self._gateway.node.request(owner, "mailbox/waits", what, FORWARD_MS)

    def _wants(self, filters: bytes, text: bytes) -> bool:
        at = 0
        while at < len(filters):
            if matches(filters, at, text, 1):
                return True
            at += 1 + filters[at]
        return False

    async def _sweep(self) -> None:
        """What nobody fetches goes with time."""
        while True:
            await self.sweep()
            await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> None:
        """Mail of a certain age goes, filters of boards that came no more, and all of revoked nodes."""
        db, now = self._gateway.db, time.time()
        before, self._offset = self._offset, now - time.monotonic()
        jump = self._offset - before
        if abs(jump) > JUMP_S:  # the clock was set: what came since the start is as old as it was
            await db.write("UPDATE mailbox_mail SET at = min(at + ?, ?) WHERE number > ?", (jump, now, self._last))
            await db.write("UPDATE mailbox_filters SET at = min(at + ?, ?)", (jump, now))
        self.expired += await db.write("DELETE FROM mailbox_mail WHERE at < ?", (now - self._table.days * DAY_S,))
        old = await db.read("SELECT box FROM mailbox_filters WHERE at < ?", (now - FORGOTTEN_DAYS * DAY_S,))
        gone = {box for (box,) in old} | {box for box in self._filters if self._gateway.node.is_revoked(box)}
        for box in gone:
            await db.write("DELETE FROM mailbox_filters WHERE box = ?", (box,))
            self._filters.pop(box, None)
        for (box,) in await db.read("SELECT DISTINCT box FROM mailbox_mail"):
            if self._gateway.node.is_revoked(box):
                await db.write("DELETE FROM mailbox_mail WHERE box = ?", (box,))
