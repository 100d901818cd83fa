"""Reading: the competition's folder, lazily sliced recordings, windows, clinical files."""
