"""Command-line tools around records, checkpoints and measurements."""
