"""Where trials are kept: can it be written, is there room, is it a network file system."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import psutil

from core.doctor.finding import Finding, error, note, warning

FULL, SCARCE = 100e6, 1e9
TRIALS = 20  # of a study, unless --trials says otherwise
NETWORK = ("nfs", "cifs", "smb", "9p", "lustre", "ceph", "gpfs", "beegfs", "afs", "gluster")


def check(runs: Path) -> list[Finding]:
    """Check the folder of records, made or not; nothing is left behind."""
    return writable(f"--runs {runs}", runs) or room(runs)


def writable(where: str, folder: Path) -> list[Finding]:
    """Why nothing could be written into a folder that is there or would be made."""
    place = nearest(folder)
    if not place.is_dir():
        return [error(where, f"{place} is a file, not a folder", "name another")]
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as problem:
        what = f"{place} cannot be written ({problem.strerror or problem})"
        return [error(where, what, "make room, change its mode, or name another")]
    return []


def nearest(path: Path) -> Path:
    """The path, or the nearest of its parents that is there."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def room(runs: Path) -> list[Finding]:
    """Free space, beside what the trials that are there take."""
    free = shutil.disk_usage(nearest(runs)).free
    where, remedy = f"--runs {runs}", "remove old studies, or name a roomier place by --runs"
    says = f"{_size(free)} free"
    if free < FULL:
        return [error(where, f"the disk is full: {says}", remedy)]
    if free < SCARCE:
        return [warning(where, f"the disk is nearly full: {says}", remedy)]
    each, trial = _largest(runs)
    if each * TRIALS > free:
        what = f"{says}: room for {free // each} trials as large as {trial} ({_size(each)})"
        return [warning(where, what, remedy)]
    return [note(where, says)]


def _largest(runs: Path) -> tuple[int, str]:
    """The size of the largest trial's networks, and that trial's folder."""
    sizes: dict[Path, int] = {}
    for pattern in ("checkpoint.pt", "best.pt"):
        for path in runs.glob(f"*/*/{pattern}"):
            sizes[path.parent] = sizes.get(path.parent, 0) + path.stat().st_size
    if not sizes:
        return 0, ""
    largest = max(sizes, key=lambda folder: sizes[folder])
    return sizes[largest], str(largest.relative_to(runs))


def _size(amount: float) -> str:
    return f"{amount / 1e9:.1f} GB" if amount >= 1e9 else f"{amount / 1e6:.0f} MB"


def network_file_system(path: Path) -> str:
    """The kind of network file system that holds the path, or ''."""
    place = nearest(path).resolve()
    mounts = {Path(p.mountpoint): p.fstype for p in psutil.disk_partitions(all=True)}
    inside = [mount for mount in mounts if place.is_relative_to(mount)]
    kind = mounts[max(inside, key=lambda mount: len(mount.parts))] if inside else ""
    plain = kind.removeprefix("fuse.")
    return kind if plain.startswith(NETWORK) or plain == "sshfs" else ""
