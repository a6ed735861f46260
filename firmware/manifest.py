# What a firmware freezes: the device library without the CPython kernels, and what a board boots. Usable as the
# FROZEN_MANIFEST of a MicroPython build, or included from a board's manifest.
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
