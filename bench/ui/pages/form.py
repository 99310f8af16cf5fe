"""An input for an option of an adapter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.ui.fields import Field, names_for
from bench.ui.text import plain


def component(field: Field, values: Mapping[str, Any]) -> Any:
    """An input for an option. Whoever wants several values at once types a list. values: of the file, whose parts a
    system may name."""
    import gradio

    names = names_for(field, values)
    shown: dict[str, Any] = {"label": field.label, "info": plain(field.description) or None}
    if field.choices or names:
        return gradio.Dropdown(["", *(names or field.choices)], value="", allow_custom_value=True, **shown)
    hint = "" if field.default in (None, "null") else field.default
    return gradio.Textbox("", placeholder=hint, max_lines=1, **shown)
