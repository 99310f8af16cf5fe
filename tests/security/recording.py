"""A server on loopback that keeps whatever it is sent, and secrets planted where adapters and their SDKs look."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MARK = "planted-0f3c"
VARIABLES = [
    "OPENAI_API_KEY",
    "OPENAI_ADMIN_KEY",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "OPENAI_WEBHOOK_SECRET",
    "CO_API_KEY",
    "COHERE_API_KEY",
    "WEAVIATE_API_KEY",
    "WCD_API_KEY",
    "BRAINTRUST_API_KEY",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "DATABRICKS_TOKEN",
    "DATABRICKS_CLIENT_SECRET",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "JINA_API_KEY",
    "VOYAGE_API_KEY",
]


def planted() -> dict[str, str]:
    """A secret of its own in every variable, each with the mark in it."""
    found = {name: f"{MARK}-{name.lower().replace('_', '-')}" for name in VARIABLES}
    return {**found, "OPENAI_CUSTOM_HEADERS": f"X-Gateway: {MARK}-custom-headers"}


class Recorder:
    """What came, as text: request lines, headers and bodies."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.url = ""

    @property
    def connections(self) -> int:
        return len(self.requests)

    def received(self, text: str) -> bool:
        return any(text in request for request in self.requests)


Reply = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(reply: Reply) -> Iterator[Recorder]:
    """A recorder that answers every request so."""
    seen = Recorder()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.requests.append(f"{self.requestline}\n{self.headers}\n{body.decode('utf-8', 'replace')}")
            self.close_connection = True
            with suppress(OSError):  # whoever asked has hung up
                reply(self)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    seen.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def recording(status: int = 401) -> AbstractContextManager[Recorder]:
    """A recorder that answers every request with that status."""

    def who_are_you(handler: BaseHTTPRequestHandler) -> None:
        text = b'{"message": "who are you?"}'
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    return answering(who_are_you)
