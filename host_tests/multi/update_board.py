# A board for test_update.py: update_board.py FOLDER HOST PORT BOOTSTRAP BOARDS [name=value ...]
# FOLDER has the node's folder "swarm", the user's own app.py, and later app_a and app_b. It does what the supervisor of a
# board does: starts the application, confirms it, restarts (ends, here) for the next one. A JSON object a line.
import asyncio
import json
import sys
from binascii import hexlify

import apps
from picoswarm import Node
from picoswarm.compat import collect, heap_used, readable

GOOD_MS = 1500


def tell(**facts):
    print(json.dumps(facts))


async def report(node, updater):
    while True:
        collect()
        tell(heap=heap_used(), progress=updater.progress(), trouble=updater.trouble, faults=repr(node.fault))
        await asyncio.sleep_ms(300)


async def confirm(updater):
    await asyncio.sleep_ms(GOOD_MS)
    updater.confirm()
    tell(confirmed=updater.version)


async def until_told():
    await readable(sys.stdin)


async def main(folder, host, port, bootstrap, boards, *numbers):
    changes = {number.split("=")[0]: int(number.split("=")[1]) for number in numbers}
    where = apps.starting(folder + "/swarm", folder + "/")
    sys.path.insert(0, where)
    tell(starts=where[len(folder) + 1 :])
    program = __import__("app")  # one that cannot even be imported ends this boot
    known = [] if bootstrap == "-" else bootstrap.split(",")
    async with Node(folder + "/swarm", profile=changes, host=host, port=int(port), bootstrap=known) as node:
        tell(id=hexlify(node.id).decode(), app=program.NAME, heap=heap_used())
        updater = apps.follow(node, boards.split(","), folder + "/")
        tasks = [asyncio.create_task(each) for each in (report(node, updater), confirm(updater), program.main())]
        tasks.append(asyncio.create_task(until_told()))
        ready = asyncio.create_task(updater.ready.wait())
        while not ready.done() and not tasks[-1].done() and not tasks[-2].done():
            await asyncio.sleep_ms(50)
        if ready.done():
            tell(ready=True)
        for task in tasks[:-2]:
            task.cancel()
        updater.stop()
        if tasks[-2].done():
            await tasks[-2]  # raises what the application raised


asyncio.run(main(*sys.argv[1:]))
