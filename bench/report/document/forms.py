"""How a report writes a value of the result, by the name of the form. A check of a report writes it again likewise."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from bench.messages.wording import writable
from bench.report import cells
from bench.report.cells import DASH


def _known(write: Callable[[Any], str]) -> Callable[[Any], str]:
    """A form that writes null as a dash."""
    return lambda value: DASH if value is None else write(value)


def _percent(value: float) -> str:
    return f"{value:+.1f} %"


def _share(value: float) -> str:
    """A share as per cent; one that is not quite all never reads as all, and one that is not none never as none."""
    text = f"{100 * value:.1f}".removesuffix(".0")
    if (text == "100" and value != 1) or (text == "0" and value != 0):
        text = f"{100 * value:.3g}" if value < 0.5 else "over 99.9"
    return f"{text} %"


def _usd(value: float) -> str:
    """Dollars: whole ones from a hundred on, else as many digits as tell the amount."""
    if value == 0:
        return "$0"
    size = abs(value)
    decimals = 0 if size >= 100 else 2 if size >= 1 else 4 if size >= 0.01 else 1 - math.floor(math.log10(size))
    return f"{'-' if value < 0 else ''}${size:,.{decimals}f}"


def _signed_usd(value: float) -> str:
    return _usd(value) if value < 0 else f"+{_usd(value)}"


def _rate(value: float) -> str:
    return f"{value:,.1f}"


def text_of(value: Any) -> str:
    """A value of any kind as text that a file can hold: lines and tabs become blanks."""
    if isinstance(value, str):
        return " ".join(writable(value).replace("\r", " ").split()) or DASH
    if value is None:
        return DASH
    return " ".join(writable(json.dumps(value, ensure_ascii=False)).split())


def _passage(value: str) -> str:
    """A text of the corpus, its lines kept."""
    return "\n".join(" ".join(line.split(" ")).rstrip() for line in writable(value).splitlines()).strip("\n") or DASH


def _settings(value: Mapping[str, Any]) -> str:
    """`nprobes 8, refine factor 10`: options as a reader of no code reads them."""
    return ", ".join(f"{name} {text_of(option)}" for name, option in value.items()) or "default"


def yaml_text(value: Any) -> str:
    """A mapping as YAML."""
    import yaml

    dumped: str = yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=100)
    return writable(dumped).rstrip("\n")


FORMS: dict[str, Callable[[Any], str]] = {
    "number": cells.number,
    "signed": _known(cells.signed),
    "percent": _known(_percent),
    "share": _known(_share),
    "ms": cells.milliseconds,
    "seconds": cells.seconds,
    "usd": _known(_usd),
    "signed usd": _known(_signed_usd),
    "count": _known(lambda value: f"{value:,}"),
    "rate": _known(_rate),
    "ratio": _known(cells.ratio),
    "mib": cells.mebibytes,
    "heading": _known(lambda value: text_of(cells.heading(value))),
    "text": text_of,
    "passage": _known(_passage),
    "settings": _known(_settings),
    "block": yaml_text,
    "day": _known(lambda value: text_of(value)[:10]),
    "time": _known(lambda value: text_of(value).replace("T", " ").replace("Z", " UTC")),
}


def written(form: str, value: Any) -> str:
    """A value in a form. Raises KeyError for an unknown form, ValueError or TypeError where the value does not fit."""
    return FORMS[form](value)
