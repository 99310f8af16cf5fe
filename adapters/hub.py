"""Publishes the folder of a model on the Hugging Face hub, or on a server of the same protocol (HF_ENDPOINT).

The token comes from where the hub's own package reads it: HF_TOKEN, or a login.
"""

from __future__ import annotations

import os
from pathlib import Path

from adapters.base import HUB, AdapterRejected, AdapterUnavailable, InvalidOptions


def hub_address() -> str:
    """Where models are published."""
    from huggingface_hub import constants

    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or constants.ENDPOINT


def publish(folder: Path, repository: str, *, private: bool) -> str:
    """Send all files of a folder but hidden ones in one commit, to a repository that is made where it is absent.
    Returns the commit's address.

    repository: organization/name. private: whether others may not see a repository that is made here. Raises
    InvalidOptions for an id that the hub does not take, AdapterUnavailable and AdapterRejected.
    """
    from huggingface_hub import HfApi, constants, get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if constants.HF_HUB_OFFLINE:
        raise AdapterUnavailable(
            f"HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set: nothing is sent to the {HUB}. Unset it."
        )
    if get_token() is None:
        raise AdapterRejected(f"The {HUB} needs a token that may write. Set HF_TOKEN.")
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        api = HfApi(endpoint=hub_address())
        made = api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=made.repo_id,
            folder_path=folder,
            ignore_patterns=[".*", "*/.*"],
            commit_message=f"Add {folder.name}",
        )
    except HFValidationError as error:
        raise InvalidOptions(f"{repository!r} is no id of a repository: {error}") from error
    except HfHubHTTPError as error:
        raise AdapterRejected(f"The hub at {hub_address()} refused {repository}: {_first_line(error)}") from error
    except Exception as error:  # the hub's client does not catch the errors of its libraries
        known = isinstance(error, (OSError, RuntimeError, ValueError))
        if not known and not type(error).__module__.startswith(("httpx", "httpcore", "hf_xet")):
            raise
        raise AdapterUnavailable(
            f"{repository} could not be sent to the hub at {hub_address()}: {_first_line(error)}"
        ) from error
    finally:
        if shown:
            enable_progress_bars()
    return str(commit.commit_url)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
