"""Settings: the schema, the named sizes, class labels, and loading them."""
