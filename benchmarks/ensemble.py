"""Seconds to fit the ensemble with all its evidence; solvers against a general one.

    OMP_NUM_THREADS=1 python benchmarks/ensemble.py

18 members × 20,000 windows × 10 folds: every blend, strengths chosen inside the nested loop,
2,000 resamplings of 1,950 patients.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.optimize import minimize

from hms_pipeline.ensemble.blend import fit_blend
from hms_pipeline.ensemble.weights import PLAIN, fit_weights


def simulate(n_members: int, n_windows: int, n_patients: int, seed: int = 0):
    """Votes from latent probabilities; members see the logits with shared and own noise."""
    rng = np.random.default_rng(seed)
    patients = rng.integers(0, n_patients, n_windows)
    prior = np.log([0.05, 0.12, 0.15, 0.1, 0.13, 0.45])
    logits = (
        prior + 2 * rng.normal(size=(n_windows, 6)) + rng.normal(size=(n_patients, 6))[patients]
    )
    votes = np.stack(
        [
            rng.multinomial(n, p)
            for n, p in zip(rng.integers(10, 20, n_windows), softmax(logits), strict=True)
        ]
    )
    shared = rng.normal(0, 0.7, logits.shape)
    oof = np.stack(
        [
            softmax(1.2 * logits + shared + rng.normal(0, 0.6 + 0.08 * m, logits.shape))
            for m in range(n_members)
        ]
    )
    return oof, votes / votes.sum(axis=1, keepdims=True), patients


def softmax(logits: np.ndarray) -> np.ndarray:
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exp / exp.sum(axis=-1, keepdims=True)


def compare_solvers(oof: np.ndarray, target: np.ndarray) -> None:
    """The same plain-weights problem by Newton and by SLSQP with the exact gradient."""
    rows, classes = np.nonzero(target)
    probs, share = oof[:, rows, classes], target[rows, classes] / len(target)
    equal = np.full(len(oof), 1 / len(oof))

    def loss(w):
        return -share @ np.log(w @ probs)

    start = time.perf_counter()
    newton = fit_weights(probs, share, PLAIN, equal)
    newton_s = time.perf_counter() - start
    start = time.perf_counter()
    slsqp = minimize(
        loss,
        equal,
        jac=lambda w: -probs @ (share / (w @ probs)),
        method="SLSQP",
        bounds=[(0, 1)] * len(oof),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    slsqp_s = time.perf_counter() - start
    print(
        f"plain weights  Newton {newton_s:.2f} s, KL above SLSQP's {loss(newton) - slsqp.fun:.1e}"
    )
    print(f"               SLSQP  {slsqp_s:.2f} s, {slsqp.nit} iterations")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=18)
    parser.add_argument("--windows", type=int, default=20_000)
    parser.add_argument("--patients", type=int, default=1_950)
    parser.add_argument("--folds", type=int, default=10)
    options = parser.parse_args()
    oof, target, patients = simulate(options.members, options.windows, options.patients)
    compare_solvers(oof, target)
    start, cpu = time.perf_counter(), time.process_time()
    fitted = fit_blend(oof, target, patients % options.folds, patients=patients)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(
        f"fit_blend      {options.members} members × {options.windows:,} windows ×"
        f" {options.folds} folds: {wall:.1f} s wall, {cpu:.1f} s CPU"
    )
    print(fitted.table.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
