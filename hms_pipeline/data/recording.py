"""One parquet recording → an array; only the row groups that are needed are read."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..schema import EEG_COLUMNS, REGIONS, SPECTROGRAM_COLUMNS
from ..system.errors import InputError
from .parquet_pages import CheckedFile, PageError

logger = logging.getLogger(__name__)


class RecordingError(InputError):
    """A recording that cannot be used.

    Parameters
    ----------
    message : str
        One sentence for the user.
    fault : str
        ``missing_file``, ``unreadable_file``, ``wrong_columns``, ``wrong_dtype`` or
        ``empty_file``.
    """

    def __init__(self, message: str, fault: str) -> None:
        super().__init__(message)
        self.fault = fault


def open_parquet(source: Path | str | bytes, label: str) -> CheckedFile:
    """Open a parquet file or its bytes; columns are compared with their pages before reading.

    Raises
    ------
    RecordingError
        ``missing_file`` or ``unreadable_file``.
    """
    if not isinstance(source, bytes):
        _refuse_endless(Path(source), label)
    with readable(label):
        stream = pa.BufferReader(source) if isinstance(source, bytes) else pa.OSFile(str(source))
        return CheckedFile(stream)


def read_columns(
    file: CheckedFile, columns: Sequence[str], label: str, start: int = 0, stop: int | None = None
) -> tuple[np.ndarray, int]:
    """Read columns of the row groups that hold rows ``start`` to ``stop``.

    Parameters
    ----------
    file : CheckedFile
        From ``open_parquet``.
    columns : sequence of str
        Floating-point columns to read.
    label : str
        The file's own name, for error sentences.
    start, stop : int
        Rows wanted; ``stop`` None means to the end.

    Returns
    -------
    values : array, shape (n_columns, n_rows), float32
        Nulls are NaN. Rows past the file's end are simply absent.
    first : int
        Row of the file that ``values[:, 0]`` is (row groups are cut to the rows wanted).

    Raises
    ------
    RecordingError
        Columns are missing or are not floating-point, there are no rows, or reading fails.
    """
    _check_columns(file.schema_arrow, columns, label)
    n_rows = file.metadata.num_rows
    if n_rows == 0:
        raise RecordingError(
            f"{label} needs samples, but has zero rows. Copy it again.", "empty_file"
        )
    stop = n_rows if stop is None else min(stop, n_rows)
    start = max(0, start)
    groups, first = _row_groups(file.metadata, start, stop)
    with readable(label):
        table = file.read_row_groups(groups, columns=list(columns), use_threads=False)
        values = _to_array(table.select(list(columns)))
    return values[:, max(0, start - first) : max(0, stop - first)], start


def read_eeg(source: Path | str | bytes, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Read samples of an EEG recording.

    Parameters
    ----------
    source : Path, str or bytes
        A parquet file with the columns of ``schema.EEG_COLUMNS``, or its content.
    start, stop : int
        Samples wanted; ``stop`` None means to the end.

    Returns
    -------
    array, shape (20, n_times), float32
        Microvolts, NaN where missing; shorter than asked where the recording ends.

    Raises
    ------
    InputError
        The file is missing or unreadable, lacks columns, has another type, or has no rows.
    """
    label = _label(source, "The EEG parquet")
    file = open_parquet(source, label)
    values, _ = read_columns(file, EEG_COLUMNS, label, start, stop)
    return values


def read_spectrogram(source: Path | str | bytes) -> np.ndarray:
    """Read a ten-minute (or longer) spectrogram.

    Parameters
    ----------
    source : Path, str or bytes
        A parquet file with the columns of ``schema.SPECTROGRAM_COLUMNS``, or its content.

    Returns
    -------
    array, shape (4, 100, n_rows), float32
        Regions in ``schema.REGIONS`` order, low frequency first, µV²/Hz, NaN where missing.

    Raises
    ------
    InputError
        The file is missing or unreadable, lacks columns, has another type, or has no rows.
    """
    label = _label(source, "The spectrogram parquet")
    file = open_parquet(source, label)
    values, _ = read_columns(file, SPECTROGRAM_COLUMNS[1:], label)
    return values.reshape(len(REGIONS), -1, values.shape[1])


@contextmanager
def readable(label: str, folder: str = "") -> Iterator[None]:
    """Say of a file, by its own name, why the system or Arrow cannot read it.

    Parameters
    ----------
    label : str
        The file's own name.
    folder : str, optional
        Where it should be.

    Raises
    ------
    RecordingError
        ``missing_file`` or ``unreadable_file``.
    """
    try:
        yield
    except FileNotFoundError:
        where = f" in {folder}" if folder else ""
        raise RecordingError(
            f"{label} is needed{where}, but is not there. Copy it from the competition.",
            "missing_file",
        ) from None
    except MemoryError:
        raise RecordingError(
            f"{label} needs more memory than reading may take. Split it.", "unreadable_file"
        ) from None
    except (pa.ArrowException, OSError, ValueError) as err:
        # Arrow's own text may hold the full path, which a server must not echo.
        logger.debug("%s: %s", label, err)
        raise RecordingError(
            f"{label} must be a readable parquet file, but is not ({_reason(err)}). Copy it again.",
            "unreadable_file",
        ) from None


def _refuse_endless(path: Path, label: str) -> None:
    # Reading a pipe or a device may never end.
    if path.exists() and not path.is_file() and not path.is_dir():
        raise RecordingError(
            f"{label} must be a regular file, but is a pipe, socket or device. Copy its content"
            " into a file.",
            "unreadable_file",
        )


def _to_array(table: pa.Table) -> np.ndarray:
    """Columns as rows of one float32 array, whatever their precision; nulls become NaN."""
    if len(set(table.schema.types)) > 1:
        table = table.cast(pa.schema([(name, pa.float32()) for name in table.column_names]))
    batches = table.combine_chunks().to_batches()
    if not batches:
        return np.empty((table.num_columns, 0), np.float32)
    tensor = batches[0].to_tensor(null_to_nan=True, row_major=False)
    return np.ascontiguousarray(tensor.to_numpy().T, np.float32)


def _row_groups(metadata: pq.FileMetaData, start: int, stop: int) -> tuple[list[int], int]:
    """Row groups that overlap [start, stop), and the first row of the first of them."""
    edges = np.cumsum(
        [0] + [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)]
    )
    groups = [k for k in range(metadata.num_row_groups) if edges[k] < stop and edges[k + 1] > start]
    return groups, int(edges[groups[0]]) if groups else start


def _check_columns(schema: pa.Schema, columns: Sequence[str], label: str) -> None:
    present = set(schema.names)
    missing = [name for name in columns if name not in present]
    if missing or len(schema.names) != len(present):
        raise RecordingError(
            f"{label} needs {len(columns)} columns {_brief(columns)}, but"
            + (f" lacks {_brief(missing)}" if missing else " repeats names")
            + ". Rename or export it again in the competition's layout.",
            "wrong_columns",
        )
    wrong = [name for name in columns if not pa.types.is_floating(schema.field(name).type)]
    if wrong:
        raise RecordingError(
            f"{label} needs float32 columns, but {_brief(wrong)} are"
            f" {schema.field(wrong[0]).type}. Write them as float32.",
            "wrong_dtype",
        )


def _brief(names: Sequence[str], most: int = 4) -> str:
    names = list(names)
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} …"


def _label(source: Path | str | bytes, otherwise: str) -> str:
    return otherwise if isinstance(source, bytes) else Path(source).name


def _reason(err: BaseException) -> str:
    text = str(err).lower()
    if isinstance(err, PermissionError):
        return "no permission to read it"
    if isinstance(err, IsADirectoryError) or "is a directory" in text:
        return "it is a folder"
    if isinstance(err, PageError):
        return str(err)
    if getattr(err, "errno", None) is not None:
        return "it cannot be read"
    if "checksum" in text:
        return "a page's checksum is wrong"
    if "magic bytes" in text or "too small" in text or "file size is 0" in text:
        return "it does not start and end as parquet does"
    return "it is damaged"
