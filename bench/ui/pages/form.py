"""An input for an option of an adapter, and the inputs of all its options together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bench.experiment.yaml_text import parse_yaml
from bench.ui.fields import Field, names_for
from bench.ui.text import plain

_FIRST = 4  # options that are shown at once, where none must be given


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


def components(
    fields: Sequence[Field], values: Mapping[str, Any], usual: Collection[str] = ()
) -> tuple[list[Field], list[Any]]:
    """Inputs for all options: those that must be given and the usual ones at once, the others in a fold. Returns the
    options in the order of the inputs."""
    import gradio

    first = [field for field in fields if field.default is None or field.name in usual] or list(fields[:_FIRST])
    later = [field for field in fields if field not in first]
    inputs = [component(field, values) for field in first]
    with gradio.Accordion(f"{len(later)} more options", open=False, visible=bool(later)):
        inputs += [component(field, values) for field in later]
    return [*first, *later], inputs


def values_of(text: str) -> dict[str, Any]:
    """What a text says so far; nothing where it is no mapping."""
    try:
        found = parse_yaml(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
