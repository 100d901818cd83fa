"""Which recording and which patient is meant by what people write."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from ...system.errors import InputError


class Names:
    """Recordings by the names that people write: a path below the folder, or a unique last part."""

    def __init__(self, recordings: Iterable[str]) -> None:
        self._paths = {_spelt(name): name for name in recordings}
        self._last: dict[str, list[str]] = defaultdict(list)
        for name in self._paths.values():
            self._last[_spelt(name).rpartition("/")[2]].append(name)

    def find(self, file: str) -> str:
        """The recording's name; raises InputError where there is none, or more than one."""
        wanted = _spelt(file.replace("\\", "/").removeprefix("./"))
        if wanted in self._paths:
            return self._paths[wanted]
        several = self._last.get(wanted, [])
        if len(several) == 1:
            return several[0]
        if several:
            raise InputError(f"{file} is in several folders: {several[:4]}. Give its path.")
        raise InputError(f"{file} is not among the recordings. Correct its name, with its ending.")


def _spelt(name: str) -> str:
    return unicodedata.normalize("NFC", name)  # macOS spells é as two characters


def patient_number(name: str, secret: bytes) -> int:
    """A number of 52 bits for a patient's name; always the same with the same secret.

    The function is slow on purpose: without the secret a name can only be found by trying names.
    """
    digest = hashlib.scrypt(
        name.encode(), salt=b"hms-pipeline patient " + secret, n=4096, r=8, p=1, dklen=7
    )
    return int.from_bytes(digest, "big") >> 4
