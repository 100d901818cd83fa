"""The embedded data set: simulated ICU EEG of the six classes in the competition's layout."""
