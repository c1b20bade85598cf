"""The durable queue beside its peers, and beside what the disk and the databases allow: `python -m benchmarks.jobs`."""
