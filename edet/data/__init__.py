"""From files to batches: readers, records, decoding, augmentation, the input pipeline."""
