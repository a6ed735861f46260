# A server of microdot with one open websocket under measurement, on 32-bit MicroPython: compare_microdot.py PORT. It
# obeys as compare_umqtt.py does; who holds the other end returns what `echo` sends.
import asyncio
import sys
from time import ticks_diff, ticks_us

from compared import READING, median, tell, used


async def obey(socket, bare):
    commands = asyncio.StreamReader(sys.stdin)
    await asyncio.sleep_ms(200)
    tell(heap=used() - bare)
    while True:
        words = (await commands.readline()).split()
        if not words:
            return
        count = int(words[1])
        if words[0] == b"send":
            for _ in range(count):
                await socket.send(READING)
                if words[2] != b"0":
                    await asyncio.sleep_ms(int(words[2]))
            tell(sent=count)
        else:
            times = []
            for _ in range(count):
                began = ticks_us()
                await socket.send(READING)
                await socket.receive()
                times.append(ticks_diff(ticks_us(), began))
            tell(us=median(times))


async def main(port):
    bare = used()
    from microdot import Microdot
    from microdot.websocket import with_websocket

    app = Microdot()

    @app.route("/")
    @with_websocket
    async def open_socket(request, socket):
        await obey(socket, bare)
        app.shutdown()

    await app.start_server("127.0.0.1", int(port))


asyncio.run(main(sys.argv[1]))
