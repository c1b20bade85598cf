"""Pure rules for how an item may be treated: no clock, no randomness, no lock, no I/O."""
