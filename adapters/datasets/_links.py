"""Links in a dataset's folder: whoever hands one over may have made them lead to files of its reader."""

from __future__ import annotations

from pathlib import Path


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path below a folder is, through links, a file elsewhere. The folder itself may be a link."""
    root = folder.resolve()
    if root.parent.name == "snapshots":  # the hub's cache: each file links to ../../blobs of the same data set
        root = root.parent.parent
    return not path.resolve().is_relative_to(root)
