"""A bundle as one file, for machines without a network, such as a competition's notebooks."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from ..system.errors import InputError
from ..system.files import atomic
from .bundle import check_bundle, files_below, with_code

SUFFIX = ".zip"
NEEDED = "code/package/scoring/offline.py"
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the time of every file, so that equal bundles give equal bytes


def write_zip(bundle: Path, out: Path) -> Path:
    """Pack a bundle; its code, its weights and their checksums are in it.

    Parameters
    ----------
    bundle : Path
        A bundle's folder; one without code, such as the starter's, gets this package's.
    out : Path
        A file that ends in ``.zip``; replaced whole.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    InputError
        ``out`` has another ending, or the bundle does not verify or carries no code that scores a
        whole test set.
    """
    if out.suffix != SUFFIX or out.is_dir():
        raise InputError(f"An export needs a file that ends in {SUFFIX}, but got {out}.")
    check_bundle(bundle)
    if not (bundle / "code").exists():
        return _with_this_code(bundle, out)
    files = files_below(bundle)
    if NEEDED not in files:
        raise InputError(
            "This version was registered before its code could score a whole test set: it lacks"
            f" {NEEDED}. Register again by hms register and export the new version."
        )
    with atomic(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, path in sorted(files.items()):
            kind = zipfile.ZIP_STORED if path.suffix == ".safetensors" else zipfile.ZIP_DEFLATED
            entry = zipfile.ZipInfo(name, LONG_AGO)
            entry.compress_type, entry.external_attr = kind, 0o644 << 16
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, 2**20)
    return out


def _with_this_code(bundle: Path, out: Path) -> Path:
    with tempfile.TemporaryDirectory() as scratch:
        return write_zip(with_code(bundle, Path(scratch) / "bundle"), out)
