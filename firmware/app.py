"""Your program. This one publishes the temperature of the chip; put your own sensor in the place of `measure`.

"app": {"every_s": 60} in picoswarm.json says how often.
"""

import asyncio


def measure():
    """Degrees Celsius of the chip, as far as it tells."""
    try:
        from esp32 import mcu_temperature

        return mcu_temperature()
    except ImportError:
        from machine import ADC

        return 27 - (ADC(4).read_u16() * 3.3 / 65535 - 0.706) / 0.001721  # RP2040 datasheet, 4.9.5


async def main(board):
    topic = "sensors/%s/temperature" % (board.name or "board")
    while True:
        await board.node.publish(topic, b"%.1f" % measure())
        await asyncio.sleep(board.config.get("every_s", 60))
