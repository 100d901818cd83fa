"""Thousands of malformed requests against a running scoring server.

    hms serve &                                            # or make serve
    python -m benchmarks.fuzz_server --url http://127.0.0.1:8080 --n 2000

Every request is made from a seed, so that a finding can be repeated (``--first SEED --n 1``). It
fails where a request gets a 5xx (a 503 with Retry-After is sent again), an echo, a path or invalid
JSON, where MLflow's own rejection is no 4xx, or where the server answers differently afterwards.
With ``--pid`` it tells the server's memory before, at most and after (Linux).
"""

from __future__ import annotations

import argparse
import base64
import io
import itertools
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import requests

from benchmarks.bombs import page_bomb, run_length_bomb
from hms_pipeline.data.encode import eeg_to_parquet, spectrogram_to_parquet
from hms_pipeline.data.window import Window
from hms_pipeline.inference.client import JSON, PARQUET, encode_request
from hms_pipeline.schema import EEG_COLUMNS, VOTE_COLUMNS

MAX_BODY = 64 * 2**20  # bytes; the stated limit of what is tried
TIMEOUT_S = 120
PATIENCE = 3  # tries again
_OURS = re.compile(
    r"(Row \d+, column|A request needs|A request may|A request\'s|The model failed|Scoring needs)"
)
_LEAKS = re.compile(r"Traceback|site-packages|\.py\b|/(?:home|tmp|root|usr|work|opt|var|mlruns)/")


@dataclass(frozen=True)
class Request:
    """One body and how it was spoiled."""

    kind: str
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 where the connection failed."""

    status: int
    text: str


def window(seed: int = 0) -> Window:
    """A window of noise with its spectrogram."""
    rng = np.random.default_rng(seed)
    eeg = rng.normal(0, 30, (len(EEG_COLUMNS), 10_000)).astype(np.float32)
    return Window(eeg, rng.gamma(2, 1, (4, 100, 300)).astype(np.float32))


_GOOD = window()
_EEG = eeg_to_parquet(_GOOD.eeg)
_SPECTROGRAM = spectrogram_to_parquet(_GOOD.spectrogram)
_BODY = encode_request([_GOOD])


def malformed(seed: int) -> Request:
    """The request of a seed."""
    rng = np.random.default_rng(seed)
    kinds = list(_KINDS)
    kind = kinds[seed % len(kinds)]
    content_type, body = _KINDS[kind](rng)
    return Request(kind, content_type, body[:MAX_BODY])


def _truncated(rng: np.random.Generator, data: bytes) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def _flipped(rng: np.random.Generator, data: bytes) -> bytes:
    spoiled = bytearray(data)
    # Half of the flips hit the last kilobytes, where parquet keeps its structure.
    first = 0 if rng.random() < 0.5 else max(0, len(data) - 4096)
    for place in rng.integers(first, len(data), rng.integers(1, 9)):
        spoiled[place] ^= 1 << int(rng.integers(8))
    return bytes(spoiled)


def frame(eeg: list, spectrogram: list | None = None, **columns: list) -> bytes:
    """A request body of any cells."""
    table = {"eeg": eeg} | ({} if spectrogram is None else {"spectrogram": spectrogram}) | columns
    sink = io.BytesIO()
    pq.write_table(pa.table(table), sink)
    return sink.getvalue()


def _cell(rng: np.random.Generator, spoil: Callable) -> tuple[str, bytes]:
    if rng.random() < 0.5:
        return PARQUET, frame([spoil(rng, _EEG)], [_SPECTROGRAM])
    return PARQUET, frame([_EEG], [spoil(rng, _SPECTROGRAM)])


def _values(rng: np.random.Generator) -> tuple[str, bytes]:
    eeg, spectrogram = _GOOD.eeg.copy(), _GOOD.spectrogram.copy()
    value = rng.choice([np.nan, np.inf, -np.inf, 1e7, 1e38, -1e30, 0.0])
    rows = rng.integers(0, len(eeg), rng.integers(1, 40))
    target = eeg if rng.random() < 0.6 else spectrogram.reshape(400, -1)
    target[rows % len(target), int(rng.integers(0, 200)) :] = value
    return PARQUET, frame([eeg_to_parquet(eeg)], [spectrogram_to_parquet(spectrogram)])


def _table(rng: np.random.Generator) -> tuple[str, bytes]:
    n_rows = int(rng.choice([0, 1, 9_999, 10_001, 10_000]))
    names = [*EEG_COLUMNS, "extra"][: rng.integers(0, 22)]
    dtype = rng.choice(["int16", "float64", "float16", "str", "bool", "float32"])
    rng.shuffle(names)
    columns = {name: np.zeros(n_rows).astype(dtype) for name in names}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return PARQUET, frame([sink.getvalue()])


def _bomb(rng: np.random.Generator) -> tuple[str, bytes]:
    rows = pa.array(np.zeros(int(rng.integers(1, 4)) * 1_000_000, np.float32))
    sink = io.BytesIO()
    table = pa.table([rows] * len(EEG_COLUMNS), names=list(EEG_COLUMNS))
    pq.write_table(table, sink, compression="zstd")
    return PARQUET, frame([sink.getvalue()])


def _long_frame(rng: np.random.Generator) -> tuple[str, bytes]:
    n = int(rng.choice([0, 257, 1_000, 100_000]))
    return PARQUET, frame([_EEG[:40]] * n, [b""] * n)


def _big_cell(rng: np.random.Generator) -> tuple[str, bytes]:
    size = int(rng.integers(8, 60)) * 2**20
    return PARQUET, frame([rng.bytes(size)])


def _page_bomb(rng: np.random.Generator) -> bytes:
    return page_bomb(2_000_000, str(rng.choice(["zstd", "gzip", "brotli"])))


def _repeated(rng: np.random.Generator) -> tuple[str, bytes]:
    cells = pa.array([bytes(int(rng.integers(1, 30)) * 2**20)] * 64).dictionary_encode()
    sink = io.BytesIO()
    pq.write_table(pa.table({"eeg": cells}), sink, compression="zstd")
    return PARQUET, sink.getvalue()


def _many_values(rng: np.random.Generator) -> tuple[str, bytes]:
    value = (b"[],", b"{},", b"1,", b'"",')[rng.integers(4)]
    return JSON, b'{"inputs":[' + value * int(rng.integers(1, 8)) * 1_000_000 + b"0]}"


def _wrong_columns(rng: np.random.Generator) -> tuple[str, bytes]:
    choices = (
        {"EEG": [_EEG]},
        {"eeg": [1.5]},
        {"eeg": ["text"]},
        {"eeg": [[1.0, 2.0]]},
        {"eeg": [None]},
        {"spectrogram": [_SPECTROGRAM]},
        {"eeg": [_SPECTROGRAM], "spectrogram": [_EEG]},
        {"eeg": [_EEG], "spectrogram": [3]},
        {"eeg": [b""], "spectrogram": [b""]},
    )
    sink = io.BytesIO()
    pq.write_table(pa.table(choices[rng.integers(len(choices))]), sink)
    return PARQUET, sink.getvalue()


def _json_types(rng: np.random.Generator) -> tuple[str, bytes]:
    text = base64.b64encode(_EEG).decode()
    cells = (None, 1, -1.5, True, [], {}, [[1, 2]], "x", "é" * 50, text[:-3], "=" * 9, "A" * 4096)
    cell = cells[rng.integers(len(cells))]
    bodies = (
        {"dataframe_split": {"columns": ["eeg"], "data": [[cell]]}},
        {"dataframe_split": {"columns": ["eeg", "spectrogram"], "data": [[text, cell]]}},
        {"dataframe_split": {"columns": ["eeg"], "data": cell}},
        {"dataframe_split": {"columns": ["eeg", "eeg"], "data": [[text, text]]}},
        {"dataframe_split": cell},
        {"dataframe_records": [{"eeg": cell}]},
        {"dataframe_records": cell},
        {"inputs": {"eeg": cell}},
        {"inputs": cell},
        {"instances": [{"eeg": cell}]},
        {"messages": cell},
        {"dataframe_split": {"columns": ["eeg"], "data": [[text]]}, "params": {"details": cell}},
        {"dataframe_split": {"columns": ["eeg"], "data": [[text]]}, "params": cell},
        cell,
    )
    return JSON, json.dumps(bodies[rng.integers(len(bodies))]).encode()


def _no_json(rng: np.random.Generator) -> tuple[str, bytes]:
    text = '{"dataframe_split": {"columns": ["eeg"], "data": [["secret-4711"]]}}'
    bodies = (
        rng.bytes(int(rng.integers(0, 2000))),
        text[: rng.integers(0, len(text))].encode(),
        b"[" * 200_000,
        b'{"a":' * 50_000,
        b'{"inputs": NaN}',
        b'{"inputs": 1e999}',
        b"\xff\xfe" + text.encode("utf-16-le"),
        b"9" * 10_000,
        b"",
    )
    return JSON, bodies[rng.integers(len(bodies))]


def _other_types(rng: np.random.Generator) -> tuple[str, bytes]:
    types = (
        "text/csv", "text/plain", "application/octet-stream", "application/json; charset=latin-1",
        "application/json; x=y", "multipart/form-data", "nonsense", PARQUET + "; charset=utf-8",
    )  # fmt: skip
    bodies = (_BODY, b"eeg\n1\n", b"eeg,spectrogram\nUEFSMQ==,\n", rng.bytes(50))
    return types[rng.integers(len(types))], bodies[rng.integers(len(bodies))]


_KINDS: dict[str, Callable[[np.random.Generator], tuple[str, bytes]]] = {
    "truncated body": lambda rng: (PARQUET, _truncated(rng, _BODY)),
    "flipped body": lambda rng: (PARQUET, _flipped(rng, _BODY)),
    "truncated cell": lambda rng: _cell(rng, _truncated),
    "flipped cell": lambda rng: _cell(rng, _flipped),
    "values": _values,
    "cell's table": _table,
    "wrong columns": _wrong_columns,
    "JSON types": _json_types,
    "no JSON": _no_json,
    "other content types": _other_types,
    "random bytes": lambda rng: (PARQUET, rng.bytes(int(rng.integers(0, 5000)))),
    "long frame": _long_frame,
}
_RARE = {  # each takes seconds or megabytes
    "bomb": _bomb,
    "big cell": _big_cell,
    "page bomb as a cell": lambda rng: (PARQUET, frame([_page_bomb(rng)])),
    "page bomb as a body": lambda rng: (PARQUET, _page_bomb(rng)),
    "dictionary of many rows": lambda rng: (PARQUET, run_length_bomb()),
    "repeated cells": _repeated,
    "JSON of many values": _many_values,
    "chunked without end": lambda rng: (PARQUET, b""),
}


def rare(seed: int) -> Request:
    """A huge request of a seed."""
    rng = np.random.default_rng(seed)
    kind = list(_RARE)[seed % len(_RARE)]
    content_type, body = _RARE[kind](rng)
    return Request(kind, content_type, body[:MAX_BODY])


def post(session: requests.Session, url: str, request: Request) -> Answer:
    """Send a request; again where the server is busy or had closed the connection between two."""
    headers = {"Content-Type": request.content_type}
    endless = request.kind == "chunked without end"
    for last in (False,) * PATIENCE + (True,):
        body = itertools.repeat(bytes(2**16)) if endless else request.body
        try:
            got = session.post(f"{url}/invocations", data=body, headers=headers, timeout=TIMEOUT_S)
            if got.status_code != 503 or last:
                break
            time.sleep(float(got.headers["Retry-After"]))
        except requests.RequestException as err:
            if last:
                return Answer(0, type(err).__name__)
    return Answer(got.status_code, got.text)


def findings(request: Request, answer: Answer) -> list[str]:
    """What is wrong with an answer; nothing where it is as it should be."""
    if answer.status == 0:
        return ["connection failed"]
    found = [f"status {answer.status}"] if answer.status >= 500 else []
    if answer.status == 200:
        return found + _wrong_probabilities(answer.text)
    if reached_model(answer):
        message = _strict_json(answer.text)
        if message is None:
            found.append("invalid JSON")
        if echoes(request.body, answer.text):
            found.append("echo")
        if _LEAKS.search(answer.text):
            found.append("path or trace")
    return found


def reached_model(answer: Answer) -> bool:
    """Whether the model itself answered, not MLflow before it."""
    return bool(answer.status == 200 or _OURS.search(answer.text))


def echoes(body: bytes, text: str) -> bool:
    """Whether an answer repeats what was sent."""
    if "PAR1" in text or "UEFSMQ" in text:  # how a parquet file begins, as bytes or base64
        return True
    sent = body.decode("latin-1")
    places = range(0, max(1, len(sent) - 24), max(1, len(sent) // 200))
    pieces = (sent[k : k + 24] for k in places)
    return any(len(set(p)) > 8 and p in text and not _OURS.search(p) for p in pieces)


def _strict_json(text: str) -> object | None:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(text, parse_constant=refuse)
    except ValueError:
        return None


def _wrong_probabilities(text: str) -> list[str]:
    answer = _strict_json(text)
    if not isinstance(answer, dict) or "predictions" not in answer:
        return ["invalid JSON"]
    rows = [[row.get(name) for name in VOTE_COLUMNS] for row in answer["predictions"]]
    try:
        probs = np.array(rows, dtype=float)
    except (TypeError, ValueError):
        return ["not six numbers"]
    good = probs.shape[1:] == (6,) and np.isfinite(probs).all() and (probs >= 0).all()
    return [] if good and np.allclose(probs.sum(axis=1), 1) else ["not probabilities"]


def probabilities(url: str) -> np.ndarray:
    """The server's answer to a good request."""
    return probabilities_of(post(requests.Session(), url, Request("good", PARQUET, _BODY)))


def probabilities_of(answer: Answer) -> np.ndarray:
    """What an answer says, shape (n_windows, 6)."""
    if answer.status != 200:
        raise RuntimeError(f"A good request gives {answer.status}: {answer.text[:300]}")
    rows = json.loads(answer.text)["predictions"]
    return np.array([[row[name] for name in VOTE_COLUMNS] for row in rows])


def fuzz(url: str, seeds: Iterator[int] | range, n_threads: int = 4) -> tuple[Counter, list]:
    """Send the requests of many seeds.

    Returns
    -------
    counts : Counter
        (kind, status, reached the model) → how often.
    wrong : list of (seed, kind, finding, answer's beginning)
    """
    session = requests.Session()

    def one(seed: int) -> tuple[int, Request, Answer]:
        # Every sixtieth is huge.
        request = rare(seed // 60) if seed % 60 == 59 else malformed(seed)
        return seed, request, post(session, url, request)

    counts: Counter = Counter()
    wrong = []
    with ThreadPoolExecutor(n_threads) as pool:
        for seed, request, answer in pool.map(one, seeds):
            counts[request.kind, answer.status, reached_model(answer)] += 1
            wrong += [(seed, request.kind, f, answer.text[:300]) for f in findings(request, answer)]
    return counts, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--pid", type=int, help="The server's process.")
    arguments = parser.parse_args()
    memory = [] if arguments.pid is None else [memory_mb(arguments.pid)]
    before, start = probabilities(arguments.url), time.perf_counter()
    seeds = range(arguments.first, arguments.first + arguments.n)
    counts, wrong = fuzz(arguments.url, seeds, arguments.threads)
    elapsed_s = time.perf_counter() - start
    for (kind, status, reached), count in sorted(counts.items()):
        print(f"{count:6d}  {status}  {'model ' if reached else 'MLflow'}  {kind}")
    for seed, kind, finding, text in wrong[:20]:
        print(f"seed {seed} ({kind}): {finding}: {text!r}")
    same = np.allclose(before, probabilities(arguments.url), atol=1e-5)
    print(f"{sum(counts.values())} requests in {elapsed_s:.0f} s, {len(wrong)} findings;", end=" ")
    print("the server answers as before" if same else "THE SERVER ANSWERS DIFFERENTLY")
    if memory:
        memory.append(memory_mb(arguments.pid))
        print("memory (MB now, at most so far), before and after:", *memory)
    return int(bool(wrong) or not same)


def memory_mb(pid: int) -> tuple[int, int]:
    """What a process holds now, and held at most."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    found = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return int(found["VmRSS"]) // 1024, int(found["VmHWM"]) // 1024


if __name__ == "__main__":
    sys.exit(main())
