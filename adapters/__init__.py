"""One file per provider and role. Nothing in here imports from `bench`."""

from adapters.printable import printable, unprintable
from adapters.quiet import quieten_engines, quieten_process

__all__ = ["printable", "quieten_process", "unprintable"]

quieten_engines()  # here, because whatever imports an engine has imported this package before
