"""What blocks pay to the scripts that boards watch, with all that a board needs to check it itself."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from .blocks import Transaction, branch
from .chain import Block

KEPT = 2000  # payments whose transaction and proof boards may still ask for


@dataclass(frozen=True)
class Payment:
    """A transaction in a block. `proof`: (block, index, branch)."""

    transaction: Transaction
    proof: tuple[Block, int, list[bytes]]


class Payments:
    """Those that were found, newest last, by txid."""

    def __init__(self) -> None:
        self.found: OrderedDict[bytes, Payment] = OrderedDict()

    def look(self, scripts: set[bytes], block: Block, transactions: list[Transaction]) -> list[tuple[bytes, bytes]]:
        """(script, txid) of what this block pays to some scripts."""
        hashes = [each.txid for each in transactions]
        news = []
        for index, each in enumerate(transactions):
            paid = scripts.intersection(script for _, script in each.outputs)
            for script in paid:
                news.append((script, each.txid))
            if paid:
                self.found[each.txid] = Payment(each, (block, index, branch(hashes, index)))
                if len(self.found) > KEPT:
                    self.found.popitem(last=False)
        return news
