"""Windows are read while others are answered: by a thread or, where many are, by processes.

The processes import this module, so it imports neither models nor views.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..schema import SPECTROGRAM_ROWS, WINDOW_SAMPLES
from ..system.errors import InputError
from ..system.processes import cores, free_memory, process_pool
from .formats.format import portable
from .recording import read_eeg, read_spectrogram
from .window import Window, WindowReader, cut

WINDOWS_A_PROCESS = 64  # a process starts in about the time in which a thread reads so many
MOST_PROCESSES = 8  # together they read faster than one process can take windows over
PROCESS_BYTES = 3 * 10**8  # of one, with the windows that it hands over
TASK_WINDOWS = 4  # a process reads so many in one go, a recording that neighbours share once

Load = Callable[[], Window]


class TableReader(WindowReader):
    """A ``WindowReader`` that a process can hand to another, which then keeps its own recordings.

    Parameters
    ----------
    root, split
        See ``WindowReader``.
    """

    def __init__(self, root: Path, split: str) -> None:
        super().__init__(root, split)
        self._made_of = root, split

    def __reduce__(self) -> tuple[Any, ...]:
        return TableReader, self._made_of

    def read_usable(self, row: Mapping[str, Any]) -> Window:
        """Cut a row's window; without its spectrogram, where that cannot be read.

        Raises
        ------
        InputError
            Its EEG is missing or cannot be used.
        """
        try:
            return self.read(row)
        except InputError:
            # A window without its spectrogram is still worth scoring; a bad EEG raises again.
            return self.read({k: v for k, v in row.items() if k != "spectrogram_id"})


def read_files(eeg_file: Path, spectrogram_file: Path | None) -> Window:
    """Read a window from files of its own; without its spectrogram, where that cannot be read.

    Raises
    ------
    InputError
        The EEG is missing, cannot be used, or is too short.
    """
    eeg = read_eeg(eeg_file)
    if eeg.shape[1] < WINDOW_SAMPLES:
        raise InputError(
            f"A window needs {WINDOW_SAMPLES} rows, but {eeg_file.name} has {eeg.shape[1]}."
            " Give at least 50 s at 200 Hz."
        )
    if spectrogram_file is None:
        return Window(eeg, None)
    try:
        whole = read_spectrogram(spectrogram_file)
    except InputError:
        return Window(eeg, None)  # the answer says which members were left out
    return Window(eeg, cut(whole, (whole.shape[2] - SPECTROGRAM_ROWS) // 2, SPECTROGRAM_ROWS))


@contextmanager
def window_readers(
    n_windows: int = 0, remains: str = "run the command again"
) -> Iterator[Executor]:
    """Processes that read windows, or a thread where two processes would not pay.

    Parameters
    ----------
    n_windows : int
        At most so many will be read by processes; 0 for a thread.
    remains : str
        What to do if a process dies, and what remains of the work.

    Raises
    ------
    InputError
        A process died.
    """
    room = int(free_memory() / 2 // PROCESS_BYTES)
    workers = min(cores() - 1, n_windows // WINDOWS_A_PROCESS, room, MOST_PROCESSES)
    if workers > 1:
        deaf = (signal.SIGINT, signal.SIG_IGN)
        with process_pool(
            workers, "Reading", remains, initializer=signal.signal, initargs=deaf
        ) as pool:
            yield pool
        return
    thread = ThreadPoolExecutor(1)  # one, because a reader of windows keeps its last recordings
    try:
        yield thread
    finally:
        thread.shutdown(cancel_futures=True)


def read_all(
    readers: Executor, loads: Sequence[Load], at_once: int = TASK_WINDOWS
) -> Iterator[Window | InputError | OSError]:
    """Begin to read windows; each, or why it cannot be read, in their order.

    A process reads ``at_once`` of them in one go.
    """
    return readers.map(_read_or_say, loads, chunksize=at_once)


def read_ahead(
    readers: Executor, batches: Iterable[Sequence[Load]], at_once: int = TASK_WINDOWS
) -> Iterator[Iterator[Window | InputError | OSError]]:
    """``read_all`` of each batch; the next one is read while one is worked on."""
    ahead = None
    for loads in batches:
        now, ahead = ahead, read_all(readers, loads, at_once)
        if now is not None:
            yield now
    if ahead is not None:
        yield ahead


def _read_or_say(load: Load) -> Window | InputError | OSError:
    try:
        return load()
    except (InputError, OSError) as err:
        return portable(err)
