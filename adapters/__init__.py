"""One file per provider and role. Nothing in here imports from `bench`."""

from .quiet import quieten_engines, quieten_process

__all__ = ["quieten_process"]

quieten_engines()  # here, because whatever imports an engine has imported this package before
