# A board that takes an update, under measurement: update_probe.py FOLDER HOST PORT BOOTSTRAP. JSON objects, one a line: the
# heap without an Updater, with one that rests, at most while it fetches (and how long that took), afterwards; then, once
# something comes in on standard input, while it serves.
import asyncio
import gc
import json
import sys


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


from picoswarm import Node  # noqa: E402
from picoswarm.compat import readable, ticks_diff, ticks_ms  # noqa: E402


async def main(folder, host, port, bootstrap):
    async with Node(folder + "/swarm", host=host, port=int(port), bootstrap=[bootstrap]) as node:
        while not node.sessions():
            await asyncio.sleep_ms(50)
        await asyncio.sleep_ms(500)
        print(json.dumps({"without": used()}))
        before = used()
        from picoswarm.update import Updater

        updater = Updater(node, ["probe"], folder + "/")
        updater.start()
        await updater.settle(20_000)
        print(json.dumps({"idle": used() - before}))
        began = most = 0
        while not updater.ready.is_set():
            await asyncio.sleep_ms(100)
            if updater.progress():
                began = began or ticks_ms()
                most = max(most, used() - before)
        took = ticks_diff(ticks_ms(), began)
        await asyncio.sleep_ms(200)
        print(json.dumps({"fetching": most, "ms": took, "after": used() - before}))
        updater.stop()
        updater.confirm()
        updater.start()
        await readable(sys.stdin)
        sys.stdin.readline()
        print(json.dumps({"serving": used() - before}))
        await asyncio.sleep_ms(100)


asyncio.run(main(*sys.argv[1:]))
