"""Law: a server's gRPC answers are bounded by us, whatever bound the server names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from weaviate.config import GrpcConfig
from weaviate.connect.base import ConnectionParams

from adapters.stores.weaviate.client import CHANNEL_OPTIONS


class Generous(grpc.GenericRpcHandler):
    """Answers every call with as many bytes as it is asked for."""

    def service(self, handler_call_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda asked, context: b"\0" * int(asked))


def test_a_grpc_answer_is_bounded_by_us_and_not_by_the_server() -> None:
    unlimited = [("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(1), [Generous()], options=unlimited)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        parameters = ConnectionParams.from_params("127.0.0.1", 1, False, "127.0.0.1", port, False)
        told = 2**31 - 1  # what /v1/meta may name as grpcMaxMessageSize
        config = GrpcConfig(channel_options=CHANNEL_OPTIONS)
        with parameters._grpc_channel({}, told, is_async=False, grpc_config=config) as channel:
            call = channel.unary_unary("/weaviate.v1.Weaviate/Search")
            assert len(call(str(1 << 20).encode(), timeout=60)) == 1 << 20
            with pytest.raises(grpc.RpcError) as raised:
                call(str((128 << 20) + 1).encode(), timeout=60)
            assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    finally:
        server.stop(None)
