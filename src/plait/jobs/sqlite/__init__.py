"""Jobs in a SQLite file: no server, many processes of one machine."""
