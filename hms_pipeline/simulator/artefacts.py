"""What is on the EEG but not from the brain: one decorated function per artefact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..catalogue import Catalogue
from ..schema import EEG_COLUMNS, ELECTRODES, SFREQ
from .head import electrode_positions
from .noise import slow_curve

N_ELECTRODES = len(ELECTRODES)


@dataclass(frozen=True)
class Event:
    """One artefact.

    Parameters
    ----------
    kind : str
        Name in ``ARTEFACTS``.
    start, stop : int
        Samples.
    channels : tuple of str
    peak_uv : float
        Largest absolute potential that it adds; 0 where it takes signal away.
    """

    kind: str
    start: int
    stop: int
    channels: tuple[str, ...]
    peak_uv: float


# Adds to eeg, array of shape (20, n) in uV, in place; ``amount`` scales how often or how strong.
Artefact = Callable[[np.random.Generator, np.ndarray, float], list[Event]]
ARTEFACTS: Catalogue[Artefact] = Catalogue("artefact")


def _starts(rng: np.random.Generator, n: int, per_minute: float, length: int) -> list[int]:
    count = rng.poisson(max(per_minute, 0) * n / SFREQ / 60)
    return sorted(rng.integers(0, max(n - length, 1), size=count).tolist())


def _add(eeg: np.ndarray, kind: str, start: int, channels: list[int], block: np.ndarray) -> Event:
    stop = min(start + block.shape[-1], eeg.shape[1])
    eeg[channels, start:stop] += block[..., : stop - start]
    names = tuple(EEG_COLUMNS[channel] for channel in channels)
    return Event(kind, start, stop, names, float(np.abs(block).max()))


def _frontal_field() -> np.ndarray:
    """How an eye's vertical dipole falls off from the front to the back."""
    return np.exp(2.6 * (electrode_positions()[:, 1] - 1))


@ARTEFACTS.register("blink")
def blink(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> list[Event]:
    """Bell-shaped positive waves of 0.2-0.4 s over the frontal poles."""
    events = []
    for start in _starts(rng, eeg.shape[1], 6 * amount, 100):
        m = int(rng.uniform(0.22, 0.45) * SFREQ)
        wave = np.hanning(m) ** 1.5 * rng.uniform(60, 180)
        events.append(
            _add(eeg, "blink", start, list(range(N_ELECTRODES)), np.outer(_frontal_field(), wave))
        )
    return events


@ARTEFACTS.register("eye_movement")
def eye_movement(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> list[Event]:
    """Lateral saccades: steps of opposite sign at F7 and F8 that decay."""
    side = _frontal_field() * electrode_positions()[:, 0] * 1.6
    events = []
    for start in _starts(rng, eeg.shape[1], 3 * amount, 400):
        m = int(rng.uniform(0.6, 2.0) * SFREQ)
        t = np.arange(m) / SFREQ
        wave = np.minimum(t / 0.05, 1) * np.exp(-t / 0.6) * rng.uniform(30, 90)
        wave *= rng.choice([-1, 1])
        events.append(
            _add(eeg, "eye_movement", start, list(range(N_ELECTRODES)), np.outer(side, wave))
        )
    return events


@ARTEFACTS.register("muscle")
def muscle(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> list[Event]:
    """Bursts of 20-90 Hz activity, mostly temporal and frontal."""
    places = electrode_positions()
    weight = np.clip(1 - places[:, 2], 0.1, None)  # low on the head, near the muscles
    events = []
    for start in _starts(rng, eeg.shape[1], 1.2 * amount, 400):
        m = int(rng.uniform(0.5, 12) * SFREQ)
        centre = rng.integers(N_ELECTRODES)
        near = np.exp(-2 * np.linalg.norm(places - places[centre], axis=1))
        noise = rng.standard_normal((N_ELECTRODES, m + 2), dtype=np.float32)
        noise = noise[:, 2:] - noise[:, :-2] * 0.6 - 0.3 * noise[:, 1:-1]
        block = (weight * near)[:, None] * noise * np.sqrt(np.hanning(m))
        block *= rng.lognormal(np.log(22), 0.6)
        events.append(_add(eeg, "muscle", start, list(range(N_ELECTRODES)), block))
    return events


@ARTEFACTS.register("electrode_pop")
def electrode_pop(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> list[Event]:
    """Sudden steps of one electrode that decay within a second."""
    events = []
    for start in _starts(rng, eeg.shape[1], 0.35 * amount, 600):
        m = int(rng.uniform(0.4, 3.0) * SFREQ)
        decay = np.exp(-np.arange(m) / SFREQ / rng.uniform(0.1, 0.6))
        height = rng.lognormal(np.log(160), 0.7) * rng.choice([-1, 1])
        channel = int(rng.integers(N_ELECTRODES))
        events.append(_add(eeg, "electrode_pop", start, [channel], height * decay))
    return events


@ARTEFACTS.register("sweat")
def sweat(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> list[Event]:
    """Very slow sway (below 0.5 Hz) of a few electrodes at a time."""
    events = []
    n = eeg.shape[1]
    for channel in range(N_ELECTRODES):
        if rng.random() < 0.5 * amount:
            block = slow_curve(rng, n, rng.uniform(2, 6)) * rng.lognormal(np.log(18), 0.6)
            events.append(_add(eeg, "sweat", 0, [channel], block))
    return events


@ARTEFACTS.register("loose_electrode")
def loose_electrode(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> list[Event]:
    """An electrode that rattles for 5-40 s: jumps, mains and noise of hundreds of microvolts."""
    events = []
    for start in _starts(rng, eeg.shape[1], 0.03 * amount, 2000):
        m = int(rng.uniform(5, 40) * SFREQ)
        m = min(m, eeg.shape[1] - start)
        jumps = slow_curve(rng, m, 0.4) * rng.lognormal(np.log(160), 0.6)
        hum = np.sin(2 * np.pi * 60 * np.arange(m) / SFREQ) * rng.uniform(5, 60)
        channel = int(rng.integers(N_ELECTRODES))
        events.append(_add(eeg, "loose_electrode", start, [channel], jumps + hum))
    return events


@ARTEFACTS.register("mains")
def mains(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> list[Event]:
    """60 Hz on every electrode, stronger on a few."""
    n = eeg.shape[1]
    hum = np.sin(2 * np.pi * 60 * np.arange(n) / SFREQ + rng.uniform(0, 6))
    gains = rng.lognormal(np.log(0.4 * amount + 1e-3), 0.9, size=len(EEG_COLUMNS))
    for channel, gain in zip(eeg, gains, strict=True):
        channel += gain * hum
    peak = float(gains.max())
    return [Event("mains", 0, n, EEG_COLUMNS, peak)] if peak > 5 else []


def heartbeat_table(n: int = 160) -> np.ndarray:
    """P, Q, R, S and T waves over 0.8 s at 200 Hz, R = 1."""
    t = np.arange(n) / SFREQ
    waves = ((0.12, 0.10, 0.025), (0.19, -0.12, 0.008), (0.215, 1.0, 0.010),
             (0.24, -0.22, 0.010), (0.44, 0.25, 0.045))  # fmt: skip
    return np.sum(
        [height * np.exp(-0.5 * ((t - at) / width) ** 2) for at, height, width in waves], 0
    )


@ARTEFACTS.register("ekg")
def ekg(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> list[Event]:
    """The heart: the EKG channel, and its bleed into the reference and some electrodes."""
    n = eeg.shape[1]
    beat = heartbeat_table()
    interval = 60 / rng.uniform(55, 120) * SFREQ
    steps = interval * (1 + 0.03 * rng.standard_normal(int(n / interval) + 2))
    places = np.cumsum(steps).astype(np.intp)
    heart = np.zeros(n)
    for place in places[places < n]:
        stop = min(place + len(beat), n)
        heart[place:stop] += beat[: stop - place]
    heart *= rng.lognormal(np.log(500), 0.6) * rng.choice([-1, 1], p=[0.25, 0.75])
    drift = slow_curve(rng, n, 2.5) * rng.lognormal(np.log(25), 0.5)
    eeg[N_ELECTRODES] += heart + drift
    bleed = 0.012 * amount * rng.lognormal(0, 0.7)
    gains = bleed * (1 + 0.5 * rng.standard_normal(N_ELECTRODES))
    for channel, gain in zip(eeg, gains, strict=False):
        channel += gain * heart
    return []


@ARTEFACTS.register("reference")
def reference(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> list[Event]:
    """The reference electrode is on every channel alike; electrodes have offsets of their own."""
    n = eeg.shape[1]
    common = amount * rng.lognormal(np.log(9), 0.7) * slow_curve(rng, n, 1.2)
    common += rng.normal(0, 50)
    for channel, offset in zip(eeg, rng.normal(0, 12, size=N_ELECTRODES), strict=False):
        channel += common + offset
    return []


@ARTEFACTS.register("sensor")
def sensor(rng: np.random.Generator, eeg: np.ndarray, amount: float) -> list[Event]:
    """The amplifier's white noise, about 1.2 uV."""
    for channel in eeg:
        # 256 levels of uniform noise: ten times as fast as normal numbers, and as white.
        levels = np.frombuffer(rng.bytes(len(channel)), np.uint8)
        channel += (levels - 127.5) * (4.2 * amount / 256)
    return []


def draw_amounts(rng: np.random.Generator) -> dict[str, float]:
    """How much of each artefact a patient has."""
    amounts = {name: float(rng.lognormal(-0.3, 0.7)) for name in ARTEFACTS}
    awake_eyes = rng.random() < 0.4
    for name in ("blink", "eye_movement"):
        amounts[name] *= 1.0 if awake_eyes else 0.08
    if rng.random() < 0.15:
        amounts["muscle"] *= 4
    return amounts


def add_artefacts(
    rng: np.random.Generator, eeg: np.ndarray, amounts: dict[str, float]
) -> list[Event]:
    """Add every artefact in place, in the order of their names."""
    events = []
    for name, amount in sorted(amounts.items()):
        events += ARTEFACTS[name](rng, eeg, amount)
    return events
