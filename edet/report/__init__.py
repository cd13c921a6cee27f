"""One page of a run, which opens from a disk or bucket without a server and without a network."""
