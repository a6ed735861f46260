"""When to reconnect, reset or reboot: what a Wi-Fi interface says is not believed, only what comes over it is.

A Pico W can say `isconnected()` for hours while nothing passes. Here a connection counts as long as something is *heard*
over it: a datagram of any node, or the router's answer to a question that is asked when all is silent. A silent connection
is recovered in steps, each of which takes more away: connect again, reset the interface, reboot. Pure: elapsed time comes
in, an action goes out.
"""

NOTHING = 0
CONNECT = 1  # say to the interface which network to join
RESET = 2  # switch the radio off and on, then connect
REBOOT = 3

# Milliseconds.
JOIN = 20_000  # a try to join takes as long at most: association and DHCP
REST = 5_000  # before the second try; twice as long before each further one
REST_MOST = 60_000
ASK = 20_000  # of silence before the router is asked
ASK_AGAIN = 5_000
SILENT = 45_000  # before a connection is held for dead
RESET_EVERY = 3  # tries that fail before the interface is reset
REBOOT_AFTER = 900_000  # without a sign of life, where there has been one since the boot
REBOOT_UNPROVEN = 3_600_000  # where there was none: alone on a network whose router does not answer, too
_MOST = 0x1FFFFFFF  # no count grows beyond


class Link:
    """The state of one interface. `tries`, `silent_ms` and `is_proven` may be shown."""

    def __init__(self):
        self.is_proven = False  # something was heard since the boot
        self.tries = 0  # to get a working connection, since something was heard
        self.silent_ms = 0  # without a sign of life, since the boot or since something was heard
        self._heard = None  # the count of the last step
        self._is_up = False
        self._in_state_ms = JOIN  # the first try comes at once
        self._quiet_ms = 0  # of this connection
        self._asked_ms = 0

    def step(self, passed_ms, is_up, heard):
        """What to do now: NOTHING, CONNECT, RESET or REBOOT. To be called about once a second with the time since the last
        call, what the interface says, and a count that grows with everything that came over it."""
        has_heard = self._heard is not None and heard != self._heard
        self._heard = heard
        self._in_state_ms = min(self._in_state_ms + passed_ms, _MOST)
        self.silent_ms = min(self.silent_ms + passed_ms, _MOST)
        if has_heard and is_up:
            self.is_proven = True
            self.tries = self.silent_ms = self._quiet_ms = 0
        if is_up != self._is_up:
            self._is_up = is_up
            self._quiet_ms = self._asked_ms = 0
            # A lost connection is joined again at once; the interface does so by itself on some boards.
            self._in_state_ms = 0 if is_up or self.tries else JOIN
        if self.silent_ms >= (REBOOT_AFTER if self.is_proven else REBOOT_UNPROVEN):
            self.silent_ms = 0  # asked for once
            return REBOOT
        if is_up:
            return self._while_up(passed_ms)
        if self._in_state_ms >= JOIN + self._rest():
            return self._again()
        return NOTHING

    def _while_up(self, passed_ms):
        self._quiet_ms = min(self._quiet_ms + passed_ms, _MOST)
        self._asked_ms = min(self._asked_ms + passed_ms, _MOST)
        # Where nothing ever answered, a silent connection says little: it is left alone for longer each time.
        if self._quiet_ms < (SILENT if self.is_proven else SILENT << min(self.tries, 4)):
            return NOTHING
        self._quiet_ms = 0
        return self._again()

    def _again(self):
        self._in_state_ms = 0
        self.tries += 1
        # A connection that was up and silent is connected once more; the second time already the radio is reset.
        if self.tries % RESET_EVERY == 0 or (self._is_up and self.tries > 1):
            return RESET
        return CONNECT

    def _rest(self):
        return min(REST << min(self.tries - 1, 8), REST_MOST) if self.tries else 0

    def wants_answer(self):
        """Whether to ask the router something now. Each True is one question."""
        if self._is_up and self._quiet_ms >= ASK and self._asked_ms >= ASK_AGAIN:
            self._asked_ms = 0
            return True
        return False
