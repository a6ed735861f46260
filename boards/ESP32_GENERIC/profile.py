"""ESP32 without PSRAM.

Its limits, from MicroPython 1.26 and its ESP-IDF configuration: 12 TCP connections, those in TIME-WAIT counted
(CONFIG_LWIP_MAX_ACTIVE_TCP, ports/esp32/boards/sdkconfig.base); 6 datagrams that wait at a UDP socket (ESP-IDF's default for
CONFIG_LWIP_UDP_RECVMBOX_SIZE). The Python heap begins with 64 KB (MICROPY_GC_INITIAL_HEAP_SIZE, 56 KB on an ESP32) and
grows in pieces out of the memory that Wi-Fi uses too; what we count on is 111,936 bytes. Native code lies outside of it.
"""

from picoswarm.profile import Profile

PROFILE = Profile(
    # 12 connections: 4 sessions, one that is dialed, those at the door, and as many that are closed and wait.
    links=4,
    # The heap is in pieces: the table, its largest block, is to find one of 6 KB.
    records=64,
    # A queue of 6 has room for the answers of 2 questions at a time, 2 datagrams each.
    alpha=2,
    neighbors_per_answer=4,
)
