"""``python -m hms_pipeline.cli``: the same as ``hms``, where no script is installed."""

from .app import main

main()
