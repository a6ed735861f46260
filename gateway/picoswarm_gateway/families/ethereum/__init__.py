"""The family `ethereum` (family.py), and its table of the configuration (table.py), which needs none of the rest."""
