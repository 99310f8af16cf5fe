"""A model hub on loopback, as far as a folder's upload speaks to one.

Source: requests of huggingface_hub 2.4: repos/create, validate-yaml, preupload, Git LFS's batch API, commit as JSON
Lines.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit


class ModelHub:
    """files: what was committed, by path; private: whether a repository was asked to be, one
    after another; tokens: that were sent."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.files: dict[str, bytes] = {}
        self.private: list[bool] = []
        self.tokens: set[str | None] = set()
        self._large: dict[str, bytes] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self._answer(hub.post)

            def do_PUT(self) -> None:
                self._answer(hub.put)

            def do_GET(self) -> None:
                self._answer(lambda path, body: (404, {"error": "Not Found"}))

            def _answer(self, handle: Any) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                sent = self.headers.get("Authorization")
                path = urlsplit(self.path).path
                if not path.startswith("/large/"):  # its address is signed
                    hub.tokens.add(sent)
                allowed = path.startswith("/large/") or sent == f"Bearer {hub.token}"
                status, answer = handle(path, body) if allowed else (401, {"error": "Invalid credentials."})
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def post(self, path: str, body: bytes) -> tuple[int, Mapping[str, Any]]:
        if path == "/api/repos/create":
            asked = json.loads(body)
            owner = asked.get("organization") or "me"
            self.private.append(asked.get("private") or asked.get("visibility") == "private")
            return 200, {"url": f"{self.address}/{owner}/{asked['name']}", "name": f"{owner}/{asked['name']}"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if "/preupload/" in path:
            files = [self._mode(file["path"]) for file in json.loads(body)["files"]]
            return 200, {"files": files}
        if path.endswith("/info/lfs/objects/batch"):
            return 200, {"transfer": "basic", "objects": [self._upload(each) for each in json.loads(body)["objects"]]}
        if "/commit/" in path:
            for line in body.splitlines():
                self._commit(json.loads(line))
            repository = path.removeprefix("/api/models/").partition("/commit/")[0]
            return 200, {
                "success": True,
                "commitUrl": f"{self.address}/{repository}/commit/{'1' * 40}",
                "commitOid": "1" * 40,
            }
        return 404, {"error": path}

    def put(self, path: str, body: bytes) -> tuple[int, Mapping[str, Any]]:
        self._large[hashlib.sha256(body).hexdigest()] = body
        return 200, {}

    def _mode(self, path: str) -> Mapping[str, Any]:
        return {
            "path": path,
            "uploadMode": "lfs" if path.endswith(".safetensors") else "regular",
            "shouldIgnore": False,
        }

    def _upload(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        upload = {"href": f"{self.address}/large/{asked['oid']}"}
        return {"oid": asked["oid"], "size": asked["size"], "actions": {"upload": upload}}

    def _commit(self, line: Mapping[str, Any]) -> None:
        value = line["value"]
        if line["key"] == "file":
            self.files[value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            self.files[value["path"]] = self._large[value["oid"]]
