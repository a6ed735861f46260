# Milliseconds that a key agreement takes a node of this runtime, as its driver does it: a slice, then whoever else is ready.
#     key_time.py COUNT
import asyncio
import sys

from picoswarm.compat import ticks_diff, ticks_ms
from picoswarm.crypto import X25519, u_from_id


async def main(count):
    began = ticks_ms()
    for n in range(count):
        job = X25519(bytes(range(n, n + 32)), u_from_id(bytes(range(1, 33))))
        while job.step():
            await asyncio.sleep_ms(0)
    print(ticks_diff(ticks_ms(), began) / count)


asyncio.run(main(int(sys.argv[1])))
