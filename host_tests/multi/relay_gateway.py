# A gateway for test_relay.py: relay_gateway.py FOLDER HOST PORT BOOTSTRAP. It passes no published message on.
import asyncio
import json
import sys

from picoswarm_gateway.node import HostNode
from picoswarm_gateway.profile import gateway_profile
from picoswarm_gateway.relay import Relay


async def main(folder: str, host: str, port: str, bootstrap: str) -> None:
    profile = gateway_profile(start_ms=0, revalidate_s=1, relay=0)
    async with HostNode(folder, profile=profile, host=host, port=int(port), bootstrap=bootstrap.split(",")) as node:
        relay = Relay(node)
        node.handle("gateway", lambda caller, payload: b"")
        print(json.dumps({"id": node.id.hex()}), flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            if line.strip() == "state":
                facts = {"relay": relay.state(), "faults": node.stats()["faults"], "fault": repr(node.fault)}
                print(json.dumps({**facts, "sessions": [peer[0].hex() for peer in node.sessions()]}), flush=True)


asyncio.run(main(*sys.argv[1:]))
