"""SHA-256 of a data set's files, read again only after a change.

<cache folder>/digests-<hash of the data set's path>.json   {"file size mtime ctime": SHA-256}
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.data import cache_folder
from core.data.parallel import in_threads
from core.files import read_json, write_bytes


def file_digests(root: Path, paths: Sequence[Path]) -> list[bytes]:
    """The SHA-256 of each file below `root`; b"" of one that cannot be read.

    A file with the size and times (ns) that it had before is not read again. The change time shows
    what copying tools hide by setting the modification time. Digests that cannot be kept are no
    error: they are computed each time.
    """
    known: dict[str, Any] = {}
    with suppress(RuntimeError):  # no home folder
        known = read_json(_kept(root))
    keys = [_key(root, path) for path in paths]
    digests = [_digest(known, key) for key in keys]
    missing = [i for i, digest in enumerate(digests) if not digest]
    read = in_threads(_sha256, [paths[i] for i in missing], "images: reading")
    for i, digest in zip(missing, read, strict=True):
        digests[i] = digest
    found = {key: d.hex() for key, d in zip(keys, digests, strict=True) if key and d}
    if found != known:
        with suppress(OSError, RuntimeError):
            write_bytes(_kept(root), json.dumps(found, indent=0).encode())
    return digests


def _kept(root: Path) -> Path:
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return cache_folder() / f"digests-{name}.json"


def _key(root: Path, path: Path) -> str:
    """The file's name below `root` and its state; "" where there is none."""
    try:
        now = path.stat()
    except OSError:
        return ""
    name = path.relative_to(root).as_posix()
    return f"{name} {now.st_size} {now.st_mtime_ns} {now.st_ctime_ns}"


def _digest(known: Mapping[str, Any], key: str) -> bytes:
    """The digest known of a file; b"" where it is not known, or damaged."""
    with suppress(TypeError, ValueError):
        digest = bytes.fromhex(known.get(key, ""))
        return digest if len(digest) == 32 else b""
    return b""


def _sha256(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b""
