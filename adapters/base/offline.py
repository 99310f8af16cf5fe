"""Switches off the Hugging Face hub for a while: its local cache is used, and the hub is not asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HUB = "Hugging Face hub"
OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
# The constants that the packages set from the variables when they were imported.
_SETTINGS = (
    ("huggingface_hub.constants", "HF_HUB_OFFLINE"),
    ("datasets.config", "HF_HUB_OFFLINE"),
    ("datasets.config", "HF_DATASETS_OFFLINE"),
)


def hub_is_offline() -> bool:
    """Whether the user has switched the hub off for its packages."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


@contextmanager
def hub_offline() -> Iterator[None]:
    """Do not ask the hub within the context, whether or not its packages are imported already."""
    variables = {name: os.environ.get(name) for name in OFFLINE_VARIABLES}
    settings: list[tuple[Any, str, Any]] = [
        (sys.modules[module], name, getattr(sys.modules[module], name))
        for module, name in _SETTINGS
        if module in sys.modules and hasattr(sys.modules[module], name)
    ]
    os.environ |= dict.fromkeys(OFFLINE_VARIABLES, "1")
    for loaded, name, _ in settings:
        setattr(loaded, name, True)
    try:
        yield
    finally:
        for variable, value in variables.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value
        if not hub_is_offline():  # a package that was imported within the context read the changed variables
            settings += [(sys.modules[module], name, False) for module, name in _SETTINGS if module in sys.modules]
        for loaded, name, before in reversed(settings):
            setattr(loaded, name, before)
