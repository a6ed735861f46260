"""The files that hold the vectors: made anew, or compared with what would be made."""

from __future__ import annotations

from pathlib import Path


def settle(files: dict[Path, str], check: bool) -> int:
    """Write the files that differ from what they should hold, or with `check` only name them; 1 if there are any then."""
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if not check:
            path.write_text(files[path])
        print(("differs: " if check else "written: ") + path.name)
    return int(check and bool(stale))
