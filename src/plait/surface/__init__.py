"""What users import: `map`, `Run`, `Report`, `task`; short, typed, documented."""
