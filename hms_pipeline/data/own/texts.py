"""Tables as people export them: any usual encoding and separator, every cell a text."""

from __future__ import annotations

import codecs
from io import StringIO
from pathlib import Path

import pandas as pd

from ...system.errors import InputError

SEPARATORS = ",;\t"


def read_texts(path: Path) -> pd.DataFrame:
    """Read a CSV as texts.

    Parameters
    ----------
    path : Path
        UTF-8, UTF-16 or Windows-1252; separated by commas, semicolons or tabs.

    Returns
    -------
    DataFrame of str
        Column names in lower case without blanks around them; the index is the row as a
        spreadsheet numbers it, the header being 1. Rows without any text are left out.

    Raises
    ------
    InputError
        The file is missing, is no table, or names a column twice.
    """
    try:
        text = _decode(Path(path).read_bytes())
    except OSError as err:
        raise InputError(
            f"A table of labels is needed, but {path} cannot be read ({err.strerror})."
            " Correct its path."
        ) from None
    lines = text.splitlines()
    hint = bool(lines) and lines[0].lower().startswith("sep=")  # Excel's own line
    header = lines[hint] if len(lines) > hint else ""
    separator = max(SEPARATORS, key=header.count)
    try:
        table = pd.read_csv(
            StringIO(text), sep=separator, dtype=str, header=None, skiprows=int(hint),
            keep_default_na=False, skip_blank_lines=False, names=None, skipinitialspace=True,
        ).fillna("")  # fmt: skip
    except ValueError as err:  # pandas' parser errors are ValueErrors
        raise InputError(
            f"{Path(path).name} cannot be read as CSV: {str(err).splitlines()[0]}. Export it again."
        ) from None
    table = table.apply(lambda column: column.str.strip())
    names = table.iloc[0].str.lower()
    if repeated := sorted(set(names[names.duplicated() & (names != "")])):
        raise InputError(f"{Path(path).name} names the columns {repeated} twice. Remove one each.")
    table = table.iloc[1:].set_axis(names, axis=1)
    table.index += 1 + int(hint)
    return table[(table != "").any(axis=1)]


def number(text: str) -> float:
    """A number with a point or a comma before its decimals; NaN where it is none.

    Examples
    --------
    >>> number("12,5"), number("12.5"), number("twelve")
    (12.5, 12.5, nan)
    """
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return float("nan")


def _decode(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")
