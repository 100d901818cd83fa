"""Weights from out-of-fold predictions, calibration, comparison and its uncertainty."""
