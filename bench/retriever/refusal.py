"""Why no retriever is written, or none can be checked."""

from __future__ import annotations


class RetrieverRefused(Exception):
    """The message says what stands against it, and what can still be done."""
