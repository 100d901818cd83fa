"""The field's fixed words and numbers: classes, electrodes, montages, file columns, units.

References
----------
Jing et al., "Development of expert-level classification of seizures and rhythmic and periodic
patterns during EEG interpretation", Neurology 2023.
Hirsch et al., "ACNS Standardized Critical Care EEG Terminology: 2021 version",
J Clin Neurophysiol 2021.
Kaggle, "HMS - Harmful Brain Activity Classification", data description, 2024.
"""

from __future__ import annotations

import itertools

# ---------------------------------------------------------------- classes
CLASSES = ("seizure", "lpd", "gpd", "lrda", "grda", "other")
CLASS_LABELS = ("Seizure", "LPD", "GPD", "LRDA", "GRDA", "Other")  # expert_consensus
ACNS_NAMES = ("Seizure", "LPDs", "GPDs", "LRDA", "GRDA", "Other")  # as people write them
VOTE_COLUMNS = tuple(f"{name}_vote" for name in CLASSES)

# ---------------------------------------------------------------- EEG
SFREQ = 200.0  # Hz
ELECTRODES = (
    "Fp1", "F3", "C3", "P3", "F7", "T3", "T5", "O1",
    "Fz", "Cz", "Pz",
    "Fp2", "F4", "C4", "P4", "F8", "T4", "T6", "O2",
)  # fmt: skip
EKG = "EKG"
EEG_COLUMNS = (*ELECTRODES, EKG)  # microvolts, referential
WINDOW_S = 50.0
WINDOW_SAMPLES = 10_000
LABEL_S = 10.0  # the central stretch that the experts' label is for

# ---------------------------------------------------------------- montages
# Longitudinal bipolar montage ("double banana"): four chains front to back, then the midline.
CHAINS = {
    "LL": ("Fp1", "F7", "T3", "T5", "O1"),  # left lateral (temporal)
    "RL": ("Fp2", "F8", "T4", "T6", "O2"),  # right lateral
    "LP": ("Fp1", "F3", "C3", "P3", "O1"),  # left parasagittal
    "RP": ("Fp2", "F4", "C4", "P4", "O2"),  # right parasagittal
}
MIDLINE = ("Fz", "Cz", "Pz")
REGIONS = tuple(CHAINS)  # order of the spectrogram's columns and of every regional feature


def _pairs(chain: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(itertools.pairwise(chain))


REGION_PAIRS = {region: _pairs(chain) for region, chain in CHAINS.items()}
CHAIN_PAIRS = tuple(pair for region in REGIONS for pair in REGION_PAIRS[region])  # 16
DOUBLE_BANANA = (*CHAIN_PAIRS, *_pairs(MIDLINE))  # 18 derivations
DIFFERENTIAL = (
    ("Fp1", "T3"), ("T3", "O1"), ("Fp1", "C3"), ("C3", "O1"),
    ("Fp2", "C4"), ("C4", "O2"), ("Fp2", "T4"), ("T4", "O2"),
)  # fmt: skip
MIRROR = {  # electrode -> its counterpart on the other side
    left: right
    for a, b in (
        ("Fp1", "Fp2"), ("F3", "F4"), ("C3", "C4"), ("P3", "P4"),
        ("F7", "F8"), ("T3", "T4"), ("T5", "T6"), ("O1", "O2"),
    )
    for left, right in ((a, b), (b, a))
} | {name: name for name in (*MIDLINE, EKG)}  # fmt: skip

# ---------------------------------------------------------------- spectrogram
SPECTROGRAM_S = 600.0
SPECTROGRAM_ROWS = 300
SPECTROGRAM_STEP_S = 2.0
SPECTROGRAM_NFFT = 1024
SPECTROGRAM_BINS = tuple(range(3, 103))
SPECTROGRAM_FREQS = tuple(k * SFREQ / SPECTROGRAM_NFFT for k in SPECTROGRAM_BINS)  # Hz
# Column names round half up (3.125 -> 3.13) and drop trailing zeros (4.1015625 -> 4.1).
SPECTROGRAM_FREQ_NAMES = tuple(f"{int(f * 100 + 0.5) / 100:g}" for f in SPECTROGRAM_FREQS)
SPECTROGRAM_COLUMNS = (
    "time",
    *(f"{region}_{freq}" for region in REGIONS for freq in SPECTROGRAM_FREQ_NAMES),
)

# ---------------------------------------------------------------- tables
TRAIN_COLUMNS = (
    "eeg_id", "eeg_sub_id", "eeg_label_offset_seconds",
    "spectrogram_id", "spectrogram_sub_id", "spectrogram_label_offset_seconds",
    "label_id", "patient_id", "expert_consensus", *VOTE_COLUMNS,
)  # fmt: skip
TEST_COLUMNS = ("spectrogram_id", "eeg_id", "patient_id")
SUBMISSION_COLUMNS = ("eeg_id", *VOTE_COLUMNS)

# ---------------------------------------------------------------- vote slices, inclusive bounds
VOTE_SLICES = {"all": (1, None), "1-2": (1, 2), "3-9": (3, 9), ">=10": (10, None)}
DECIDING_SLICE = ">=10"
