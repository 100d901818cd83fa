"""DVC's command line, which writes its files whole or not at all: ``python -m flows.dvc_process``.

DVC opens dvc.lock for writing, which empties it, and writes entry by entry for half a second. A
process killed meanwhile would leave a file that stops somewhere, for itself and for all stages
beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvc.utils.serialize import _common

from hms_pipeline.system.files import atomic


def install() -> None:
    """Let DVC, in this process, write beside a file's place and move what is complete there.

    It has no setting for this; the place is the one through which it writes YAML.

    Raises
    ------
    AttributeError
        Another release of DVC than the pinned one, without that place.
    """
    plain = _common._dump_data

    def write(
        path: str, data: Any, dumper: Callable[..., Any], fs: Any = None, **options: Any
    ) -> None:
        if fs is not None and fs.protocol != "local":
            plain(path, data, dumper, fs, **options)
            return
        with atomic(Path(path)) as temporary, temporary.open("w", encoding="utf-8") as stream:
            dumper(data, stream, **options)

    _common._dump_data = write


if __name__ == "__main__":
    from dvc.cli import main

    install()
    sys.exit(main(sys.argv[1:]))
