# COUNT key agreements, as a node's driver does them: a slice, then whoever else is ready. Whoever starts it takes the time.
#     key_time.py COUNT
import asyncio
import sys

from picoswarm.crypto import X25519, u_from_id


async def main(count):
    for n in range(count):
        job = X25519(bytes(range(n, n + 32)), u_from_id(bytes(range(1, 33))))
        while job.step():
            await asyncio.sleep_ms(0)


asyncio.run(main(int(sys.argv[1])))
