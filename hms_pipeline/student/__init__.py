"""One small network that learns to answer as the ensemble does, fold by fold without a leak."""
