"""A result over a collection that a stranger made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import small

SCRIPTED = "<script>window.stolen=1</script><img src=x onerror=alert(1)>\"'><b>bold</b> &amp; </title></style>"
MARKED = "# heading | **bold** [link](javascript:alert(1)) ![x](http://example.org/x.png) `code` <details>"
ARABIC = "\u202eمرحبا بالعالم\u202c"
EMOJI = "👩‍👩‍👧 🏳️‍🌈 zero\u200bwidth"
LONG = "word " * 250_000
DOCUMENTS = {
    "d1": "cats purr", "d2": SCRIPTED, "d3": MARKED, "d4": ARABIC, "d5": EMOJI, "d6": LONG,
    "<i>d7</i>": "=cmd|' /C calc'!A0",
}  # fmt: skip
QUERIES = {
    "q1": "who purrs", "q2": SCRIPTED, "q3": MARKED, "q4": ARABIC, "q5": EMOJI, "q6": LONG, "<q>7</q>": "+SUM(1)",
}  # fmt: skip
JUDGED = dict(zip(QUERIES, DOCUMENTS, strict=True))


def trec(rankings: dict[str, list[str]]) -> str:
    return "".join(
        f"{query} Q0 {document} {place} {9 - place} x\n"
        for query, documents in rankings.items()
        for place, document in enumerate(documents, 1)
    )


@pytest.fixture(scope="session")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of two run files over a collection that a stranger made."""
    home = tmp_path_factory.mktemp("report")
    (home / "data" / "qrels").mkdir(parents=True)
    small.write_jsonl(home / "data" / "corpus.jsonl", [{"_id": i, "text": t} for i, t in DOCUMENTS.items()])
    rows = [{"_id": i, "text": t, "metadata": {"kind": "odd" if len(t) > 9 else "plain"}} for i, t in QUERIES.items()]
    small.write_jsonl(home / "data" / "queries.jsonl", rows)
    (home / "data" / "qrels" / "test.tsv").write_text("".join(f"{q}\t{d}\t1\n" for q, d in JUDGED.items()))
    names = list(DOCUMENTS)
    (home / "today.trec").write_text(trec({q: [d, names[0]][: 1 + (d != names[0])] for q, d in JUDGED.items()}))
    (home / "new.trec").write_text(trec(dict.fromkeys(QUERIES, names[3:6])))
    systems = [{"name": "today", "run": "today.trec"}, {"name": "new", "run": "new.trec"}]
    spec = small.spec(systems, baseline="today", measures=["MRR@3", "Recall@3"], experiment="a-report")
    return small.measure(home, spec)[0]
