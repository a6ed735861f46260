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


async def confirm(updater, program):
    await asyncio.sleep_ms(GOOD_MS)
    if not program.done():  # on a machine that stood still meanwhile, too
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
        tasks = [asyncio.create_task(report(node, updater)), asyncio.create_task(program.main())]
        tasks.insert(1, asyncio.create_task(confirm(updater, tasks[-1])))
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
