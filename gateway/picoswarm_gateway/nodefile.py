"""The nodes in the gateway's state: what was known of them outlives it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from .known import KnownNode
from .state import State

KEPT = 50_000  # nodes, and of each so many addresses
ADDRESSES = 8
LOADED = 5_000  # nodes, those that were seen last

SCHEMA = [
    """
    CREATE TABLE nodes (
        id BLOB PRIMARY KEY, name TEXT, firmware TEXT, is_gateway INTEGER,
        first_seen REAL, last_seen REAL, bytes_in INTEGER, bytes_out INTEGER,
        counters TEXT   -- JSON
    ) WITHOUT ROWID;
    CREATE INDEX nodes_last_seen ON nodes (last_seen);
    CREATE TABLE addresses (
        id BLOB, ip TEXT, port INTEGER, first_seen REAL, last_seen REAL,
        PRIMARY KEY (id, ip, port)
    ) WITHOUT ROWID;
    """
]
_NODES = "SELECT id, name, firmware, is_gateway, first_seen, last_seen, bytes_in, bytes_out, counters FROM nodes"
_PUT_ADDRESS = """
    INSERT INTO addresses VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET last_seen = excluded.last_seen
"""
_TRIM_ADDRESSES = """
    DELETE FROM addresses WHERE id = ?1
    AND last_seen < (SELECT last_seen FROM addresses WHERE id = ?1 ORDER BY last_seen DESC LIMIT 1 OFFSET ?2)
"""
_TRIM_NODES = "DELETE FROM nodes WHERE last_seen < (SELECT last_seen FROM nodes ORDER BY last_seen DESC LIMIT 1 OFFSET ?)"


async def load(state: State) -> dict[bytes, KnownNode]:
    """The nodes that were seen last, by id; all of them gone, until somebody sees them again."""
    await state.adopt("nodes", SCHEMA)
    known = {}
    for row in await state.read(f"{_NODES} ORDER BY last_seen DESC LIMIT ?", (LOADED,)):
        id32, name, firmware, is_gateway, first, last, count_in, count_out, counters = row
        node = known[id32] = KnownNode(id32, name, firmware=firmware, is_gateway=bool(is_gateway), is_changed=False)
        node.first_seen, node.last_seen, node.bytes_in, node.bytes_out = first, last, count_in, count_out
        node.counters = msgspec.json.decode(counters)
    for id32, ip, port in await state.read("SELECT id, ip, port FROM addresses ORDER BY last_seen"):
        if id32 in known:
            known[id32].ip, known[id32].port = ip, port
    return known


def save(state: State, nodes: Iterable[KnownNode]) -> None:
    """Hand those that changed to the writer."""
    rows = []
    places = []
    for node in nodes:
        if not node.is_changed:
            continue
        node.is_changed = False
        counters = msgspec.json.encode(node.counters).decode()
        seen = (node.first_seen, node.last_seen)
        rows.append((node.id, node.name, node.firmware, node.is_gateway, *seen, node.bytes_in, node.bytes_out, counters))
        if node.ip:
            places.append((node.id, node.ip, node.port, node.last_seen, node.last_seen))

    def put(connection: sqlite3.Connection) -> None:
        connection.executemany("INSERT OR REPLACE INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.executemany(_PUT_ADDRESS, places)
        connection.executemany(_TRIM_ADDRESSES, [(place[0], ADDRESSES - 1) for place in places])
        if connection.execute(_TRIM_NODES, (KEPT - 1,)).rowcount:
            connection.execute("DELETE FROM addresses WHERE id NOT IN (SELECT id FROM nodes)")

    if rows:
        state.later(put)
