"""What main.py does: the configuration, one life of the board, and what comes after it."""

import gc
import sys


def live():
    """Live, and end as asked. Returns only to the REPL."""
    from .boots import Boots

    boots = Boots()
    boots.begin()  # first of all: whatever goes wrong from here on, it is counted
    from . import config

    mistake = ""
    try:
        settings = config.load()
    except config.Mistake as error:
        mistake = str(error)
        settings = config.check({})
        settings["mistake"] = mistake
    numbers = settings["supervisor"]
    boots.limit = numbers["bad_boots"]
    is_safe = boots.is_safe()
    from .led import Led
    from .supervisor import Supervisor, forget
    from .watchdog import Watchdog

    boots = config = None
    forget("config", "boots")
    watchdog = Watchdog(numbers["watchdog_ms"])
    supervisor = Supervisor(settings, is_safe, Led(settings["led"]), watchdog)
    supervisor.board.log("boot: %s%s" % (_cause(), ", safe mode" if is_safe else ""))
    if mistake:
        supervisor.board.log(mistake)
    gc.collect()
    try:
        how, ms = _run(supervisor)
    except KeyboardInterrupt:
        how = "repl"
    if how == "repl":
        watchdog.release()
        from .boots import Boots

        Boots().good()  # who works at the board is no bad boot
        print("picoswarm: the node is closed; Ctrl-D starts the board anew")
        return
    import machine

    if how == "sleep":
        machine.deepsleep(ms)
    machine.reset()


def _run(supervisor):
    import asyncio

    try:
        return asyncio.run(supervisor.run())
    except Exception as error:  # of the supervisor itself: it counts as a bad boot
        sys.print_exception(error)
        return "restart", 0


def _cause():
    """Why the board started, in words."""
    try:
        import machine

        cause = machine.reset_cause()
    except (ImportError, AttributeError):
        return "cause unknown"
    for name in ("PWRON_RESET", "HARD_RESET", "WDT_RESET", "DEEPSLEEP_RESET", "SOFT_RESET"):
        if cause == getattr(machine, name, None):
            return name[:-6].lower().replace("pwron", "power on").replace("wdt", "watchdog")
    return "cause %d" % cause
