"""The simulator's speed, and how far simple features get on its windows.

Run: ``python -m benchmarks.simulator [--patients 120] [--seed 20240109] [--workers 1]``
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from scipy.signal import welch
from scipy.special import rel_entr
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hms_pipeline import schema
from hms_pipeline.simulator.plan import plan_train
from hms_pipeline.simulator.session import simulate_session

from .windows import SampleArrays, simulate_arrays

BANDS = ((0.5, 1.5), (1.5, 4.0), (4.0, 8.0), (8.0, 13.0), (13.0, 20.0))


def band_features(eeg: np.ndarray) -> np.ndarray:
    """Log band powers per region of the central 10 s, and their left-right differences.

    Parameters
    ----------
    eeg : array, shape (n, 20, 10000)

    Returns
    -------
    array, shape (n, 30)
    """
    half = int(schema.LABEL_S * schema.SFREQ / 2)
    centre = eeg.shape[-1] // 2
    label = eeg[..., centre - half : centre + half]
    regions = []
    for pairs in schema.REGION_PAIRS.values():
        rows = [[schema.EEG_COLUMNS.index(name) for name in pair] for pair in pairs]
        waves = np.stack([label[:, a] - label[:, b] for a, b in rows], axis=1)
        freqs, power = welch(waves, schema.SFREQ, nperseg=800)
        power = power.mean(axis=1)
        regions.append([
            np.log(power[:, (freqs >= low) & (freqs < high)].mean(axis=1) + 1e-3)
            for low, high in BANDS
        ])  # fmt: skip
    logs = np.array(regions)  # (regions, bands, n)
    asymmetry = np.abs(logs[[0, 2]] - logs[[1, 3]])
    features = np.concatenate([logs, asymmetry]).reshape(-1, len(eeg))
    return features.T


def grouped_accuracy(sample: SampleArrays, rows: np.ndarray) -> dict[str, float]:
    """Accuracy of the consensus, with no patient on both sides, beside the most common class."""
    features = band_features(sample.eeg[rows])
    labels = sample.votes[rows].argmax(axis=1)
    groups = sample.patient_id[rows]
    models = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.3)),
        "forest": RandomForestClassifier(300, min_samples_leaf=3, random_state=0),
    }
    result = {
        name: float(
            (
                cross_val_predict(m, features, labels, groups=groups, cv=GroupKFold(5)) == labels
            ).mean()
        )
        for name, m in models.items()
    }
    result["chance"] = float(np.bincount(labels).max() / len(labels))
    return result


def grouped_kl(sample: SampleArrays) -> dict[str, float]:
    """KL on windows with ten votes or more, of a model fitted to all vote shares.

    A logistic regression sees each window once per class, weighted by its share of votes.
    """
    features, groups = band_features(sample.eeg), sample.patient_id
    target = sample.votes / sample.votes.sum(axis=1, keepdims=True)
    many = sample.votes.sum(axis=1) >= 10
    probs, prior = np.zeros_like(target), np.zeros_like(target)
    for train, test in GroupKFold(5).split(features, groups=groups):
        n = len(train)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.03))
        model.fit(
            np.repeat(features[train], 6, axis=0),
            np.tile(np.arange(6), n),
            logisticregression__sample_weight=target[train].ravel() + 1e-9,
        )
        probs[test] = model.predict_proba(features[test])
        prior[test] = target[train[many[train]]].mean(axis=0)

    def kl(guess: np.ndarray) -> float:
        return float(rel_entr(target[many], guess[many]).sum(axis=1).mean())

    return {
        "logistic": kl(probs),
        "mean target": kl(prior),
        "uniform": kl(np.full_like(probs, 1 / 6)),
    }


def speed(seed: int, sessions: int = 24) -> dict[str, float]:
    """Recordings (EEG files with their spectrogram) per second of one core."""
    plans = plan_train(seed, sessions)[:sessions]
    simulate_session(seed, plans[0])  # imports and tables
    start, cpu = time.perf_counter(), time.process_time()
    recordings = sum(len(simulate_session(seed, plan).eegs) for plan in plans)
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    return {
        "recordings": recordings,
        "recordings per CPU second": recordings / cpu_s,
        "recordings per second, one process": recordings / wall_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=120)
    parser.add_argument("--seed", type=int, default=20240109)
    parser.add_argument("--workers", type=int, default=None)
    args = parser.parse_args()
    for name, value in speed(args.seed).items():
        print(f"{name}: {value:.1f}")
    sample = simulate_arrays(patients=args.patients, seed=args.seed, workers=args.workers)
    total = sample.votes.sum(axis=1)
    for label, rows in (("all", total > 0), ("<10", total < 10), (">=10", total >= 10)):
        scores = grouped_accuracy(sample, np.flatnonzero(rows))
        text = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        print(f"accuracy, {label} votes ({rows.sum()} windows): {text}")
    text = ", ".join(f"{name} {value:.3f}" for name, value in grouped_kl(sample).items())
    print(f"KL, >=10 votes: {text}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory: {peak:.1f} GB")


if __name__ == "__main__":
    main()
