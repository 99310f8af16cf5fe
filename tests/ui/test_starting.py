"""How the page begins: light, and with what a browser may send it bounded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bench.ui.app import LARGEST_UPLOAD
from tests.ui.serving import served

HEAVY = ("torch", "lancedb", "weaviate", "transformers", "sentence_transformers", "datasets")


def test_the_page_is_there_before_anything_that_computes(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom bench.ui.app import application\nfrom bench.ui.desk import Desk\n"
        "from bench.ui.guard import Door\napplication(Desk.at(Path('.')), Door('127.0.0.1', 1))\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_an_upload_that_is_too_large_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    assert LARGEST_UPLOAD == "200mb"
    whole, piece = 201 * 1024**2, b"x" * 1024**2
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="large.csv"\r\n\r\n'

    def body() -> Iterator[bytes]:
        yield head
        for _ in range(whole // len(piece)):
            yield piece
        yield b"\r\n--b--\r\n"

    uploads = tmp_path / "uploads"
    uploads.mkdir()
    (tmp_path / "desk").mkdir()
    with served(tmp_path / "desk", TMPDIR=str(uploads)) as address, httpx.Client(base_url=address, timeout=120) as tab:
        tab.get("/")
        headers = {"content-type": "multipart/form-data; boundary=b", "origin": address.rstrip("/")}
        answer = tab.post("/gradio_api/upload", content=body(), headers=headers)
        assert answer.status_code == 413, answer.text
        kept = sum(path.stat().st_size for path in uploads.rglob("*") if path.is_file())
        assert kept < len(piece)
