"""Prints the table of all pairs, as it stands in docs/libp2p.md."""

import asyncio

from .pairs import table

if __name__ == "__main__":
    print(asyncio.run(table()))
