"""Jobs in PostgreSQL, for workers on many machines."""
