"""Files that are written whole or not at all, and locks that end with their process."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from weakref import WeakValueDictionary

from filelock import BaseFileLock, FileLock, Timeout

from core.task import UserError

LOCKS: WeakValueDictionary[str, BaseFileLock] = WeakValueDictionary()  # one a file and process


def atomic_write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Fill a file through `write` and put it in place by one rename: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and not error.filename:
            error.filename = str(path)  # of a full disk Python does not say which
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file's content atomically."""
    atomic_write(path, lambda file: file.write(content))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file by indented JSON; ValueError for NaN."""
    write_bytes(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def read_text(path: Path) -> str:
    """A user's text: UTF-8 with or without its mark, or UTF-16 with one; UserError for others."""
    try:
        content = path.read_bytes()
        utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except OSError as error:
        problem = f"{error.strerror or error}; name a text file that can be read"
        raise UserError(f"{path}: {problem}") from None
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 from byte {error.start} on; save the file as UTF-8"
        raise UserError(f"{path}: {problem}") from None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file, or {} where the file is missing or cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def process_lock(path: Path) -> BaseFileLock:
    """The lock of a file, released when the process dies; one process may take it repeatedly."""
    path.parent.mkdir(parents=True, exist_ok=True)
    key = str(path.parent.resolve() / path.name)
    if (lock := LOCKS.get(key)) is None:
        lock = LOCKS[key] = FileLock(key)
    return lock


@contextmanager
def exclusive(path: Path, refusal: str) -> Iterator[None]:
    """Hold the lock of a file; UserError with `refusal` where another process holds it."""
    lock = process_lock(path)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        raise UserError(refusal) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether some process, this one included, holds the lock of a file."""
    lock = process_lock(path)
    if lock.is_locked:
        return True
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def now() -> str:
    """This moment, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
