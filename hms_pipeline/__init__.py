"""Retrain, register and serve an ensemble that reads ICU EEG as experts do."""

__version__ = "0.1.0"
