"""Fills the templates of HTTP requests: addresses, parameters and bodies with placeholders in braces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def filled_template(template: Any, values: Mapping[str, Any]) -> Any:
    """The template with its placeholders filled: a lone one keeps its type, one inside a string becomes text."""
    if isinstance(template, str):
        if (lone := PLACEHOLDER.fullmatch(template)) is not None:
            return values[lone[1]]
        return PLACEHOLDER.sub(lambda name: str(values[name[1]]), template)
    if isinstance(template, Mapping):
        return {key: filled_template(value, values) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [filled_template(value, values) for value in template]
    return template
