"""A program for a board on a battery; copy it as app.py: say what there is to say, and sleep until the next time.

"app": {"sleep_s": 600} in picoswarm.json says how long. A board that sleeps hears nothing; a gateway keeps its
mail meanwhile (docs/gateway.md).
"""

import asyncio

PATIENCE_MS = 20_000  # without a peer it sleeps all the same


def measure():
    """Volts of the battery behind a Pico W's VSYS would be one thing; put your own sensor here."""
    return 21.5


async def main(board):
    for _ in range(PATIENCE_MS // 100):
        if board.node.sessions():
            break
        await asyncio.sleep_ms(100)
    await board.node.publish("sensors/%s/temperature" % (board.name or "board"), b"%.1f" % measure(), wait_ms=2000)
    await asyncio.sleep_ms(200)  # for the last record to leave
    await board.sleep(board.config.get("sleep_s", 600))
