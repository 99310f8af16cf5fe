"""Keeps what engines print off the user's screen. Failures arrive as errors, and what was built is read back; a
thousand lines about deprecations would hide both.

It is done here for all packages, before any of them is imported, because most read these variables at import. What the
user has set stays.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any

_VARIABLES = {
    # Rust: warnings of LanceDB and Lance, two for each hybrid query.
    "LANCEDB_LOG": "error",
    "LANCE_LOG": "error",
    "RUST_LOG": "error",
    # Load notes, advice and bars of the Hugging Face packages; bars of all that use tqdm.
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "DATASETS_VERBOSITY": "error",
    "HF_HUB_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_SYMLINKS_WARNING": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    # The package's default. Where the variable is not set, the package warns in each child process.
    "TOKENIZERS_PARALLELISM": "true",
    # C++ libraries that write to the standard error stream themselves.
    "GRPC_VERBOSITY": "NONE",
    "GLOG_minloglevel": "3",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "KMP_WARNINGS": "0",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}


def quieten_engines() -> None:
    """Set the variables that engines read when they are imported. Child processes inherit it."""
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)


def quieten_process() -> None:
    """Keep Python's own log and warnings off the screen. For a process that belongs wholly to this harness, such as a
    command or its child. `python -W` and PYTHONWARNINGS bring the warnings back."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())  # without one Python prints warnings and errors of every package
    if not sys.warnoptions:
        warnings.showwarning = _nothing  # a filter would not do: some packages set their own when they are imported


def _nothing(*warning: Any, **more: Any) -> None:
    return
