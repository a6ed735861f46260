"""The family `libp2p` (family.py), and its table of the configuration (table.py), which needs none of the rest."""
