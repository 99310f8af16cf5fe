"""The time of day as files hold it."""

from __future__ import annotations

import time


def utc_now() -> str:
    """Now, to the second, such as 2026-03-01T12:00:00Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
