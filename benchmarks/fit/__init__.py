"""How good `plait.map(fn, items)` with no options is against placements picked by hand: `python -m benchmarks.fit`."""
