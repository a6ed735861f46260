"""A day without the full node (six hours in short runs), in virtual time: the gateway goes on trying, ever more seldom,
and takes the chain up."""

from __future__ import annotations

import asyncio
import selectors
import time
from types import SimpleNamespace

import structlog
from bitcoin_nodes import Knots
from bitcoin_signing import Key
from picoswarm_gateway.families.bitcoin import follower as follower_module
from picoswarm_gateway.families.bitcoin import peers as peers_module
from picoswarm_gateway.families.bitcoin.chain import Chain
from picoswarm_gateway.families.bitcoin.follower import Follower
from picoswarm_gateway.families.bitcoin.networks import NETWORKS
from picoswarm_gateway.families.bitcoin.peers import LONGEST_RETRY_S, Peers
from picoswarm_gateway.families.bitcoin.session import Own
from picoswarm_gateway.families.bitcoin.table import BitcoinTable
from support import LONG

REGTEST = NETWORKS["regtest"]
OUTAGE_S = 86_400 if LONG else 21_600
ANSWER_S = 0.05  # real time that a process has to say something, before virtual time goes on
ADDRESS = Key(b"\1" * 32).address("bcrt")


class HurriedLoop(asyncio.SelectorEventLoop):
    """Real sockets and processes, and a clock that leaps to the next timer once none of them has anything to say."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        loop = self

        class Selector(selectors.DefaultSelector):
            def select(self, timeout=None):
                if timeout is None or timeout <= 0:
                    return super().select(timeout)
                wait = min(timeout, ANSWER_S if len(self.get_map()) > 1 or loop.is_waited_for else 0)
                ready = super().select(wait)
                if not ready:
                    loop.ahead_s += timeout - wait
                return ready

        self.is_waited_for = True  # something real is to happen that has no socket here
        super().__init__(Selector())

    def time(self) -> float:
        return time.monotonic() + self.ahead_s


class NoStore:
    async def save(self, change) -> None:
        pass


def test_hours_without_the_full_node_end_with_the_chain_taken_up_again(tmp_path, monkeypatch, record_property):
    loop = HurriedLoop()
    for module in (peers_module, follower_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=loop.time, time=time.time))

    async def until(happens, seconds: float) -> float:
        """Virtual seconds until a function is true."""
        began = loop.time()
        while not happens():
            assert loop.time() - began < seconds
            await asyncio.sleep(1)
        return loop.time() - began

    async def story():
        chain = Chain(REGTEST)
        node = Knots(tmp_path / "knots")
        table = BitcoinTable(network="regtest", peers=[node.address], only_peers=True)
        own = Own(lambda: chain.tip.height, time.time)
        peers = Peers(table, REGTEST, own, lambda *event: follower.on_peer(*event), structlog.get_logger("test"))
        follower = Follower(chain, NoStore(), peers)
        try:
            await node.start()
            await node.call("generatetoaddress", 10, ADDRESS)
            tasks = [asyncio.create_task(peers.run()), asyncio.create_task(follower.run())]
            await until(lambda: chain.tip.height == 10, 600)

            node.stop()
            await until(lambda: not peers.all, 600)
            loop.is_waited_for = False
            dialed = peers.counts["dialed"]
            await asyncio.sleep(OUTAGE_S)
            dialed = peers.counts["dialed"] - dialed
            assert OUTAGE_S / LONGEST_RETRY_S / 1.25 < dialed < 2 * OUTAGE_S / LONGEST_RETRY_S
            assert not peers.all and not any(task.done() for task in tasks)

            loop.is_waited_for = True
            await node.start()
            await node.call("generatetoaddress", 25, ADDRESS)
            height, best = await node.tip()
            took = await until(lambda: chain.tip.hash[::-1].hex() == best, 2 * LONGEST_RETRY_S)
            assert chain.tip.height == height >= 25
            record_property("measured", f"{dialed} attempts in {OUTAGE_S // 3600} h; back after {took:.0f} virtual seconds")
            for task in tasks:
                task.cancel()
        finally:
            node.stop()
            await peers.close()

    try:
        loop.run_until_complete(story())
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
