"""Files that other runtimes load."""
