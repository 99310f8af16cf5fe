"""Ranked List Loss against values worked by hand, and the classes that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from adapters.base import Context, InvalidOptions
from adapters.testing import planted_base
from adapters.trainers._batches import plan_batches
from adapters.trainers._ranked_list import _known_of, ranked_list_loss
from adapters.trainers.ranked_list import RankedListOptions, RankedListTrainer

PLAIN = {"boundary": 1.2, "margin": 0.4, "temperature": 10.0, "negative_share": 0.5}


def loss(angles: Sequence[float], classes: Sequence[int], **settings: Any) -> float:
    """Of vectors at these degrees of a circle; their lengths differ, which must not count."""
    return float(ranked_list_loss(vectors(angles), tensor(classes), **{**PLAIN, **settings}))


def tensor(values: Any) -> Any:
    import torch

    return torch.tensor(values)


def vectors(angles: Sequence[float]) -> Any:
    turned = np.radians(np.array(angles))
    return tensor(np.stack([np.cos(turned), np.sin(turned)], axis=1) * np.arange(1, len(angles) + 1)[:, None])


# On the unit circle 60 degrees are a distance of 1, 120 of the root of 3, 180 of 2.
ANGLES, CLASSES = (0, 180, 60), (7, 7, 9)


def test_the_loss_is_that_of_the_paper() -> None:
    # First: its class is 2 away, 2 - .8 = 1.2; the other class 1 away, 1.2 - 1 = .2: (1.2 + .2) / 2 = .7.
    # Second: its class as before, 1.2; the other class 1.73 away, beyond the boundary: .6.
    # Third: alone in its class; the first is .2 within the boundary: .1. The mean: 1.4 / 3.
    assert loss(ANGLES, CLASSES) == pytest.approx(1.4 / 3, abs=1e-5)


def test_lambda_divides_the_loss_between_the_class_and_the_others() -> None:
    # The class alone: (1.2 + 1.2 + 0) / 3. The others alone: (.2 + 0 + .2) / 3.
    assert loss(ANGLES, CLASSES, negative_share=0.0) == pytest.approx(0.8, abs=1e-5)
    assert loss(ANGLES, CLASSES, negative_share=1.0) == pytest.approx(0.4 / 3, abs=1e-5)


def test_texts_where_they_ought_to_be_cost_nothing() -> None:
    # Of a class 30 degrees apart (.52 < .8), of two classes at least 150 (1.93 > 1.2).
    assert loss((0, 30, 180, 210), (1, 1, 2, 2)) == pytest.approx(0, abs=1e-6)
    assert loss((0, 0, 180, 180), (1, 1, 2, 2)) == pytest.approx(0, abs=1e-6)


def test_the_margin_says_how_close_a_class_must_come() -> None:
    # 60 degrees apart, 1 away: with a margin of .4 by .2 too far, with one of .1 near enough.
    assert loss((0, 60), (1, 1), negative_share=0.0) == pytest.approx(0.2, abs=1e-5)
    assert loss((0, 60), (1, 1), negative_share=0.0, margin=0.1) == 0


def test_nearer_texts_of_other_classes_weigh_more_by_the_temperature() -> None:
    # The first asks: the second is 1 away, the third 30 degrees, d = 2 sin 15° = .5176. All of other classes.
    near = 2 * np.sin(np.radians(15))
    # With T = ln 3 / (1 - d) the nearer one weighs three times as much: (.2 + 3 (1.2 - d)) / 4. The second asks: the
    # first is 1 away, the third 90 degrees, 1.41: .2. The third asks: the first, 1.2 - d.
    asks = [(0.2 + 3 * (1.2 - near)) / 4, 0.2, 1.2 - near]
    hot = np.log(3) / (1 - near)
    assert loss((0, 60, -30), (1, 2, 3), negative_share=1.0, temperature=hot) == pytest.approx(np.mean(asks), abs=1e-5)
    # With T = 0 both weigh alike.
    asks[0] = (0.2 + 1.2 - near) / 2
    assert loss((0, 60, -30), (1, 2, 3), negative_share=1.0, temperature=0) == pytest.approx(np.mean(asks), abs=1e-5)


def test_the_weights_do_not_overflow_and_have_no_slope_of_their_own() -> None:
    assert np.isfinite(loss((0, 60, -30), (1, 2, 3), temperature=1e4))
    given = vectors((0, 60, -30)).requires_grad_()
    ranked_list_loss(given, tensor((1, 2, 3)), **{**PLAIN, "negative_share": 1.0}).backward()
    cool = given.grad.clone()
    assert np.isfinite(cool.numpy()).all() and (cool != 0).any()


def test_texts_at_one_place_have_a_finite_slope() -> None:
    given = vectors((0, 0, 0)).requires_grad_()
    ranked_list_loss(given, tensor((1, 1, 2)), **PLAIN).backward()
    assert np.isfinite(given.grad.numpy()).all()


def test_of_silent_pairs_nothing_is_learnt() -> None:
    # As in the first law, without the pair of the first and the third: (.6 + .6 + 0) / 3.
    silent = np.zeros((3, 3), bool)
    silent[0, 2] = silent[2, 0] = True
    assert loss(ANGLES, CLASSES, silent=tensor(silent)) == pytest.approx(0.4, abs=1e-5)


def test_a_query_is_no_negative_of_another_class_that_it_belongs_to() -> None:
    # Query 1 is answered by the documents 10 and 11; query 2 by 11, query 3 by 12.
    found = _known_of([1, 2, 3], [10, 11, 12], {1: [10, 11]})
    assert np.argwhere(found.numpy()).tolist() == [[0, 1], [1, 0]]


def pairs(*rows: tuple[str, str, str], **columns: Sequence[Any]) -> pa.Table:
    """Query, document id, positive."""
    queries, ids, positives = zip(*rows, strict=True)
    table = {"query_id": [f"q{i}" for i in range(len(rows))], "document_id": ids, "query": queries}
    none = pa.array([[]] * len(rows), pa.list_(pa.string()))
    return pa.table({**table, "positive": positives, "negatives": none, **columns})


SIXTEEN = pairs(*((f"ask{row} now", f"d{row % 4}", f"tell{row % 4}") for row in range(16)))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted_base(tmp_path_factory.mktemp("models") / "base")


def trainer(base: Path, **options: Any) -> RankedListTrainer:
    return RankedListTrainer(RankedListOptions(base=str(base), device="cpu", **options), Context())


def test_a_batch_holds_several_of_a_class(base: Path) -> None:
    subject = trainer(base, batch_size=8, per_class=4)
    rows = subject._rows(SIXTEEN)
    batches = plan_batches(rows, subject.options, seed=1).batches
    assert sorted(row for batch in batches for row in batch) == list(range(16))
    for batch in batches:  # 8 examples are 2 classes of 4
        assert sorted(row % 4 for row in batch) == sorted([row % 4 for row in {r % 4: r for r in batch}.values()] * 4)


def test_a_class_is_a_document_or_a_label(base: Path) -> None:
    assert trainer(base)._rows(SIXTEEN).together == [f"tell{row % 4}" for row in range(16)]
    topics = [f"t{row % 2}" for row in range(16)]
    labelled = SIXTEEN.append_column("meta.topic", pa.array(topics))
    subject = trainer(base, label="meta.topic")
    assert subject.query_columns == ("meta.topic",) and subject._rows(labelled).together == topics


def test_a_query_that_two_documents_answer_belongs_to_two_classes(base: Path) -> None:
    twice = pairs(*((f"ask{row // 2}", f"d{row % 2}", f"tell{row % 2}") for row in range(16)))
    rows = trainer(base)._rows(twice)
    assert len({tuple(each) for each in rows.columns["label"]}) == 16
    assert len({query for query, _ in rows.columns["label"]}) == 8


def test_classes_of_one_are_refused_with_the_cure(base: Path) -> None:
    alone = pairs(*((f"ask{row}", f"d{row}", f"tell{row}") for row in range(8)))
    assert len(trainer(base)._rows(alone)) == 8  # each document stands beside its query
    with pytest.raises(InvalidOptions, match=r"has one query.*with_documents: true.*label: meta") as refused:
        trainer(base, with_documents=False)._rows(alone)
    assert refused.value.key == "with_documents"


def test_one_class_a_column_that_is_not_there_and_a_query_without_a_label_are_refused(base: Path) -> None:
    one = SIXTEEN.append_column("meta.topic", pa.array(["t"] * 16))
    with pytest.raises(InvalidOptions, match="of one class"):
        trainer(base, label="meta.topic")._rows(one)
    with pytest.raises(InvalidOptions, match=r"no column meta\.topic"):
        trainer(base, label="meta.topic")._rows(SIXTEEN)
    holed = SIXTEEN.append_column("meta.topic", pa.array(["t", None, *["u"] * 14]))
    with pytest.raises(InvalidOptions, match=r"1 training examples have no meta\.topic, such as query q1"):
        trainer(base, label="meta.topic")._rows(holed)


def test_what_the_loss_cannot_mean_is_refused_by_its_options() -> None:
    for wrong, told in (
        ({"margin": 1.2}, "below boundary"),
        ({"boundary": 2.5}, "boundary"),
        ({"label": "topic"}, "meta.topic"),
    ):
        with pytest.raises(ValueError, match=told):
            RankedListOptions.model_validate({"base": "x", **wrong})
