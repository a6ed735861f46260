# A client of umqtt.simple under measurement, on 32-bit MicroPython: compare_umqtt.py PORT. The broker is on 127.0.0.1.
# Says what it takes of the heap once connected, one JSON object a line, and obeys on standard input:
#   send N MS  N readings, MS milliseconds apart, without waiting for an answer
#   echo N     N readings that come back: the median time in microseconds
import sys
from time import sleep_ms, ticks_diff, ticks_us

from compared import READING, TOPIC, median, tell, used


def main(port):
    bare = used()
    from umqtt.simple import MQTTClient

    client = MQTTClient("probe", "127.0.0.1", int(port))
    client.connect()
    tell(heap=used() - bare)
    client.set_callback(lambda topic, message: None)
    client.subscribe("echo")
    while True:
        words = sys.stdin.readline().split()
        if not words:
            return
        count = int(words[1])
        if words[0] == "send":
            for _ in range(count):
                client.publish(TOPIC, READING)
                if words[2] != "0":
                    sleep_ms(int(words[2]))
            tell(sent=count)
        else:
            times = []
            for _ in range(count):
                began = ticks_us()
                client.publish("echo", READING)
                client.wait_msg()
                times.append(ticks_diff(ticks_us(), began))
            tell(us=median(times))


main(sys.argv[1])
