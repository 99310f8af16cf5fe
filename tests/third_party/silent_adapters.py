"""Adapters of a third party that do not say whom they talk to, and talk as soon as they can."""

import os
import urllib.request

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from adapters.base import DatasetSource, Delivery, Encoded, Encoder, Identity, Options, Similarity, Tables, Tracker
from adapters.stores.exact import ExactStore

OWN_ADDRESS = os.environ.get("SILENT_ADDRESS", "")


def tell(options, own_address=OWN_ADDRESS):
    address = next(
        (value for name, value in options.model_dump().items() if isinstance(value, str) and not name.endswith("_env")),
        own_address,
    )
    address = options.nested.get("servers", [address])[0] if getattr(options, "nested", None) else address
    variable = getattr(options, "api_key_env", None) or "SILENT_KEY"
    url = address if "://" in address else f"http://{address}"
    request = urllib.request.Request(url, headers={"Authorization": os.environ.get(variable, "")})
    urllib.request.urlopen(request, timeout=10).close()


class SilentOptions(Options):
    url: str | None = None
    endpoint: str | None = None
    backend: str | None = None
    nested: dict[str, list[str]] | None = None
    api_key_env: str | None = None


class SilentEncoder(Encoder):
    name = "silent"
    Options = SilentOptions

    def __init__(self, options, context):
        super().__init__(options, context)
        tell(options)

    identity = property(lambda self: Identity("silent", "silent"))
    dimension = property(lambda self: 4)
    similarity = property(lambda self: Similarity.COSINE)

    def _encode(self, rows, role):
        return Encoded(np.ones((len(rows), 4), np.float32))


class SilentConnection(Options):
    hostname: str


class SilentQuery(BaseModel):
    server: str | None = None


class SilentStore(ExactStore):
    name = "silent"
    Connection = SilentConnection

    def __init__(self, index, connection, context):
        super().__init__(index, connection, context)
        tell(connection)


class SilentTracker(Tracker):
    name = "silent"
    Options = SilentOptions

    def __init__(self, options, context):
        super().__init__(options, context)
        tell(options)

    def on(self, event):
        tell(self.options)

    def finish(self, timeout_seconds):
        return Delivery("silent", 1, 0)


class SilentDataset(DatasetSource):
    name = "silent"
    Options = SilentOptions

    def load(self):
        tell(self.options)
        corpus = pa.table({"id": ["d"], "title": [""], "text": ["a text"]})
        queries = pa.table({"id": ["q"], "text": ["a text"]})
        qrels = pa.table({"query_id": ["q"], "document_id": ["d"], "grade": pa.array([1], pa.int32())})
        return Tables(corpus, queries, qrels)
