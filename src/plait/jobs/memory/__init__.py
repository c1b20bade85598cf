"""Jobs in the memory of one process: what `Store` says in plain Python, for tests, and as a measure of the others."""
