"""What a board does around its node: configuration, Wi-Fi, provisioning, watchdog, safe mode (docs/firmware.md).

Every module here is imported late, and what only the start needs goes again: the heap of a board is its scarcest thing.
"""
