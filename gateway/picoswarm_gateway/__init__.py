"""The gateway: a node of the mesh on a computer, large and always on, that boards find first."""
