"""Training: losses, schedules, the pure step, the loop, checkpoints."""
