"""Where items run: in this process (`here`) or in worker processes (`processes`)."""
