"""`picoswarm demo`: a mesh of real MicroPython nodes on this machine, with gateway and broker."""
