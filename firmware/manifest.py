# What a firmware freezes: the device library without the CPython kernels. Usable as FROZEN_MANIFEST of a MicroPython build,
# or included from a board's manifest.
metadata(version="0.1.0", description="Peer-to-peer mesh for MicroPython boards", license="MIT")  # noqa: F821

package(  # noqa: F821
    "picoswarm",
    base_path="../lib",
    opt=3,
)
