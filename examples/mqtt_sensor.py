"""A reading goes to an MQTT broker through a gateway, and orders come back.

    python mqtt_sensor.py FOLDER GATEWAY [PORT]

FOLDER holds the network key (`picoswarm provision`), GATEWAY is the "ip:port" of a gateway with an [mqtt] table (any of
several). With QoS 1 `publish` returns when the broker has the message. Below the gateway's prefix, "picoswarm", a reading of
kitchen/temperature is picoswarm/kitchen/temperature; `mosquitto_pub -t picoswarm/kitchen/set -m faster` sends an order.
"""

import asyncio
import sys

from picoswarm import Node, RequestError


async def obey(gateway):
    """Print every order."""
    async for message in gateway.subscribe("kitchen/set"):
        print("order:", message.payload.decode())


async def main(folder, address, port=20742):
    """Say a temperature every two seconds."""
    async with Node(folder, host="127.0.0.1", port=int(port), bootstrap=(address,), name="kitchen") as node:
        gateway = await node.gateway("mqtt", 60000)
        orders = asyncio.create_task(obey(gateway))
        temperature = 210
        while not orders.done():
            try:
                await gateway.publish("kitchen/temperature", b"%d.%d" % divmod(temperature, 10), qos=1)
                print("the broker has", temperature / 10)
            except RequestError as error:
                print("not now:", error)
            temperature = 210 + (temperature + 1) % 10
            await asyncio.sleep(2)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
