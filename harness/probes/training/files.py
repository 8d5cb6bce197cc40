"""Where fits are kept: files named by everything that a fit depends on, whole or not there."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class FitPlace:
    """Where fits are kept and what they depend on beside their description: weights, images, batch size and so on."""

    folder: Path | None
    context: str

    def id(self, described: object, code: str) -> str:
        """Identify one fit by its description, its context and the fingerprint of the code that fits."""
        words = json.dumps([repr(described), self.context, code])
        return hashlib.sha256(words.encode()).hexdigest()

    def read(self, name: str) -> Arrays | None:
        """Read the file of this name; None where there is none or nothing is kept on disk."""
        path = self._path(name)
        return None if path is None or not path.exists() else load_file(path)

    def write(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a file that is either whole or not there, also after a kill, and safe beside another writer."""
        if (path := self._path(name)) is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.draft")
        save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, draft)
        os.replace(draft, path)

    def drop(self, name: str) -> None:
        """Delete a file, if it is there."""
        if (path := self._path(name)) is not None:
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}.safetensors"


def partial_name(ids: Iterable[str]) -> str:
    """Name the checkpoint of fits that are made together."""
    return f"{hashlib.sha256(''.join(sorted(ids)).encode()).hexdigest()}.partial"
