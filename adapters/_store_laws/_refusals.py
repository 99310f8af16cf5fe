"""The laws of what a store refuses, and of its identity."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from adapters._store_laws._sample import Sample
from adapters._store_laws._suite import Builder, StoreSuite
from adapters.base import InvalidVectors, Queries


class RefusalLaws(StoreSuite):
    """Vectors and options that are wrong."""

    @pytest.mark.parametrize("fault", ["dimension", "nan", "infinity"])
    def test_bad_vectors_are_refused_by_build_and_by_search(self, build: Builder, fault: str) -> None:
        if not self._by_vector:
            pytest.skip("the search is not by vector")
        sample = Sample.of(300)
        bad = sample.vectors.copy()
        bad[150, 3] = {"nan": np.nan, "infinity": np.inf, "dimension": 0}[fault]
        if fault == "dimension":
            bad = np.hstack([bad, bad[:, :1]])
        wrong = pa.FixedSizeListArray.from_arrays(pa.array(bad.ravel()), bad.shape[1])
        whole = pa.Table.from_batches(list(self._batches(sample)))
        table = whole.set_column(whole.schema.names.index("vector"), "vector", wrong)
        with pytest.raises(InvalidVectors):
            build(sample, batches=iter(table.to_batches(max_chunksize=100)))
        texts = self._queries(sample, len(bad)).texts
        with self._open(build(sample)) as session, pytest.raises(InvalidVectors):
            session.search(Queries(bad, texts), 3)

    def test_unknown_options_are_faults(self) -> None:
        store = self._new()
        for options in (store.Index, store.Query, store.Connection):
            with pytest.raises(ValidationError, match="surely_not_an_option"):
                options(surely_not_an_option=1)

    def test_the_identity_is_stable_and_json(self) -> None:
        first, second = self._new().identity.as_dict(), self._new().identity.as_dict()
        assert json.loads(json.dumps(first)) == json.loads(json.dumps(second))
