"""What only the start of a board needs: the node from its settings, the program from its slot."""

import gc
import sys
from asyncio import sleep_ms

from picoswarm import LocalError, Node

FOLDER = "swarm"  # the node's
PORT = 20742
_WAIT_MS = 200
_KEY_MS = 2000


def about(name):
    """What Improv tells of a board: firmware, its version, the chip, the board's name."""
    import picoswarm

    chip = getattr(sys.implementation, "_machine", sys.platform)
    return "picoswarm", picoswarm.__version__, chip, name or "picoswarm board"


def numbers(settings, is_safe):
    """In what this board's profile differs from the default one: by profile.py, then by the configuration. Safe mode does
    without the latter, which may be what went wrong."""
    changes = {}
    try:
        from profile import PROFILE

        changes.update(PROFILE.__dict__)
        for name in ("profile", "picoswarm.profile"):
            sys.modules.pop(name, None)
    except ImportError:
        pass
    if not is_safe:
        changes.update(settings["profile"])
    return changes


async def start_node(supervisor):
    """Wait for the network, then for a network key, and start the node. Raises what Node.start does."""
    settings, station, board = supervisor.settings, supervisor.station, supervisor.board
    while not (station.wifi and station.is_up()):
        await sleep_ms(_WAIT_MS)
    board.log("network: this board is %s" % station.address()[0])
    while True:
        gc.threshold(-1)  # the node says how often is right for it: what boot.py asks for takes a tenth of the time
        node = Node(
            FOLDER,
            profile=numbers(settings, supervisor.is_safe),
            host=settings["host"] or station.host,
            port=settings["port"] or PORT,
            bootstrap=settings["bootstrap"],
            name=settings["name"],
        )
        try:
            await node.start()
            break
        except LocalError as error:
            if "network key" not in str(error):
                raise
            if not supervisor.is_keyless:
                board.log("there is no network key: run `picoswarm provision` for this board")
            supervisor.is_keyless = True
        await sleep_ms(_KEY_MS)
    supervisor.is_keyless = False
    supervisor.node = node
    board.started(node)
    try:
        node.handle("identify", supervisor.identify)
        from apps import follow

        supervisor.updater = follow(node, [settings["name"], str(settings["app"].get("kind", ""))])
        from .boots import Boots

        troubles = Boots().note  # before it slept
        if troubles:
            supervisor.updater.remember(troubles)
    except LocalError:
        pass  # a profile without requests
    except ImportError:
        pass  # a board that takes no updates


async def run_program(board):
    """Run app.py: the one of an update, or the user's. Returns when it ends; raises what it raises."""
    try:
        from apps import starting

        folder = starting()
    except ImportError:
        folder = ""
    if folder:
        sys.path.insert(0, folder)
    if not _is_there(folder):
        board.log("there is no app.py: this board is a node without a program")
        return
    program = __import__("app")
    if not hasattr(program, "main"):
        raise LocalError("app.py has no `async def main(board)`")
    await program.main(board)
    board.log("the program came to its end")


def _is_there(folder):
    import os

    for end in (".py", ".mpy"):
        try:
            os.stat((folder + "/" if folder else "") + "app" + end)
            return True
        except OSError:
            pass
    return False
