"""Guesses which column of a table holds what: questions, passages, labels, files, ids, titles and grades."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from adapters.base.document_names import DocumentNames, documents_below

LOOKED_AT = 2_000  # rows
DOCUMENT_ENDINGS = (".md", ".txt", ".html", ".htm")
_NEARLY_ALL = 0.8

Kind = Literal["passage", "label", "document", "id"]
"""What a question is judged by: a text, a category, the name of a file, or the id of a row of another table."""

# Words of headings, in some languages, best first; a heading counts when it is one of them or holds it as a word.
_QUESTION = (
    *("query", "question", "queries", "questions", "frage", "pregunta", "domanda", "pergunta", "vraag", "fråga"),
    *(
        "вопрос",
        "запрос",
        "问题",
        "問題",
        "質問",
        "查询",
        "질문",
        "سؤال",
        "utterance",
        "search",
        "ask",
        "prompt",
        "request",
    ),
    *("anfrage", "suche", "demande", "consulta", "input", "inquiry", "subject", "message", "ticket", "claim", "user"),
)
_TARGET = (
    *("positive", "passage", "document", "answer", "article", "antwort", "artikel", "réponse", "reponse", "respuesta"),
    *("risposta", "resposta", "antwoord", "svar", "ответ", "答案", "回答", "답변", "جواب", "response", "reply"),
    *("solution", "doc", "context", "content", "body", "abstract", "description", "text", "page", "file", "url"),
    *("source", "resolution", "evidence", "target", "output", "product", "beschreibung", "lösung"),
)
_LABEL = (
    *("label", "category", "intent", "class", "topic", "tag", "kategorie", "categoría", "catégorie", "thema"),
    *("类别", "分类", "カテゴリ", "категория", "type", "group", "department", "queue"),
)
_ID = ("id", "nr", "no", "number", "nummer", "key", "#", "uid", "uuid", "qid", "pid", "docid", "code", "ref")
_ID_WORDS = ("id", "ids", "uid", "uuid", "qid", "pid", "docid", "key", "ref")  # that end the heading of such a column
_TITLE = ("title", "headline", "titel", "título", "titre", "name", "heading", "标题", "タイトル", "заголовок")
_GRADE = ("grade", "score", "relevance", "rating", "rel", "relevanz", "note", "relevancy", "judgement", "judgment")
_FILE = re.compile(r"[^\s/\\][^\n]*\.(md|txt|html?|pdf|docx?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Column:
    """What a column looks like, over the rows that were looked at. filled: share of cells with anything in them;
    distinct: share of different values among those; words, characters: means; asked: share that ends with a question
    mark; numbers, whole: share that are numbers, and whole ones; files: share that name a file below the folder;
    filelike: share that look like such a name."""

    name: str
    filled: float
    distinct: float
    words: float
    characters: float
    asked: float
    numbers: float
    whole: float
    files: float
    filelike: float

    @property
    def texts(self) -> bool:
        """Whether its cells may be questions or passages."""
        return self.filled > 0 and self.numbers < 0.5

    @property
    def ids(self) -> bool:
        """Whether its cells are ids by which another table knows its rows, such as `article_id`."""
        return self.words < 1.5 and self.filelike < 0.5 and bool({*_plain(self.name).split()[-1:]} & {*_ID_WORDS})

    @property
    def seen(self) -> str:
        """What it looks like, in words."""
        words = f"{self.words:.0f} {'word' if f'{self.words:.0f}' == '1' else 'words'} on average"
        parts = [f"{_percent(self.distinct)} different values", words]
        parts += [f"{_percent(self.asked)} end with a question mark"] if self.asked else []
        parts += [f"{_percent(self.files)} are files that are there"] if self.files else []
        return ", ".join(parts)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


class Roles(NamedTuple):
    """Which column holds what. sure: whether headings or contents leave no doubt."""

    query: str
    target: str
    kind: Kind
    query_id: str | None
    document_id: str | None
    title: str | None
    grade: str | None
    sure: bool
    decided: bool = True  # whether anything speaks for it rather than for the next best guess

    def of_kind(self, kind: Kind) -> Roles:
        """The same columns, where a user says what the target holds."""
        if kind == "label":
            return self._replace(kind=kind, title=None, document_id=None)
        return self._replace(kind=kind)


def looked_at(rows: Sequence[Mapping[str, Any]], folder: Path) -> list[Column]:
    """The columns of some rows. folder: below which the names of files are looked for."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    documents = DocumentNames(documents_below(folder, DOCUMENT_ENDINGS))
    return [_column(name, [row.get(name) for row in rows], folder, documents) for name in names]


def _column(name: str, cells: Sequence[Any], folder: Path, documents: DocumentNames) -> Column:
    filled = [texts for cell in cells if (texts := _texts(cell))]
    values = [text for texts in filled for text in texts]
    count = max(1, len(values))
    files = [value for value in values[:200] if _FILE.fullmatch(value)]
    there = [
        value for value in values[:200] if documents(value) is not None or (value in files and _is_there(folder, value))
    ]
    return Column(
        name=name,
        filled=len(filled) / max(1, len(cells)),
        distinct=len(set(values)) / count,
        words=sum(_words(value) for value in values) / count,
        characters=sum(map(len, values)) / count,
        asked=sum(value.endswith(("?", "？", "؟", '?"')) for value in values) / count,
        numbers=sum(_is_number(value) for value in values) / count,
        whole=sum(re.fullmatch(r"[+-]?\d+(\.0*)?", value) is not None for value in values) / count,
        files=len(there) / max(1, min(200, len(values))),
        filelike=len(files) / max(1, min(200, len(values))),
    )


def _is_there(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):
        return False  # no name that a file can have


def _texts(cell: Any) -> list[str]:
    """What a cell holds; a list holds several."""
    return [text for each in (cell if isinstance(cell, list) else [cell]) if (text := _text(each))]


def codes(values: Iterable[str]) -> str | None:
    """One of some labels where they are codes, which say nothing of what they stand for: `KB-0012`, `17`. Words that
    most labels have in common tell none from another."""
    words = {value: set(re.findall(r"[^\W\d_]{2,}", value.casefold())) for value in set(values)}
    counts = Counter(word for found in words.values() for word in found)
    common = {word for word, count in counts.items() if count > len(words) / 2 and len(words) > 1}
    empty = sorted(value for value, found in words.items() if not found - common)
    return empty[0] if len(words) > 1 and len(empty) >= _NEARLY_ALL * len(words) else None


def _text(cell: Any) -> str:
    return "" if cell is None or isinstance(cell, list | dict) else str(cell).strip()


def _words(text: str) -> int:
    """Words; of scripts without spaces two letters count as one."""
    dense = sum(unicodedata.category(char) == "Lo" and ord(char) > 0x2E80 for char in text)
    return len(text.split()) + dense // 2


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?[\d.,\s]*\d", text) is not None


def roles(columns: Sequence[Column], *, query: str | None = None, target: str | None = None) -> Roles | None:
    """The best guess; None where no two columns can be questions and what answers them. query, target: what a user
    said."""
    pairs = [
        (_as_query(one) + _as_target(other) + (0.5 if other.characters > one.characters else 0.0), one, other)
        for one in columns
        for other in columns
        if one is not other
        and (one.name == query if query is not None else one.texts)
        and (
            other.name == target
            if target is not None
            else not other.ids and (other.texts or _heading(other.name, _LABEL) > 0)
        )
    ]
    if not pairs:
        return None
    pairs.sort(key=lambda pair: -pair[0])  # stable: of equal ones the first column asks
    best, asks, answers = pairs[0]
    others = [column for column in columns if column not in (asks, answers)]
    kind = _kind(answers)
    return Roles(
        query=asks.name,
        target=answers.name,
        kind=kind,
        query_id=id_of(others, asks),
        document_id=id_of(others, answers, needed=True) if kind == "passage" else None,
        title=titled(others) if kind == "passage" else None,
        grade=graded(others),
        sure=best >= 3 and (len(pairs) == 1 or best - pairs[1][0] >= 0.5),
        decided=len(pairs) == 1 or best - pairs[1][0] >= 0.2,
    )


def graded(columns: Sequence[Column]) -> str | None:
    """The column of whole grades, by its heading."""
    return next((each.name for each in columns if each.whole == each.filled == 1 and _heading(each.name, _GRADE)), None)


def words_of(*names: str) -> set[str]:
    """The words of some headings or names of files, of one thing rather than several, without those that say `id`."""
    words = {word.removesuffix("s") for name in names for word in _plain(name).split()}
    return {word for word in words if word not in _ID}


def best_question(columns: Sequence[Column]) -> tuple[Column, float] | None:
    """The column that most likely holds questions, and how likely; None where none holds texts of more than a word."""
    likely = {column: _as_query(column) - _as_target(column) for column in columns if column.texts and column.words > 1}
    return max(likely.items(), key=lambda each: each[1], default=None)


def best_text(columns: Sequence[Column]) -> Column | None:
    """The column that most likely holds the texts of documents: the longest, rather where its heading says so."""
    likely = [column for column in columns if column.texts and column.words >= 2]
    return max(likely, key=lambda column: column.characters * (1 + _heading(column.name, _TARGET)), default=None)


def titled(columns: Sequence[Column]) -> str | None:
    """The column of titles, by its heading."""
    return next((column.name for column in columns if _heading(column.name, _TITLE) >= 2), None)


def _as_query(column: Column) -> float:
    score = _heading(column.name, _QUESTION) + 2 * column.asked + column.distinct * column.filled
    score -= 1.0 if column.words < 1.5 else 0.0
    return score - max(_heading(column.name, words) for words in (_LABEL, _ID, _TITLE)) / 2


def _as_target(column: Column) -> float:
    named = max(_heading(column.name, _TARGET), _heading(column.name, _LABEL))
    return named + 3 * column.files + column.filelike - 2 * column.asked - _heading(column.name, _ID)


def _kind(target: Column) -> Kind:
    """A document where files of these names are there; a label where values are short and come again, or are called
    so; else a passage."""
    if target.files > 0.5:
        return "document"
    named = _heading(target.name, _LABEL) > _heading(target.name, _TARGET)
    short = target.words <= 8 and target.characters <= 80
    return "label" if short and (named or target.distinct < 0.9 or target.filelike > 0.5) else "passage"


def id_of(others: Sequence[Column], of: Column, *, needed: bool = False) -> str | None:
    """The column with the ids of another column's rows: `article_id` of `article`, and where none is needed any id."""
    words = {*_plain(of.name).split(), *(("doc", "document", "docid", "passage", "article") if needed else ())}
    for column in others:
        named = set(_plain(column.name).split())
        said = named & words or (not needed and column.distinct == 1 and len(named) == 1)
        if said and named & set(_ID) and column.filled == 1 and column.words <= 2:
            return column.name
    return None


def _heading(name: str, words: Sequence[str]) -> float:
    """How well a heading says one of some words: 3 where it is one, 2 where it holds one, 1 where it begins or ends
    with one; earlier words a little more."""
    plain = _plain(name)
    parts, best = {*plain.split(), *(part.removesuffix("s") for part in plain.split())}, 0.0
    for place, word in enumerate(words):
        score = 3.0 if word in (plain, plain.removesuffix("s")) else 2.0 if word in parts else 0.0
        if not score and len(word) >= 5 and any(part.startswith(word) or part.endswith(word) for part in parts):
            score = 1.0
        if not score and not word.isascii() and word in plain:
            score = 2.0
        best = max(best, score - place / 100 if score else 0.0)
    return best


def _plain(name: str) -> str:
    """A heading in small letters and words: `rightArticle`, `right_article` and `Right Article` are alike."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return " ".join(re.sub(r"[\W_]+", " ", spaced.casefold()).split()) or name.strip()


def headless(first: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether what stands in the heading's place is a row like the others: it asks, is long, or comes again below."""
    if any(name.endswith(("?", "？")) or len(name) > 60 for name in first):
        return True
    return any(sum(_text(row.get(name)) == name for row in rows[:200]) > 1 for name in first if name)
