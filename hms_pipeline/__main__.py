"""``python -m hms_pipeline``: the same as ``hms``, by the code of the folder it is run in."""

from .cli import main

main()
