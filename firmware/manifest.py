# What a firmware freezes: MicroPython's own modules for the port, the library without what is for CPython alone, and what a
# board boots. Usable as the FROZEN_MANIFEST of a MicroPython build, or included from a board's manifest.
#
# For an RP2040, MicroPython's tools/mpy-tool.py must be told to align frozen machine code to 4 bytes, as `picoswarm
# firmware` does: 1.26 aligns it to 2, and a Cortex-M0+ then loads wrong constants.
import os

include("$(PORT_DIR)/boards/manifest.py")  # noqa: F821  # what mounts the file system, and asyncio
metadata(version="0.1.0", description="Peer-to-peer mesh for MicroPython boards", license="MIT")  # noqa: F821

# $PICOSWARM_LIBRARY: the form of the library with the least heap (`make mpy FORM=frozen`, or leaf-frozen), in the place of
# its sources.
_library = os.environ.get("PICOSWARM_LIBRARY", "../lib/picoswarm")
package(  # noqa: F821
    "picoswarm",
    files=sorted(  # mpy-cross does not take all that CPython does
        name for name in os.listdir(_library) if name.endswith(".py") and not name.endswith("_host.py")
    ),
    base_path=os.path.dirname(_library),
    opt=3,
)

# A board whose file system was wiped still boots into provisioning. The program, app.py, is never frozen.
package(  # noqa: F821
    "swarmboard",
    base_path="lib",
    opt=3,
)
for _name in ("boot", "main", "apps", "landing"):
    module(_name + ".py")  # noqa: F821
