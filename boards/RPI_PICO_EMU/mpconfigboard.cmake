# The Pico of the emulator: lwIP over a serial line (PPP) where a Pico W has Wi-Fi. The build names the manifest.
set(PICO_BOARD "pico")
set(PICO_PLATFORM "rp2040")
set(MICROPY_PY_LWIP ON)
