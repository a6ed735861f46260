"""The `picoswarm` command line: a table of subcommands, each loaded only when it is called."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version

import rich_click as click

# name -> (module, attribute, one line of help). The help stands here so that `picoswarm --help` imports nothing else.
COMMANDS = {
    "boards": ("picoswarm_tools.shipping.boards", "boards", "List the boards, and what each was tested on."),
    "doctor": ("picoswarm_tools.shipping.doctor", "doctor", "Find boards, and say what each needs next."),
    "demo": ("picoswarm_tools.demo.command", "demo", "Run a mesh of real MicroPython nodes on this machine."),
    "checklist": ("picoswarm_tools.shipping.checklist", "checklist", "Try a real board, and print a table of what worked."),
    "deploy": ("picoswarm_tools.shipping.deploy", "deploy", "Bring library, firmware files and program onto a board."),
    "emulator": ("picoswarm_tools.emulator.command", "emulator", "Run emulated Picos, with a network to this machine."),
    "export": ("picoswarm_gateway.commands", "export", "Write the graph of a running mesh as JSON, DOT, GraphML or CSV."),
    "find": ("picoswarm_gateway.commands", "find", "Find a libp2p peer, or who has some content, by a gateway's DHT."),
    "firmware": ("picoswarm_tools.shipping.build", "firmware", "How to build a firmware with the library frozen in."),
    "flash": ("picoswarm_tools.shipping.flash", "flash", "Put a firmware image onto a board."),
    "gateway": ("picoswarm_gateway.cli", "gateway", "Run a bridge between the mesh and the world."),
    "image": ("picoswarm_tools.shipping.image", "image", "Join a firmware and a file system with the library to one file."),
    "log": ("picoswarm_gateway.commands", "log", "Print the log of a node, or of the gateway."),
    "monitor": ("picoswarm_tools.shipping.console", "monitor", "Show what a board prints."),
    "nodes": ("picoswarm_gateway.commands", "nodes", "List the nodes that a running gateway knows."),
    "ping": ("picoswarm_gateway.commands", "ping", "Time requests from a gateway to a node."),
    "provision": ("picoswarm_tools.provision", "provision", "Make a network key, for a folder or a board; invite others."),
    "top": ("picoswarm_gateway.top", "top", "Watch the mesh of a gateway, live in the terminal."),
    "rekey": ("picoswarm_tools.rekey", "rekey", "Move a running mesh to a new network key."),
    "revoke": ("picoswarm_tools.rekey", "revoke", "Shut lost nodes out of a running mesh."),
    "sim": ("picoswarm_tools.sim.command", "sim", "Run a scenario of many nodes in virtual time, and report on it."),
    "size": ("picoswarm_tools.size", "size", "Predict how much of a board's heap a profile takes."),
    "trace": ("picoswarm_gateway.commands", "trace", "Show by which way a gateway reaches a node."),
    "up": ("picoswarm_tools.shipping.up", "up", "From a blank board to a member of a mesh."),
    "update": ("picoswarm_tools.update", "update", "Give boards a new application, over the mesh."),
    "report": ("picoswarm_tools.report", "report", "Measure this checkout and print the table of figures."),
}


class LazyGroup(click.RichGroup):
    """A click group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute, help_line = COMMANDS[name]
        try:
            command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("picoswarm"):
                raise
            return incomplete(name, help_line, error.name)
        command.short_help = help_line
        return command


def incomplete(name: str, help_line: str, missing: str | None) -> click.Command:
    """What stands for a command that needs packages which are not installed: it says so."""

    @click.command(name, short_help=help_line, context_settings={"ignore_unknown_options": True, "help_option_names": []})
    @click.argument("anything", nargs=-1)
    def command(anything: tuple[str, ...]) -> None:
        extras = "sim" if name == "sim" else "gateway,flash"
        raise click.ClickException(f"{missing} is missing. In a checkout: pip install '.[{extras}]'")

    return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("picoswarm"), prog_name="picoswarm")
def main() -> None:
    """A peer-to-peer stack for microcontrollers."""
