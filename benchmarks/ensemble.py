"""Seconds to fit the ensemble with all its evidence; the fit against a general solver.

    OMP_NUM_THREADS=1 python benchmarks/ensemble.py

18 members × 20,000 windows × 10 folds: every blend with its nested estimate, 2,000 resamplings of
1,950 patients.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from hms_pipeline.ensemble.blend import fit_blend
from hms_pipeline.ensemble.pool import fit_pool


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
            for n, p in zip(rng.integers(10, 20, n_windows), softmax(logits, axis=1), strict=True)
        ]
    )
    shared = rng.normal(0, 0.7, logits.shape)
    oof = np.stack(
        [
            softmax(1.2 * logits + shared + rng.normal(0, 0.6 + 0.08 * m, logits.shape), axis=1)
            for m in range(n_members)
        ]
    )
    return oof, votes / votes.sum(axis=1, keepdims=True), patients


def compare_solvers(oof: np.ndarray, target: np.ndarray, shrinkage=0.003, ridge=0.03) -> None:
    """The same problem by gradients of ours and, constrained, by SLSQP without any."""

    def loss(weights, temperature, offsets):
        pool = np.einsum("m,mnc->nc", weights, oof)
        logits = np.log(pool) / temperature + offsets
        log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        pull = ridge / 2 * (np.log(temperature) ** 2 + (offsets**2).sum())
        pull -= shrinkage * np.log(weights).mean()
        return pull - (target * log_probs).sum() / len(target)

    n = len(oof)
    start = time.perf_counter()
    ours = loss(*fit_pool(oof, target, shrinkage, ridge))
    ours_s = time.perf_counter() - start
    start = time.perf_counter()
    slsqp = minimize(
        lambda x: loss(x[:n], x[n], x[n + 1 :]),
        np.concatenate([np.full(n, 1 / n), [1.0], np.zeros(6)]),
        method="SLSQP",
        bounds=[(1e-6, 1)] * n + [(0.05, 20)] + [(-10, 10)] * 6,
        constraints={"type": "eq", "fun": lambda x: x[:n].sum() - 1},
        options={"ftol": 1e-10, "maxiter": 500},
    )
    slsqp_s = time.perf_counter() - start
    print(f"one fit    {ours_s:.2f} s, loss above SLSQP's {ours - slsqp.fun:.1e}")
    print(f"SLSQP      {slsqp_s:.2f} s, {slsqp.nit} iterations")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=18)
    parser.add_argument("--windows", type=int, default=20_000)
    parser.add_argument("--patients", type=int, default=1_950)
    parser.add_argument("--folds", type=int, default=10)
    options = parser.parse_args()
    oof, target, patients = simulate(options.members, options.windows, options.patients)
    compare_solvers(oof[:, :2000], target[:2000])
    start, cpu = time.perf_counter(), time.process_time()
    fitted = fit_blend(oof, target, patients % options.folds, patients=patients)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(
        f"fit_blend  {options.members} members × {options.windows:,} windows ×"
        f" {options.folds} folds: {wall:.1f} s wall, {cpu:.1f} s CPU"
    )
    print(fitted.table.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
