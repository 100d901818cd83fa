"""The file that MLflow packages as the model's code."""
