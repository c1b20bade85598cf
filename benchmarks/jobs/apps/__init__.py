"""One module an engine: its tasks, how it enqueues, how its worker is started."""
