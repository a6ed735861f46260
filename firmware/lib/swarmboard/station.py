"""The network interface at the hardware's edge: Wi-Fi, or PPP (ppp.py) where a board has no radio. Both have the same
methods; when to call them is decided in link.py."""

from asyncio import sleep_ms

_SETTLE_MS = 500  # between the radio off and on


class Wlan:
    """A Wi-Fi station. `wifi`: {"ssid", "password", "country"} or None until somebody says which network."""

    host = ""  # the node finds its address by itself

    def __init__(self, wifi, name):
        import network

        if wifi and wifi.get("country"):
            network.country(wifi["country"])
        if name:
            try:
                network.hostname(name)
            except (AttributeError, ValueError):
                pass  # an older firmware, or a name that is no host's
        self.wifi = wifi
        self._network = network
        self._wlan = network.WLAN(network.STA_IF)

    def _on(self):
        self._wlan.active(True)
        try:
            # Power saving makes answers late, and a Pico W's radio deaf after some hours.
            self._wlan.config(pm=getattr(self._network.WLAN, "PM_NONE", 0xA11140))
        except (ValueError, OSError, TypeError):
            pass

    def connect(self):
        """Begin to join the network; what was begun before ends. May raise OSError."""
        self._on()
        try:
            self._wlan.disconnect()
        except OSError:
            pass  # it was not connected
        self._wlan.connect(self.wifi["ssid"], self.wifi.get("password") or None)

    async def reset(self):
        """Take the power from the radio, and join again. May raise OSError."""
        self.stop()
        await sleep_ms(_SETTLE_MS)
        self.connect()

    def stop(self):
        """Leave the network and switch the radio off."""
        for name in ("disconnect", "deinit"):
            try:
                getattr(self._wlan, name, int)()
            except OSError:
                pass
        try:
            self._wlan.active(False)
        except OSError:
            pass

    def is_up(self):
        """What the interface says; see link.py."""
        return self._wlan.isconnected()

    def why(self):
        """In words, what keeps it from being connected."""
        status = self._wlan.status()
        for name in ("WRONG_PASSWORD", "NO_AP_FOUND", "ASSOC_FAIL", "CONNECT_FAIL", "GOT_IP", "CONNECTING"):
            if status == getattr(self._network, "STAT_" + name, None):
                return name.lower().replace("_", " ")
        return "status %s" % status

    def address(self):
        """The own address, and the server to ask for a sign of life, as texts."""
        ip, _mask, router, names = self._wlan.ifconfig()
        return ip, names if names != "0.0.0.0" else router

    def scan(self):
        """The networks around, strongest first: (name, dBm, whether it asks for a password). It blocks for some seconds."""
        self._on()
        best = {}
        for ssid, _bssid, _channel, signal, security, _hidden in self._wlan.scan():
            try:
                name = str(ssid, "utf-8")
            except ValueError:
                continue
            if name and (name not in best or best[name][0] < signal):
                best[name] = signal, security != 0
        return sorted([(name,) + best[name] for name in best], key=lambda each: -each[1])


def station(settings):
    """The interface of this board. Raises RuntimeError where the firmware has none."""
    import network

    if hasattr(network, "WLAN") and not settings["ppp"]:
        return Wlan(settings["wifi"], settings["name"])
    if hasattr(network, "PPP"):
        from .ppp import Ppp

        return Ppp(settings["ppp"] or {})
    raise RuntimeError("this firmware has neither Wi-Fi nor PPP")
