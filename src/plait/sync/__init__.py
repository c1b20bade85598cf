"""What the engine needs of time and waiting; the public primitives join it."""
