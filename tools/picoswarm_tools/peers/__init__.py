"""What is measured and tested against, none of which belongs to the project: what a user would pick instead
(alternatives.py), and real full nodes of other networks (golang.py, npm.py, pip.py). `make peers` brings all of it.
"""

from .alternatives import bring_mosquitto, microdot, mosquitto, mqtt_as, umqtt

__all__ = ["bring_mosquitto", "microdot", "mosquitto", "mqtt_as", "umqtt"]
