"""The credentials of a local Weaviate server: the key for clients and the password between nodes. They are generated
once and kept beside the server's data.

Needs the standard library alone.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_USER = "bench"


class Credentials(NamedTuple):
    """key: of clients, for REST and gRPC. cluster: the password of the port through which nodes write data."""

    key: str
    cluster: str

    @staticmethod
    def file(folder: Path) -> Path:
        """Where the credentials of the server in this folder are kept."""
        return folder / "credentials.json"

    @staticmethod
    def kept(folder: Path) -> Credentials | None:
        """The credentials of the server in this folder, None where there are none or their file cannot be read."""
        try:
            data = json.loads(Credentials.file(folder).read_text(encoding="utf-8"))
            return Credentials(str(data["key"]), str(data["cluster"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @staticmethod
    def of(folder: Path) -> Credentials:
        """The credentials of the server in this folder, generated where there are none. Only their owner can read the
        file."""
        if (kept := Credentials.kept(folder)) is not None:
            return kept
        made = Credentials(secrets.token_urlsafe(24), secrets.token_urlsafe(24))
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".writing-")  # mode 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(made._asdict(), file)
        Path(name).replace(Credentials.file(folder))
        return made

    def environment(self) -> Mapping[str, str]:
        """The settings that make the server ask for them."""
        return {
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
            "AUTHENTICATION_APIKEY_ENABLED": "true",
            "AUTHENTICATION_APIKEY_ALLOWED_KEYS": self.key,
            "AUTHENTICATION_APIKEY_USERS": _USER,
            "CLUSTER_BASIC_AUTH_USERNAME": _USER,
            "CLUSTER_BASIC_AUTH_PASSWORD": self.cluster,
        }
