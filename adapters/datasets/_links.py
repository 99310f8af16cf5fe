"""Checks links in a dataset's folder: whoever hands over a folder may have put links to its reader's files in it."""

from __future__ import annotations

from pathlib import Path


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path below a folder leads to a file elsewhere through links. The folder itself may be a link."""
    root = folder.resolve()
    if root.parent.name == "snapshots":  # the hub's cache: each file links to ../../blobs of the same data set
        root = root.parent.parent
    return not path.resolve().is_relative_to(root)
