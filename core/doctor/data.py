"""Folders of images: what training would take of them, and what not."""

from __future__ import annotations

from pathlib import Path

from core.data.images import validation_names
from core.data.listing import few_images, list_domain
from core.doctor.finding import Finding, error, note, warning
from core.task import UserError


def check(root: Path, recursive: bool) -> list[Finding]:
    """Check the train folders of a data set as training lists them; no image is decoded."""
    findings = []
    for name in ("trainA", "trainB"):
        where = f"--data {root}"
        try:
            listing = list_domain(root, name, recursive)
        except (UserError, OSError) as problem:
            findings.append(error(where, str(problem)))
            continue
        held_out = len(validation_names(listing.names))
        few = few_images(name, len(listing.names), held_out)
        findings += [warning(where, what) for what in (listing.left_out, few) if what]
        what = f"{name}: {len(listing.names)} images, {held_out} of them for validation"
        findings.append(note(where, what))
    return findings
