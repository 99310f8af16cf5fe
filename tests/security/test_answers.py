"""Laws: whatever a server answers, its client ends in time, in bounded memory, in one sentence, and stays there."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from adapters.answers import LARGEST, Bounds, bounded_client, proxy_for, unpacked
from adapters.base import AdapterError, AdapterRejected, AdapterTimeout
from tests.security.hostile import CLIENTS, saying
from tests.security.recording import Reply, answering

KEY = "planted-answers-51cc"
DOCUMENT = "a secret document"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAW_KEY", KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def ask(client: str, folder: Path, url: str, seconds: float = 30) -> str:
    """What the adapter's error says of an answer that it cannot use."""
    with pytest.raises(AdapterError) as raised:
        CLIENTS[client](folder, url, seconds, "LAW_KEY")
    told = str(raised.value)
    assert len(told) < 900 and "\n" not in told and KEY not in told and "\x1b" not in told
    if isinstance(raised.value, AdapterTimeout):
        return f"timed out: {told}"
    return told


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Bytes for as long as anybody reads."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    for _ in range(4 * LARGEST >> 20):
        handler.wfile.write(b" " * (1 << 20))


_ZEROS = b"\0" * (LARGEST + (1 << 20))
_RAW = zlib.compressobj(wbits=-zlib.MAX_WBITS)
BOMBS: dict[str, Reply] = {
    "endless": endless,
    "gzip": saying(gzip.compress(_ZEROS), Content_Encoding="gzip"),
    "deflate": saying(zlib.compress(_ZEROS), Content_Encoding="deflate"),
    "deflate without a header": saying(_RAW.compress(_ZEROS) + _RAW.flush(), Content_Encoding="deflate"),
    "an error in gzip": saying(gzip.compress(_ZEROS), 400, Content_Encoding="gzip"),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("bomb", BOMBS)
def test_an_answer_that_is_too_large_is_refused_by_what_it_expands_to(client: str, bomb: str, tmp_path: Path) -> None:
    with answering(BOMBS[bomb]) as server:
        told = ask(client, tmp_path, server.url)
        assert "more than 64 MiB" in told and server.url in told
        assert len(server.requests) == 1


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "\x1b[31m"])
def test_a_compression_that_was_not_asked_for_is_refused_unread(client: str, coding: str, tmp_path: Path) -> None:
    with answering(saying(b"\x28\xb5\x2f\xfd", Content_Encoding=coding)) as server:
        assert "was not asked for" in ask(client, tmp_path, server.url)
        assert "br" not in server.requests[0].partition("ccept-")[2].partition("\n")[0]


def test_an_answer_is_unpacked_a_little_at_a_time() -> None:
    bounds = Bounds("The server", 1)
    for packed in (gzip.compress(b"\0" * 5_000_000), zlib.compress(b"\0" * 5_000_000)):
        pieces = list(unpacked(iter([packed]), "gzip", bounds))
        assert max(map(len, pieces)) <= 1 << 16 and sum(map(len, pieces)) == 5_000_000


def test_what_is_compressed_reads_as_what_is_not() -> None:
    text = b'{"ids": ["d0"], "scores": [1.5]}' * 999
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    forms = {"gzip": gzip.compress(text), "deflate": zlib.compress(text), "x-gzip": gzip.compress(text)}
    for coding, packed in [*forms.items(), ("deflate", raw.compress(text) + raw.flush()), ("identity", text)]:
        with answering(saying(packed, Content_Encoding=coding)) as server:
            client = bounded_client(httpx, server.url, Bounds("It", 30), connections=1, kept_alive=1)
            with client:
                assert client.get(server.url).content == text
    with answering(saying(gzip.compress(text)[:-9], Content_Encoding="gzip")) as server:
        client = bounded_client(httpx, server.url, Bounds("It", 30), connections=1, kept_alive=1)
        with client, pytest.raises(httpx.RemoteProtocolError, match="ends in the middle"):
            client.get(server.url)


def dripping(what: str) -> Reply:
    """Head or body byte by byte, for longer than a minute."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        def drip(data: bytes) -> Iterator[None]:
            for byte in data:
                handler.wfile.write(bytes([byte]))
                yield time.sleep(0.05)

        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n"
        if what == "head":
            list(drip(head + b"X-Long: " + b"x" * 1500 + b"\r\n\r\n"))
        elif what == "interim":
            for _ in range(1500):
                list(drip(b"HTTP/1.1 100 Continue\r\n\r\n"))
        else:
            handler.wfile.write(head + b"\r\n")
        list(drip(b" " * 2000))

    return reply


def test_an_answer_that_comes_byte_by_byte_ends_in_time(tmp_path: Path) -> None:
    """Head, interim answer or body, of every client: all at once, since each of them waits."""

    def wait(client: str, what: str) -> float:
        (folder := tmp_path / f"{client} {what}").mkdir()
        began = time.monotonic()
        with answering(dripping(what)) as server, pytest.raises(AdapterTimeout):
            CLIENTS[client](folder, server.url, 0.5, "LAW_KEY")
        return time.monotonic() - began

    cases = [(client, what) for client in CLIENTS for what in ("head", "interim", "body")]
    with ThreadPoolExecutor(len(cases)) as together:
        waited = {case: together.submit(wait, *case) for case in cases}
    for case, seconds in waited.items():
        assert seconds.result() < 60, case  # it would be whole after more than a minute


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_neither_key_nor_texts_to_another_address(client: str, status: int, tmp_path: Path) -> None:
    with answering(saying(b"{}")) as second:
        for host in ("127.0.0.1", "localhost"):
            target = f"{second.url.replace('127.0.0.1', host)}/taken?token=x"
            with answering(saying(b"", status, Location=target)) as first:
                told = ask(client, tmp_path, first.url)
            assert f"sends on to {second.url.replace('127.0.0.1', host)}/taken (" in told and "token" not in told
            assert len(first.requests) == 1 and KEY in first.requests[0]
        assert second.requests == []


@pytest.mark.parametrize(
    "target", ["//192.0.2.1/x", "https://192.0.2.1", "/elsewhere", "http://[", "\x1b[31m", "x" * 9999], ids=range(6)
)
def test_no_redirect_is_followed_wherever_it_points(target: str, tmp_path: Path) -> None:
    with answering(saying(b"", 307, Location=target)) as server:
        assert "sends on to" in ask("rerank_api", tmp_path, server.url)
        assert len(server.requests) == 1


DEEP = b"[" * 200_000
SHAPES: dict[str, bytes] = {
    "null": b"null",
    "a number": b"5",
    "a text": b'"no"',
    "a list": b"[5]",
    "a list of lists": b"[[1], [2]]",
    "an object": b"{}",
    "brackets": DEEP,
    "brackets in the answer": b'{"data": ' + DEEP,
    "nulls": b'{"data": null, "results": null, "embeddings": null, "ids": null, "scores": null}',
    "texts": b'{"data": "x", "results": "x", "embeddings": "x", "ids": "x", "scores": "x"}',
    "objects": b'{"data": [{}], "results": [{}], "embeddings": {}, "ids": [{}], "scores": [{}]}',
    "an index that is no number": b'{"data": [{"index": "a", "embedding": [1, 2, 3, 4]}], '
    b'"results": [{"index": "a", "relevance_score": 1}], "embeddings": {"float": [["a"]]}, "ids": ["d0"], '
    b'"scores": ["1"]}',
    "an index elsewhere": b'{"data": [{"index": 7, "embedding": [1, 2, 3, 4]}], '
    b'"results": [{"index": 7, "relevance_score": 1}], "embeddings": {"float": []}, "ids": ["d7"], "scores": [1]}',
    "the same index twice": b'{"data": [{"index": 0, "embedding": [1, 2, 3, 4]}, {"index": 0, "embedding": [1]}], '
    b'"results": [{"index": 0, "relevance_score": 1}, {"index": 0, "relevance_score": 1}], "ids": ["d0"], '
    b'"scores": [1, 2]}',
    "texts for numbers": b'{"data": [{"index": 0, "embedding": ["1", "2", "3", "4"]}], '
    b'"results": [{"index": 0, "relevance_score": "high"}], "embeddings": {"base64": [5]}, "ids": ["d0"], '
    b'"scores": ["high"]}',
    "truths for numbers": b'{"data": [{"index": 0, "embedding": [true, true, true, true]}], '
    b'"results": [{"index": 0, "relevance_score": true}], "embeddings": {"base64": [true]}, "ids": ["d0"], '
    b'"scores": [true]}',
    "huge numbers": b'{"data": [{"index": 0, "embedding": [1' + b"0" * 4000 + b', 1, 1, 1]}], '
    b'"results": [{"index": 1' + b"0" * 4000 + b', "relevance_score": 1}], "embeddings": {"base64": [1' + b"0" * 4000
    + b']}, "ids": ["d0"], "scores": [1' + b"0" * 4000 + b"]}",
    "rows of several lengths": b'{"data": [{"index": 0, "embedding": [[1, 2], [3]]}], "results": [[0, 1]], '
    b'"embeddings": {"base64": ["AAAA", "AAAAAAAA"]}, "ids": [["d0"]], "scores": [[1]]}',
    "a bill that is no number": b'{"data": [{"index": 0, "embedding": [1, 2, 3, 4]}], "usage": {"prompt_tokens": -9, '
    b'"total_tokens": -9}, "meta": {"billed_units": {"search_units": -9}}, '
    b'"results": [{"index": 0, "relevance_score": 1}], "ids": ["d0"], "scores": [1e999]}',
}  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_answer_of_another_shape_is_refused_at_once(client: str, shape: str, tmp_path: Path) -> None:
    """No retry cures it: a service that speaks another interface would be asked for a minute."""
    with answering(saying(SHAPES[shape])) as server:
        told = ask(client, tmp_path, server.url)
        assert server.url in told and not told.startswith("timed out")
        assert len(server.requests) == 1, told


def test_an_answer_with_the_same_defect_five_times_is_asked_for_no_more(tmp_path: Path) -> None:
    with answering(saying(b'{"results": []}')) as server:
        assert "0 scores for 1 documents" in ask("rerank_api", tmp_path, server.url)
        assert len(server.requests) == 5


def test_the_environments_proxy_stands_before_other_machines_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(saying(b"{}", 404)) as proxy, answering(saying(b"{}", 404)) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        ask("rerank_api", tmp_path, server.url)
        ask("rerank_api", tmp_path, server.url.replace("127.0.0.1", "localhost"))
        assert (len(server.requests), len(proxy.requests)) == (2, 0)
        ask("rerank_api", tmp_path, "http://192.0.2.1:9")
        assert len(proxy.requests) == 1 and proxy.requests[0].startswith("POST http://192.0.2.1:9/")
        monkeypatch.setenv("no_proxy", "192.0.2.1,.example.org")
        assert [proxy_for(f"http://{host}/") for host in ("192.0.2.1", "a.example.org", "[::1]:8")] == [None] * 3
        assert proxy_for("http://192.0.2.2/") == proxy.url


@pytest.mark.parametrize("client", CLIENTS)
def test_no_password_of_a_netrc_file_is_sent(client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login u password {KEY}-of-netrc\ndefault login u password p\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with answering(saying(b"{}", 404)) as server:
        ask(client, tmp_path, server.url)
        assert "Basic" not in server.requests[0] and KEY in server.requests[0]


def test_an_error_of_a_client_names_the_cure() -> None:
    told = str(Bounds("The server at http://h", 1, 1 << 20, "Ask for less.").too_large())
    assert told == "The server at http://h answered with more than 1 MiB. Ask for less."
    assert isinstance(Bounds("a", 1).unreadable("br"), AdapterRejected)
