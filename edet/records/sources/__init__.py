"""One module for each annotation format; each gives an `ExampleSet`."""
