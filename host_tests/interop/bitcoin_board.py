# A board for test_bitcoin.py: bitcoin_board.py FOLDER HOST PORT BOOTSTRAP NETWORK HEIGHT HEADER POLL_MS [name=value ...]
# It takes orders on standard input and tells what became of them on standard output, a JSON object a line.
import asyncio
import json
import sys
from binascii import hexlify, unhexlify

from picoswarm import Node
from picoswarm.compat import collect, heap_used, readable


def plain(value):
    return hexlify(value).decode() if isinstance(value, bytes) else value


def tell(**facts):
    print(json.dumps(facts))


async def follow(btc):
    async for event in btc:
        tell(**{event[0]: [plain(part) for part in event[1:]]})


async def submit(btc, raw):
    sent = await btc.submit(raw)
    tell(submitted=plain(sent.txid))
    async for event in sent:
        tell(sent=[plain(part) for part in event])


async def watch(btc, script):
    tell(watching=True)
    async for payment in btc.watch(script):
        tell(paid=[plain(payment.txid), payment.amount, payment.height])


async def guard(job):
    try:
        await job
    except Exception as error:
        sys.print_exception(error) if hasattr(sys, "print_exception") else None
        tell(error=repr(error))


async def main(folder, host, port, bootstrap, network, height, header, poll_ms, *numbers):
    changes = {number.split("=")[0]: int(number.split("=")[1]) for number in numbers}
    async with Node(folder, profile=changes, host=host, port=int(port), bootstrap=bootstrap.split(",")) as node:
        tell(id=hexlify(node.id).decode())
        btc = await node.gateway("bitcoin", 60000)
        collect()
        before = heap_used()
        btc.poll_ms = int(poll_ms)
        btc.follow(network, int(height), unhexlify(header))
        collect()
        tell(following=heap_used() - before)
        tasks = [asyncio.create_task(guard(follow(btc)))]
        while True:
            await readable(sys.stdin)
            words = sys.stdin.readline().split()
            if not words:
                break
            if words[0] == "submit":
                tasks.append(asyncio.create_task(guard(submit(btc, unhexlify(words[1])))))
            elif words[0] == "watch":
                tasks.append(asyncio.create_task(guard(watch(btc, unhexlify(words[1])))))
            elif words[0] == "state":
                collect()
                tell(
                    height=btc.chain.height,
                    tip=plain(btc.chain.hash(btc.chain.height)),
                    heap=heap_used(),
                    fault=repr(node.fault),
                    gateways=[plain(each) for each in btc.gateway.gateways()],
                )


asyncio.run(main(*sys.argv[1:]))
