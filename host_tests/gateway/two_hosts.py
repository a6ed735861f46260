"""Two of the gateway's libp2p hosts on loopback."""

from __future__ import annotations

import asyncio

from picoswarm_tools.libp2p.pairs import Ours
from small_mesh import until


async def connected(one: Ours, other: Ours):
    """(the connection as `one` has it, as `other` has it)."""
    connection = await one.host.dial(other.host.address_texts()[0])
    await until(lambda: other.host.connections)
    return connection, other.host.connections[0]


def run(story):
    """Run a coroutine function of two hosts."""

    async def both():
        async with Ours() as one, Ours() as other:
            await story(one, other)

    asyncio.run(both())
