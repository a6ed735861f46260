# The table of contents of everything one does here. `make` alone prints it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := build/venv/bin
# Five workers, since real meshes mostly wait: host_tests/lanes.py says who does what. Compiled modules are kept, also where
# the system says that they are not: five workers and a thousand processes would compile them anew.
PYTEST := PYTHONDONTWRITEBYTECODE= $(VENV)/python -m pytest -n 5
.DEFAULT_GOAL := help
.PHONY: $(shell grep -oE '^[a-z-]+:' $(firstword $(MAKEFILE_LIST)) | tr -d :)

help: ## what one can do here
	@echo "picoswarm: a peer-to-peer stack for microcontrollers"
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: ## the Python environment in build/venv (every other target calls this)
	@$(PYTHON) tools/setup_venv.py

micropython: ## MicroPython from source: 32-bit unix, mpy-cross, Cortex-M3 and -M0+ under qemu
	@$(PYTHON) firmware/micropython/build.py

emulator: setup micropython ## the emulated Pico: rp2 firmware with lwIP and PPP, its boot ROM, and rp2040js
	@$(VENV)/python -m picoswarm_tools.emulator.files

demo: setup ## a gateway, MQTT and real MicroPython nodes on this machine (NODES=12 EMULATOR=1 DEMO_SECONDS=30 HTTP=8080)
	@$(PYTHON) firmware/micropython/build.py mpy-cross unix32
	@$(if $(EMULATOR),$(VENV)/python -m picoswarm_tools.emulator.files)
	@$(VENV)/picoswarm demo $(if $(EMULATOR),--picos 2) $(if $(NODES),--nodes $(NODES)) $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS)) $(if $(HTTP),--http $(HTTP))

test: setup micropython emulator broker browser full-nodes ## every test, short counts (PYTEST_ARGS= to choose)
	@$(PYTEST) $(PYTEST_ARGS)

test-long: setup micropython emulator broker browser full-nodes ## every test with the full counts
	@$(PYTHON) firmware/micropython/build.py unix64
	@PICOSWARM_LONG=1 $(PYTEST) $(PYTEST_ARGS)

report: setup micropython ## measure, print a table, write build/report.json (ROWS=kernel runs a part)
	@$(VENV)/picoswarm report $(if $(ROWS),--rows $(ROWS))

peers: setup micropython ## all that is measured and tested against: full nodes, mosquitto, microdot, umqtt.simple
	@$(VENV)/python -m picoswarm_tools.peers

full-nodes: setup ## real full nodes for the tests, by Go and npm, kept in ~/.cache (minutes, the first time)
	@$(VENV)/python -m picoswarm_tools.peers nodes

broker: setup ## mosquitto, for the tests of MQTT and the demo (`make peers` brings the rest)
	@$(VENV)/python -m picoswarm_tools.peers mosquitto

browser: setup ## chromium, for the dashboard's test and its picture (as root; else it says how)
	@$(VENV)/python -m picoswarm_tools.browser

screenshot: setup micropython browser ## docs/dashboard.png, of a real mesh on this machine
	@$(VENV)/python -m picoswarm_tools.screenshot

sim-picture: setup browser ## docs/simulator.png, of a report of the simulator
	@$(VENV)/python -m picoswarm_tools.sim.picture

lint: setup ## style, as CONTRIBUTING asks
	@$(VENV)/ruff check . && $(VENV)/ruff format --check tools gateway host_tests --exclude host_tests/unit

boards: setup ## the boards, and what each was tested on
	@$(VENV)/picoswarm boards

doctor: setup ## find boards that are plugged in, and say what each needs next
	@$(VENV)/picoswarm doctor $(PORT)

flash: setup ## a firmware onto a board (BOARD=ESP32_GENERIC PORT=/dev/ttyUSB0 IMAGE=firmware.bin)
	@$(VENV)/picoswarm flash $(BOARD) $(PORT) $(IMAGE)

deploy: setup micropython ## library, firmware's files and program onto a board (BOARD= PORT= APP=)
	@$(VENV)/picoswarm deploy $(BOARD) $(PORT) $(if $(APP),--app $(APP))

provision: setup ## make a board a member of a mesh (PORT= FOLDER= WIFI=)
	@$(VENV)/picoswarm provision --port $(PORT) $(if $(FOLDER),--folder $(FOLDER)) $(if $(WIFI),--wifi $(WIFI))

up: setup micropython ## all of it: from a blank board to a member of a mesh (BOARD= PORT= IMAGE= FOLDER= WIFI=)
	@$(VENV)/picoswarm up $(BOARD) $(PORT) $(if $(IMAGE),--image $(IMAGE)) $(if $(FOLDER),--folder $(FOLDER)) $(if $(WIFI),--wifi $(WIFI))

image: setup micropython ## a firmware with the library in its file system, one file (BOARD= FIRMWARE=)
	@$(VENV)/picoswarm image $(BOARD) $(FIRMWARE)

firmware: setup ## how to build a firmware with the library frozen in (BOARD=)
	@$(VENV)/picoswarm firmware $(BOARD)

monitor: setup ## what a board prints (PORT=)
	@$(VENV)/picoswarm monitor $(PORT)

mpy: setup micropython ## the device library as small .mpy files in build/mpy/$ARCH-O3 (ARCH=armv6m FORM=leaf ...)
	@$(VENV)/python -m picoswarm_tools.mpy --arch $(or $(ARCH),armv6m) -O 3 $(if $(FORM),--form $(FORM))

board-memory: setup micropython ## measure boards/measured.json anew (minutes), then the pages that show it
	@$(VENV)/python -m picoswarm_tools.board_pages --measure

docs: setup ## pages and files that are generated: docs/boards.md, README's tables, package.json, docs/gateway.md's
	@$(VENV)/python -m picoswarm_tools.board_pages && $(VENV)/python -m picoswarm_tools.package && $(VENV)/python -m picoswarm_tools.manual && $(VENV)/python -m picoswarm_tools.sim.manual

clean: ## remove build/ (the cache in ~/.cache/picoswarm stays)
	@rm -rf build
