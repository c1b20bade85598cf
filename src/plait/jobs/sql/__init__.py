"""What SQLite and PostgreSQL do alike, in SQL that both understand; each overrides what it can do faster."""
