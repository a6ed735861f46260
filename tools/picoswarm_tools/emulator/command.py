"""`picoswarm emulator`: emulated Picos that stay on, for mpremote, for `picoswarm up`, or to look at."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import rich_click as click

from ..runtimes import Missing
from .hub import Link, free_address, text
from .pico import HOST, EmulatorError, Pico


async def run(flashes: list[Path | None], port: int, is_frozen: bool, ended: asyncio.Event) -> None:
    """Run a Pico for each flash file, until `ended`. Raises EmulatorError, Missing, OSError."""
    async with AsyncExitStack() as stack:
        for i, flash in enumerate(flashes):
            pico = await stack.enter_async_context(Pico(flash, is_frozen, serial_port=port + i if port else 0))
            ip = free_address()
            await stack.enter_async_context(Link(pico.uart_ports[1], ip))
            facts = {
                "serial": f"socket://{HOST}:{pico.serial_port}",
                "ip": text(ip),
                "flash": str(flash or ""),
                "id": pico.unique_id,
            }
            print(json.dumps(facts), flush=True)
        await ended.wait()


async def _until_told(flashes: list[Path | None], port: int, is_frozen: bool) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await run(flashes, port, is_frozen, ended)


@click.command()
@click.option("--picos", default=1, show_default=True, type=click.IntRange(1, 8), help="How many.")
@click.option(
    "--flash",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of its flash chip, made where it is missing; further ones get a number.  [default: none is kept]",
)
@click.option(
    "--port", default=0, type=click.IntRange(0, 65535 - 8), help="First TCP port of the serial ports.  [default: any]"
)
@click.option("--frozen", is_flag=True, help="The image with the library in it; without it the board is as it comes.")
def emulator(picos: int, flash: Path | None, port: int, frozen: bool) -> None:
    """Run emulated Picos until Ctrl-C. For each there is a line of JSON: its serial port, as mpremote and `picoswarm up`
    take it, and the address that it gets over PPP (UART 1, pins 4 and 5, 921600 baud)."""
    flashes: list[Path | None] = [flash and flash.with_name(flash.name + (str(i + 1) if i else "")) for i in range(picos)]
    try:
        asyncio.run(_until_told(flashes, port, frozen))
    except (EmulatorError, Missing, OSError) as trouble:
        raise click.ClickException(str(trouble)) from None
