"""From a bare clone to a scored test set: ``python -m flows.demo`` (what ``make demo`` runs).

Sample data → flow `retrain` → `hms submission` on the sample test set → a table of results.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from hms_pipeline.config import Paths, load_params

from . import retrain

console = Console()


def main() -> None:
    """Run the demo in the current folder, the project's root."""
    start = time.monotonic()
    paths = Paths()
    load_params(paths.params)
    prefect = threading.Thread(target=start_prefect, daemon=True)  # Ctrl-C does not wait for it
    prefect.start()
    prepare_data(paths.data)
    prefect.join()
    show((sys.executable, "-m", "flows.retrain"))
    end_where_failed(retrain.main([]))
    submission = ("hms", "submission", str(paths.data), "--out", "submission.csv")
    commands = (submission, ("hms", "results"), ("hms", "models"))
    with ThreadPoolExecutor() as beside:  # they only read what the retrain left
        for command, done in zip(commands, beside.map(quietly, commands), strict=True):
            show(command)
            sys.stdout.write(done.stdout)
            end_where_failed(done.returncode)
    minutes = (time.monotonic() - start) / 60
    console.print(f"\nDone in {minutes:.1f} min. Where to look next:", style="bold")
    for what, where in places(paths):
        console.print(f"  {what:<22}{where}", highlight=False)


def start_prefect() -> None:
    """Load Prefect and, where no server is named, start the temporary one: ten seconds."""
    with suppress(Exception):  # the retrain meets it again, and says why
        retrain.load(Path())
        from prefect.client.orchestration import get_client

        get_client(sync_client=True)


def prepare_data(data: Path) -> None:
    """Write the embedded data set where there is no data, and put it under DVC."""
    if not data.exists():
        run("hms", "sample", "--out", str(data))
    else:
        console.print(f"{data}/ is there already and is used as it is.")
    pointer = data.with_name(f"{data.name}.dvc")
    before = pointer.read_bytes() if pointer.exists() else None
    run("dvc", "add", "--quiet", str(data))
    if before is not None and pointer.read_bytes() != before:
        console.print(
            "data/ differs from the data.dvc in git (another data set, or a processor that rounds"
            " differently): it was added anew, and the stages run on what is there."
        )


def places(paths: Paths) -> list[tuple[str, str]]:
    """What a newcomer looks at next."""
    return [
        ("Submission", "submission.csv"),
        ("Data Docs", str(paths.data_docs / "index.html")),
        ("Ensemble, plots", str(paths.ensemble)),
        ("MLflow and Prefect", "make ui"),
        ("REST server", "make serve"),
        ("Your own EEG", "hms score FILE.edf --report reports"),
    ]


def run(*command: str) -> None:
    """Run a command of the project; end with its exit code where it fails."""
    show(command)
    end_where_failed(subprocess.run(command, check=False).returncode)


def quietly(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it prints."""
    return subprocess.run(
        command, check=False, stdout=subprocess.PIPE, encoding="utf-8", errors="replace"
    )


def show(command: Sequence[str]) -> None:
    """Print a command as one types it."""
    console.print(f"$ {' '.join(command)}", style="cyan", highlight=False)


def end_where_failed(code: int) -> None:
    """End with a command's exit code unless it is 0."""
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
