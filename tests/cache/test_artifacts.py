"""The cache on disk: whole or absent, checked when read, one run at a time."""

from __future__ import annotations

import hashlib
import os
from datetime import date
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cache.artifacts import Cache, write_atomically
from bench.cache.digests import content_key, pair_digests, text_digests
from bench.cache.locks import CacheBusy, locked

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def shuffled(value: object) -> object:
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(list(value))}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_a_key_does_not_depend_on_the_order_of_keys(value: object) -> None:
    assert content_key(value) == content_key(shuffled(value))
    assert len(content_key(value)) == 32


def test_other_values_have_other_keys() -> None:
    values = [None, 0, 1, True, "1", "", [], {}, [1], {"1": 1}, {"a": None}, [None], ["a", "b"], ["ab"], 1.5]
    assert len({content_key(value) for value in values}) == len(values)


@pytest.mark.parametrize("value", [object(), {1}, b"a", Path("a"), date(2026, 1, 2), np.int32(1), {(1, 2): 3}])
def test_no_key_is_made_of_what_json_has_no_form_for(value: object) -> None:
    with pytest.raises(TypeError):
        content_key({"settings": [value]})


def test_a_refused_key_names_the_value_and_its_type() -> None:
    with pytest.raises(TypeError, match=r"No key can be made of 'a/b', which is of type PosixPath: .* An identity"):
        content_key(["encoder", {"model": Path("a/b")}])


@given(st.lists(st.text(), max_size=6))
def test_digests_of_texts_are_equal_exactly_where_texts_are(texts: list[str]) -> None:
    digests = text_digests(texts)
    assert digests.shape == (len(texts),)
    for i, left in enumerate(texts):
        for j, right in enumerate(texts):
            assert (digests[i] == digests[j]) == (left == right)


def test_a_pair_is_ordered() -> None:
    a, b = text_digests(["a", "b"])
    left, right = pair_digests(np.array([a, b]), np.array([b, a]))
    assert left != right


def test_a_digest_that_ends_in_zero_bytes_keeps_them_in_a_pair() -> None:
    # numpy drops trailing zero bytes of S16 values, which must not join two pairs.
    short = np.array([b"x" * 14 + b"\0\0", b"x" * 15 + b"\0"], dtype="S16")
    other = np.array([b"y" * 16, b"y" * 16], dtype="S16")
    assert len(set(pair_digests(short, other).tolist())) == 2


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "file", b"old")
    write_atomically(tmp_path / "a" / "file", b"new")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["file"]
    assert (tmp_path / "a" / "file").read_bytes() == b"new"


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_atomically(file, "text")  # type: ignore[arg-type]
    assert file.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


ARRAYS = {"rows": np.arange(6, dtype=np.int32).reshape(2, 3), "scores": np.array([0.5, 1.5])}


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.write("candidates", "key/0", ARRAYS)
    found = cache.read("candidates", "key/0")
    assert found is not None and found.keys() == ARRAYS.keys()
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)
    assert cache.read("candidates", "key/1") is None


def test_arrays_that_an_earlier_version_wrote_as_an_archive_are_read(tmp_path: Path) -> None:
    archive = BytesIO()
    np.savez(archive, **ARRAYS)
    digest = hashlib.blake2b(archive.getvalue(), digest_size=16).digest()
    write_atomically(tmp_path / "candidates" / "key.npz", b"RBA1" + digest + archive.getvalue())
    found = Cache(tmp_path).read("candidates", "key")
    assert found is not None and found.keys() == ARRAYS.keys()
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_damaged_file_is_absent_wherever_a_byte_changed(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        cache.write("timings", "key", ARRAYS)
        path = Path(folder) / "timings" / "key.npz"
        content = bytearray(path.read_bytes())
        if data.draw(st.booleans(), "cut"):
            content = content[: data.draw(st.integers(0, len(content) - 1))]
        else:
            content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(bytes(content))
        assert cache.read("timings", "key") is None
        assert not path.exists()


def test_segments_hold_what_was_appended_across_openings(tmp_path: Path) -> None:
    texts = ["a", "b", "c", "d"]
    digests = text_digests(texts)
    values = np.arange(8, dtype=np.float32).reshape(4, 2)
    segments = Cache(tmp_path).segments("vectors", "key")
    segments.append(digests[:3], {"vectors": values[:3], "usage.tokens": np.float64(30)})
    segments.append(digests[3:], {"vectors": values[3:], "usage.tokens": np.float64(7)})
    again = Cache(tmp_path).segments("vectors", "key")
    assert not again.missing(digests).any()
    wanted = digests[[3, 0, 0, 2]]
    assert np.array_equal(again.gather(wanted, ["vectors"])[0], values[[3, 0, 0, 2]])
    assert again.missing(text_digests(["a", "z"])).tolist() == [False, True]
    with pytest.raises(KeyError, match="1 values are missing"):
        again.gather(text_digests(["z"]), ["vectors"])
    # Two of the first segment's three rows: 2/3 of 30; all of the second's: 7
    assert again.total(digests[[0, 1, 3]], "usage.") == {"tokens": pytest.approx(27.0)}


def test_a_damaged_segment_is_computed_again(tmp_path: Path) -> None:
    digests = text_digests(["a", "b"])
    segments = Cache(tmp_path).segments("vectors", "key")
    for i in range(2):
        segments.append(digests[i : i + 1], {"vectors": np.full((1, 2), i, np.float32)})
    files = sorted((tmp_path / "vectors" / "key").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:-1])
    again = Cache(tmp_path).segments("vectors", "key")
    assert int(again.missing(digests).sum()) == 1


def test_an_index_is_there_when_its_reference_is(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    folder = cache.index_folder("key")
    (folder / "half").write_text("interrupted")
    assert cache.index_ref("key") is None
    assert not (cache.index_folder("key") / "half").exists()
    cache.keep_index("key", {"ref": {"rows": 3}})
    assert cache.index_ref("key") == {"ref": {"rows": 3}}
    assert [key for key, _ in cache.index_refs()] == ["key"]
    cache.forget_index("key")
    assert cache.index_ref("key") is None


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        locked(tmp_path, "The cache"),
        pytest.raises(CacheBusy, match=rf"The cache {tmp_path} is in use by another run \(process {os.getpid()}\)"),
        locked(tmp_path, "The cache"),
    ):
        pass
    with locked(tmp_path, "The cache"):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_flags_are_counted_and_unknown_where_an_earlier_version_kept_none(tmp_path: Path) -> None:
    segments = Cache(tmp_path).segments("scores", "k")
    digests = text_digests(["a", "b", "c", "d"])
    segments.append(digests[:3], {"scores": np.ones(3), "truncated": np.array([True, False, True])})
    assert segments.flagged(digests[[0, 2, 1, 0]], "truncated") == 3  # a, c and a again
    segments.append(digests[3:], {"scores": np.ones(1)})
    assert segments.flagged(digests[:3], "truncated") == 2
    assert segments.flagged(digests, "truncated") is None


def test_a_whole_file_under_the_name_of_another_is_no_answer(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for key in ("a", "b"):
        cache.write("candidates", key, {"rows": np.array([ord(key)])})
    (tmp_path / "candidates" / "b.npz").replace(tmp_path / "candidates" / "a.npz")
    assert cache.read("candidates", "a") is None


def test_a_cache_that_was_moved_is_the_same_cache(tmp_path: Path) -> None:
    Cache(tmp_path / "here").write("candidates", "a/0", {"rows": np.array([1])})
    (tmp_path / "here").rename(tmp_path / "there")
    kept = Cache(tmp_path / "there").read("candidates", "a/0")
    assert kept is not None and list(kept) == ["rows"] and kept["rows"].tolist() == [1]
