"""Flows against what people glue by hand and against peers: a row for each target, `python -m benchmarks.flow`."""
