"""Two boards that take no connections reach each other through gateways (docs/protocol.md 7.7): real processes, the boards
32-bit MicroPython with the heap of a Pico W."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from mesh import HEAP, needs_micropython
from picoswarm.membership import Membership
from picoswarm.store import Store
from picoswarm_tools import mpy, runtimes
from picoswarm_tools.keyfolder import new_network_key, save
from picoswarm_tools.swarm import HOST, free_ports
from talking import Process

HERE = Path(__file__).resolve().parent
LOST = 20  # see reasons.py


def processes(folder: Path, gateways: int, boards: int) -> list[Process]:
    needs_micropython()
    membership = Membership(new_network_key())
    ports = free_ports(gateways + boards)
    known = ",".join(f"{HOST}:{port}" for port in ports[:gateways])
    made = []
    for i, port in enumerate(ports):
        store = Store(str(folder / str(i)))
        save(store, membership)
        arguments = [str(folder / str(i)), HOST, str(port), known]
        if i < gateways:
            made.append(Process([sys.executable, str(HERE / "relay_gateway.py"), *arguments], {}))
        else:
            command = [str(runtimes.find("micropython")), "-X", f"heapsize={HEAP}", str(HERE / "relay_board.py"), *arguments]
            command += ["listen=0", "start_ms=0", "revalidate_s=1"]
            made.append(Process(command, {"MICROPYPATH": mpy.unix_path()}))
    return made


def test_boards_that_take_no_connections_reach_each_other_and_go_on_through_a_second_gateway(tmp_path, record_property):
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            nodes = processes(tmp_path, 2, 2)
            gateways, (a, b) = nodes[:2], nodes[2:]
            for group in gateways, (a, b):
                await asyncio.gather(*(stack.enter_async_context(node) for node in group))
            ids = {gateway.id for gateway in gateways}
            for board in (a, b):
                for gateway in gateways:  # as those do that use a gateway for more than this
                    await board.ask("met", "meet", gateway.id)
            at = [await board.is_connected(ids) for board in (a, b)]
            before = (await a.ask("heap", "state"))["heap"]

            # a request, either way
            assert (await a.ask("answer", "request", b.id))["answer"] == b"cba".hex() + a.id[:8]
            assert (await b.ask("answer", "request", a.id))["answer"] == b"cba".hex() + b.id[:8]
            for board, other in ((a, b), (b, a)):
                state = await board.ask("sessions", "state")
                assert [ip for peer, ip in state["sessions"] if peer == other.id][0].startswith("0."), state
            after = (await a.ask("heap", "state"))["heap"]
            record_property("measured", f"a first session through a gateway takes {after - before} bytes of heap")

            # a stream, longer than all windows on the way
            assert (await a.ask("stream", "stream", b.id, 3000))["stream"]
            assert (await b.ask("stream", "stream", a.id, 3000))["stream"]

            # publish: no gateway of this test passes it on
            for board, other in ((a, b), (b, a)):
                board.order("say", "hello")
                heard = await other.fact("heard")
                assert heard == {"heard": "hello", "origin": board.id, "proven": True}

            # the gateway between them dies
            relays = [await gateway.ask("relay", "state") for gateway in gateways]
            first = [i for i in range(2) if relays[i]["relay"]["connections"]]
            assert len(first) == 1, (at, relays)
            await gateways[first[0]].kill()
            for board, other in ((a, b), (b, a)):
                lost = await board.fact("lost")
                if lost["lost"] == gateways[first[0]].id:
                    lost = await board.fact("lost")
                assert lost == {"lost": other.id, "reason": LOST}

            # and the other one takes over
            left = gateways[1 - first[0]]
            for board in (a, b):
                await board.is_connected({left.id})
            assert (await a.ask("answer", "request", b.id))["answer"] == b"cba".hex() + a.id[:8]
            await left.kill()
            a.told.clear()
            a.order("request", b.id)
            with_reason = await a.fact("error")
            assert with_reason["error"] in ("Unreachable", "SessionLost"), with_reason
            for board in (a, b):
                state = await board.ask("faults", "state")
                assert not state["faults"] and not state["out"], state

    asyncio.run(scenario())
