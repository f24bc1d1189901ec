"""Writing files so that a killed process or a full disk never leaves half of one."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from automl_pheno.errors import OutputError


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` inside into an `OutputError` that names the file and the cause (a full disk, for example)."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not from the file system: Dask's lost connections are of this class, too
            raise
        msg = f"{path}: cannot be written: {error.strerror or error}; nothing was lost, make room and run it again"
        raise OutputError(msg) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream whose content takes the place of the file in one step when the block ends without an error.

    Raises
    ------
    OutputError
        It cannot be written; the old file is intact.
    """
    with writing(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the file by `content` in one step; see `replacing`."""
    with replacing(path) as stream:
        stream.write(content)


def write_text(path: Path, text: str) -> None:
    """Replace the file by `text` in one step; see `replacing`."""
    write_bytes(path, text.encode())


def write_json(path: Path, data: Any) -> None:
    """Replace the file by `data` as indented JSON in one step; see `replacing`."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
