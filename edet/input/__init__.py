"""Records -> batches on the host."""
