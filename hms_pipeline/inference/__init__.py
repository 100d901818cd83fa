"""Windows → probabilities: the bundle that holds an ensemble, and the Predictor that runs it."""
