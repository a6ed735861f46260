"""A board that sleeps most of the time, as main.py of an emulated Pico: wake, say something, fetch the mail, sleep. A line
of JSON tells for how many milliseconds it was awake, counted from its boot, and where they went."""


async def cycle(numbers, bootstrap):
    import asyncio
    import json
    from time import ticks_ms

    from emu_probe import link_up

    _ppp, ip = link_up()
    link = ticks_ms()
    from picoswarm import Node
    from picoswarm.mailbox import letters

    loaded = ticks_ms()
    mail = 0
    async with Node("swarm", profile=numbers, host=ip, bootstrap=bootstrap, name="sleeper") as node:
        while not node.sessions():
            await asyncio.sleep_ms(5)
        session = ticks_ms()
        await node.publish("sensors/sleeper/temperature", b"20.5", wait_ms=2000)
        async for _letter in letters(await node.gateway("mailbox")):
            mail += 1
    print(json.dumps({"awake_ms": ticks_ms(), "link": link, "loaded": loaded, "session": session, "mail": mail}))


def run(numbers, bootstrap):
    import asyncio

    asyncio.run(cycle(numbers, bootstrap))
