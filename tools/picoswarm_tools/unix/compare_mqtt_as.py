# A client of mqtt_as under measurement, on 32-bit MicroPython: compare_mqtt_as.py PORT. It obeys as compare_umqtt.py does.
import asyncio
import sys
from time import ticks_diff, ticks_us

from compared import READING, TOPIC, median, tell, used


class WLAN:
    """The interface that a computer has not."""

    def __init__(self, kind):
        pass

    def active(self, value=True):
        return True

    def isconnected(self):
        return True

    def status(self):
        return 1010

    connect = config = lambda self, *args, **named: None


class Network:
    WLAN = WLAN
    STA_IF = 0
    STAT_CONNECTING = 1001
    STAT_IDLE = 1000


class Machine:
    unique_id = staticmethod(lambda: b"probe")


async def main(port):
    sys.modules["network"] = Network
    sys.modules["machine"] = Machine
    commands = asyncio.StreamReader(sys.stdin)
    came = asyncio.Event()
    bare = used()
    from mqtt_as import MQTTClient, config

    config["server"] = "127.0.0.1"
    config["port"] = int(port)
    config["ssid"] = config["wifi_pw"] = ""
    config["subs_cb"] = lambda topic, message, retained: came.set()
    client = MQTTClient(config)
    await client.connect()
    tell(heap=used() - bare)
    await client.subscribe("echo", 0)
    while True:
        words = (await commands.readline()).split()
        if not words:
            return
        count = int(words[1])
        if words[0] == b"send":
            for _ in range(count):
                await client.publish(TOPIC, READING)
                if words[2] != b"0":
                    await asyncio.sleep_ms(int(words[2]))
            tell(sent=count)
        else:
            times = []
            for _ in range(count):
                began = ticks_us()
                came.clear()
                await client.publish("echo", READING)
                await came.wait()
                times.append(ticks_diff(ticks_us(), began))
            tell(us=median(times))


asyncio.run(main(sys.argv[1]))
