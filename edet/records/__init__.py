"""What a data set is on disk: the record, its shards, their writers and sources."""
