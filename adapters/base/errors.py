"""What adapters raise. SDK exceptions are mapped to these at the adapter's edge.

AdapterError
├── InvalidOptions      an option cannot work: known before the run, names the key
├── MissingDependency   a package is not installed: names the extra
├── ModelNotFound       a model or data set is not where the config says
├── DatasetInvalid      a data file breaks its format: names file and line
├── AdapterUnavailable  a server cannot be reached: names the address and how to start it
├── AdapterTimeout      no answer in time
├── AdapterRejected     the service refused: bad key, over quota, bad request
├── OutOfMemory         no memory is left, on the processor or an accelerator: names what asked for it
├── WrongAnswer         an adapter returned what its contract does not allow: a fault of its author
├── InvalidVectors      NaN, infinite or wrong-dimension vectors
├── NoCode              an adapter exports no code (adapters/base/code.py)
├── NotIndexed          the engine holds the rows but did not index them
└── IndexMissing        a built index is no longer where its reference points
"""

from __future__ import annotations


class AdapterError(Exception):
    """Base of everything an adapter raises. The message says where, what and what to do."""


class InvalidOptions(AdapterError):
    """An option, alone or with the data at hand, cannot work.

    key: path of the option below the part that holds it, such as `index.num_sub_vectors`.
    """

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class MissingDependency(AdapterError):
    """A package that the adapter needs is not installed."""

    def __init__(self, adapter: str, package: str, extra: str | None) -> None:
        # A module's name need not be that of the package that brings it, and a misspelt one may be anybody's.
        cure = f'Install it: pip install "retrieval-bench[{extra}]"' if extra else "Install the package that brings it."
        super().__init__(f'Adapter "{adapter}" needs the module {package}, which is not installed. {cure}')
        self.package = package
        self.extra = extra


class ModelNotFound(AdapterError):
    """A model or hub data set is not where the config says."""


class DatasetInvalid(AdapterError):
    """A data file breaks its format. `where` is `file` or `file:line`."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where


class AdapterUnavailable(AdapterError):
    """A server cannot be reached."""


class AdapterTimeout(AdapterError):
    """A service gave no answer in time."""


class AdapterRejected(AdapterError):
    """A service answered with a refusal that a retry does not cure."""


class OutOfMemory(AdapterError):
    """No memory is left, of the machine or of an accelerator. The message names batch size, dtype and device."""


class WrongAnswer(AdapterError):
    """An adapter returned what its contract does not allow, whatever it was asked: another type, another shape."""


class InvalidVectors(AdapterError):
    """Vectors hold NaN or infinity, or have the wrong dimension."""


class NotIndexed(AdapterError):
    """The engine took the rows but its index does not cover them; searching would be a flat scan."""


class IndexMissing(AdapterError):
    """The engine no longer holds the index that a reference names; it has to be built again."""
