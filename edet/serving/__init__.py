"""The detector that every mode and export shares, and its SavedModel."""
