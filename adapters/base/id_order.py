"""The order of document ids, which decides between equal scores."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from adapters.base.arrays import Rows
from adapters.code.index_rows import id_places


def id_order(ids: Sequence[str] | pa.Array | pa.ChunkedArray) -> Rows:
    """The place of each of m distinct ids in the ascending order of their UTF-8 bytes: int32 (m,), from 0.

    Bytes, because trec_eval compares ids with strcmp. Python compares strings by code point, which gives the same
    order: UTF-8 was made to keep it.
    """
    return id_places(ids if isinstance(ids, Sequence) else ids.to_pylist())
