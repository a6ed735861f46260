"""Signed applications for boards: made here, offered to the mesh by the family `update` (docs/updates.md)."""
