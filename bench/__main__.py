"""`python -m bench`."""

import sys

# `python -m` looks for modules in the current folder first, and that may be a stranger's.
_own = __file__.rpartition("bench")[0].rstrip("/\\")
if not sys.flags.safe_path and sys.path[0] != _own:
    del sys.path[0]

from bench.machine import fence  # noqa: E402

if sys.argv[1:2] == [fence.FLAG]:  # before any other import: it must stand before the first thread is started
    sys.argv[1:] = fence.main(sys.argv[2:])

from bench.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
