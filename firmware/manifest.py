# What a firmware freezes: MicroPython's own modules for the port, the library, and what a board boots. Usable as the
# FROZEN_MANIFEST of a MicroPython build, or included from a board's manifest.
include("$(PORT_DIR)/boards/manifest.py")  # noqa: F821  # what mounts the file system, and asyncio
metadata(version="0.1.0", description="Peer-to-peer mesh for MicroPython boards", license="MIT")  # noqa: F821

package(  # noqa: F821
    "picoswarm",
    base_path="../lib",
    opt=3,
)

# A board whose file system was wiped still boots into provisioning. The program, app.py, is never frozen.
package(  # noqa: F821
    "swarmboard",
    base_path="lib",
    opt=3,
)
module("boot.py")  # noqa: F821
module("main.py")  # noqa: F821
module("landing.py")  # noqa: F821
module("apps.py", opt=3)  # noqa: F821
