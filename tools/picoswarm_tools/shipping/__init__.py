"""From a box to a node: what brings firmware, the library and its keys onto a board, and what looks at one."""
