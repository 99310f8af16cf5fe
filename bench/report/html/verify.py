"""Checks a report: each number in it is read, found in the result by its path, written again and compared."""

from __future__ import annotations

import html as entities
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import NamedTuple

from bench.report.document.build import build
from bench.report.document.forms import written
from bench.report.document.parts import Picture, Report, Section
from bench.report.document.paths import NoSuchPath
from bench.report.document.source import Source
from bench.report.html.page import DIGEST, digest_of
from bench.report.html.script import SCRIPT
from bench.report.html.style import STYLE

# All words with digits that the report's own prose has. Any other number needs a path.
_FIXED = re.compile(r"(?<![\w.,+-])(?:p50|p95|p99)(?!\w|[.,]\d)")
_DIGIT = re.compile(r"\d")
_VOID = {"meta", "link", "input", "br", "hr", "img", "col", "wbr"}
_SPOKEN = ("title", "aria-label", "alt", "placeholder", "content")
_OF_META = {"width=device-width, initial-scale=1"}
_RESULTS = re.compile(r"results\[(\d+)\]\.(.+)", re.DOTALL)


class Fault(NamedTuple):
    """A number that is not what the result says. path: empty where it has none."""

    path: str
    told: str


@dataclass
class Checked:
    """What a check found. figures: how many numbers and texts with a path were compared."""

    figures: int = 0
    pictures: int = 0
    faults: list[Fault] = field(default_factory=list)


def verify(page: str, sources: Sequence[Source]) -> Checked:
    """Compare a report with the results that it was made from, in the order in which it was made."""
    checked = Checked()
    reader = _Reader()
    reader.feed(page)
    reader.close()
    for path, form, text in reader.figures:
        checked.figures += 1
        checked.faults += _compared(path, form, text, sources)
    checked.faults += [Fault("", f"{text.strip()[:80]!r} holds a number without a path") for text in reader.loose]
    report = build(sources)
    if reader.title != report.plain_title:
        checked.faults.append(Fault("", f"the title: {_difference(reader.title, report.plain_title)}"))
    _check_terms(reader, report.terms, checked)
    _check_pictures(page, reader, report, checked)
    for path, form, shown in reader.plotted(checked):
        checked.figures += 1
        checked.faults += _compared(path, form, shown, sources)
    _check_whole(page, reader, checked)
    return checked


def _compared(path: str, form: str, text: str, sources: Sequence[Source]) -> Iterator[Fault]:
    try:
        source, inner = _source(path, sources)
        right = written(form, source.value(inner))
    except NoSuchPath:
        yield Fault(path, f"{path}: the result has nothing there; the report says {text[:80]!r}")
    except (KeyError, ValueError, TypeError, AttributeError):
        yield Fault(path, f"{path}: cannot be written as {form[:40]!r}; the report says {text[:80]!r}")
    else:
        if right != text:
            yield Fault(path, f"{path}: {_difference(text, right)}")


def _difference(text: str, right: str) -> str:
    """Both texts, as far as they fit, from shortly before they part."""
    at = next((i for i, (a, b) in enumerate(zip(text, right, strict=False)) if a != b), min(len(text), len(right)))
    start = max(0, at - 30) if max(len(text), len(right)) > 80 else 0
    return f"the report says {text[start : start + 80]!r}, the result {right[start : start + 80]!r}"


def _source(path: str, sources: Sequence[Source]) -> tuple[Source, str]:
    """The result that a path leads into, and the path within it."""
    if len(sources) == 1:
        return sources[0], path
    match = _RESULTS.fullmatch(path)
    if match is None or int(match[1]) >= len(sources):
        raise NoSuchPath(path)
    return sources[int(match[1])], match[2]


def _check_terms(reader: _Reader, terms: Mapping[str, str], checked: Checked) -> None:
    known = {word + " " + text for word, text in terms.items()} | {word + text for word, text in terms.items()}
    known |= set(terms) | set(terms.values())
    for text in reader.explained:
        if text not in known:
            checked.faults.append(Fault("", f"{text[:80]!r} is no explanation of the glossary"))


def _check_pictures(page: str, reader: _Reader, report: Report, checked: Checked) -> None:
    """Each picture is drawn again and compared."""
    pictures = {picture.key: picture for section in report.sections for picture in _pictures(section)}
    drawn = re.findall(
        r'<div class="(wide|narrow)" role="img"[^>]* data-picture="([^"]+)">(<svg.*?</svg>)</div>', page, re.DOTALL
    )
    seen = set()
    for width, key, image in drawn:
        checked.pictures += 1
        seen.add(key)
        picture = pictures.get(entities.unescape(key))
        if picture is None:
            checked.faults.append(Fault("", f"the picture {key[:80]!r} does not belong to this result"))
        elif image != getattr(picture, width):
            right = getattr(picture, width)
            checked.faults.append(
                Fault(key, f"the picture {key} ({width}) differs from its numbers: {_difference(image, right)}")
            )
    if reader.pictures != checked.pictures:
        checked.faults.append(Fault("", "there is a picture that was not drawn from the result"))


def _pictures(section: Section) -> Iterator[Picture]:
    yield from (block for block in section.blocks if isinstance(block, Picture))
    for each in section.sections:
        yield from _pictures(each)


def _check_whole(page: str, reader: _Reader, checked: Checked) -> None:
    """The page has no style, script or other byte than those that it was written with."""
    match = re.search(rf'<meta name="{DIGEST}" content="([0-9a-f]{{64}})">', page)
    if match is None:
        checked.faults.append(Fault("", "this is no report of this program: it carries no digest"))
    elif match[1] != digest_of(page) and not checked.faults:
        checked.faults.append(Fault("", "every number agrees, but the file is not as it was written"))
    own = {STYLE, SCRIPT}
    if not checked.faults and any(text not in own for text in reader.code):
        checked.faults.append(Fault("", "another version of this program wrote its style or script"))


class _Reader(HTMLParser):
    """Collects what a page says: figures with their paths, and all text beside them that holds a digit."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.figures: list[tuple[str, str, str]] = []
        self.loose: list[str] = []
        self.explained: list[str] = []
        self.drawn: list[str] = []
        self.code: list[str] = []
        self.title = ""
        self.pictures = 0
        self._open: list[tuple[str, dict[str, str]]] = []
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if not self._within("svg"):
            self._flush()
            for name in _SPOKEN:
                if name in given and _DIGIT.search(given[name]) and not self._is_fixed(tag, name, given):
                    self.loose.append(given[name])
        if tag == "svg":
            self.pictures += 1
        if tag not in _VOID:
            self._open.append((tag, given))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An empty element, such as the shapes of a picture."""

    def handle_endtag(self, tag: str) -> None:
        if not any(name == tag for name, _ in self._open):
            return
        while self._open:
            if not self._within("svg"):
                self._flush()
            name, _ = self._open.pop()
            if name == tag:
                return

    def handle_data(self, data: str) -> None:
        if not self._within("svg"):
            self._text.append(data)

    def close(self) -> None:
        super().close()
        self._flush()

    def plotted(self, checked: Checked) -> Iterator[tuple[str, str, str]]:
        """Path, form and text of the numbers that the pictures say they draw."""
        for text in self.drawn:
            try:
                yield from [(str(path), str(form), str(shown)) for path, form, shown in json.loads(text)]
            except (ValueError, TypeError):
                checked.faults.append(Fault("", "the numbers of a picture cannot be read"))

    def _within(self, tag: str) -> bool:
        return any(name == tag for name, _ in self._open)

    def _is_fixed(self, tag: str, name: str, given: Mapping[str, str]) -> bool:
        if tag == "meta" and name == "content":
            return given[name] in _OF_META or given.get("name") == DIGEST or "http-equiv" in given
        return False

    def _flush(self) -> None:
        """What was read since the last element began or ended."""
        text, self._text = "".join(self._text), []
        if not text:
            return
        tag, given = self._open[-1] if self._open else ("", {})
        if tag in ("style", "script"):
            (self.drawn if given.get("class") == "plotted" else self.code).append(text)
        elif "data-path" in given:
            self.figures.append((given["data-path"], given.get("data-form", ""), text))
        elif self._explains():
            if text.strip():
                self.explained.append(text.strip())
        elif tag == "title":
            self.title = text
        elif _DIGIT.search(_FIXED.sub("", text)):
            self.loose.append(text)

    def _explains(self) -> bool:
        return any("data-term" in given or given.get("class") == "terms" for _, given in self._open)
