"""From validated windows and stored features to augmented batches on a device."""
