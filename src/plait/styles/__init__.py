"""How one place runs its items: `serial`, `threads` or `loop`. The same code in every place."""
