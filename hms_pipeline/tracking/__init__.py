"""MLflow runs, metrics and data sets; its stores and servers."""
