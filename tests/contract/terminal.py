"""A command on a pseudo-terminal, and what its reader would see there."""

import os
import re
import subprocess
import sys
import termios

__all__ = ["Terminal", "seen"]

#: Makes its standard input its controlling terminal, as a shell's child has it, and becomes the command.
ATTACH = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


class Terminal:
    """A command on a terminal of its own, whose output is kept."""

    def __init__(self, folder, *command, columns=120):
        self.handle, other = os.openpty()
        termios.tcsetwinsize(self.handle, (24, columns))
        streams = {"stdin": other, "stdout": other, "stderr": other, "start_new_session": True}
        environment = {**os.environ, "TERM": "xterm"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", ATTACH, *command], cwd=folder, env=environment, **streams
        )
        os.close(other)
        self.output = b""

    def read_until(self, mark):
        while mark not in self.output:
            self.output += os.read(self.handle, 65536)

    def press_ctrl_c(self):
        os.write(self.handle, b"\x03")

    def ended(self):
        """The exit code, once everything was read."""
        try:
            while data := os.read(self.handle, 65536):
                self.output += data
        except OSError:  # how Linux says that the other side is closed
            pass
        os.close(self.handle)
        return self.process.wait(10)

    def seen(self):
        """The lines that are left on the screen, and what has scrolled away above them."""
        return seen(self.output.decode())


#: A control sequence with its numbers and its letter, or one character.
PART = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([^\x1b])")


def seen(output):
    """The lines that `output` leaves on a terminal that is wide enough."""
    lines, row, column = [""], 0, 0
    for numbers, letter, character in PART.findall(output):
        if letter == "A":
            row = max(0, row - int(numbers or 1))
        elif letter == "K":
            lines[row] = ""
        elif letter and letter not in "mhl":
            raise ValueError(f"the sequence {numbers}{letter} is not known here")
        elif character == "\r":
            column = 0
        elif character == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif character:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + character + line[column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]
