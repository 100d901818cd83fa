"""MLflow gives advice on type hints when it is first imported; here it is no error."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow.pyfunc  # noqa: F401
