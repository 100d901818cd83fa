"""Pure functions on batched tensors: montage, filters, spectrogram transforms, quality."""
