"""What the tests of commands share: a folder with an application in it, and `plait` run there, as a shell does it."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plait.cli import main

APP = """
import asyncio, os, time, plait
from pathlib import Path

jobs = plait.Jobs(os.environ.get("APP_URL", "sqlite:///jobs.db"))
empty = plait.Jobs("sqlite:///empty.db")
inside = plait.Jobs("memory://")

@jobs.task(retries=plait.Retry(1, backoff=0.01))
def fail(n: int, why: str = "no") -> int:
    raise ValueError(f"{why} {n}\\x1b[31m")

@jobs.task()
async def double(n: int) -> int:
    return 2 * n

@jobs.task(queue="media")
def thumb(path: str, size: tuple[int, int] = (1, 2)) -> str:
    with open("ran", "a") as file:
        file.write(f"{path}\\n")
    return path

@jobs.task()
def wait(seconds: float) -> str:
    Path(f"begun-{os.getpid()}").touch()
    time.sleep(seconds)
    return "waited"

inside.task(name="double")(len)
jobs.schedule("0 4 * * *", thumb, args=("x.png",), tz="Europe/Paris", name="nightly")
jobs.schedule(3600, double, args=(1,), missed="none", overlap="allow", name="hourly")
"""


class Shell:
    """A folder in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "COLUMNS": "80", "PLAIT_JOBS": "", "TZ": "Asia/Kathmandu"}
        (folder / "app.py").write_text(APP)
        self._begun: list[subprocess.Popen[str]] = []

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """Run `plait` with arguments: in this process, if it imports nothing of the user's."""
        if not any("app" in str(part) for part in command):
            return self._here(tuple(map(str, command)))
        return subprocess.run(
            [sys.executable, "-m", "plait", *map(str, command)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def _here(self, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.chdir(self.folder)
            for name in ("COLUMNS", "PLAIT_JOBS"):
                patch.setenv(name, self.environment[name])
            with pytest.raises(SystemExit) as ended:
                main(command)
        return subprocess.CompletedProcess(command, int(ended.value.code or 0), out.getvalue(), err.getvalue())

    def said(self, *command: object) -> str:
        """What a command prints that ends well."""
        done = self.run(*command)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def refused(self, *command: object, code: int = 2) -> str:
        """What a command says that ends with `code`: words for people, and no traceback."""
        done = self.run(*command)
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr

    def begin(self, *command: object) -> subprocess.Popen[str]:
        """Begin a command; what it says goes to the file `said`."""
        with (self.folder / "said").open("a") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "plait", *map(str, command)],
                cwd=self.folder,
                env=self.environment,
                stdout=said,
                stderr=said,
                text=True,
                start_new_session=True,
            )
        self._begun.append(process)
        return process

    def heard(self) -> str:
        """What commands said that were begun."""
        return (self.folder / "said").read_text()

    def end(self) -> None:
        """Kill what still runs."""
        for process in self._begun:
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture
def shell(tmp_path: Path):
    """A shell in a folder of its own."""
    made = Shell(tmp_path)
    yield made
    made.end()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, shell):
    """The URL of the application's store, of either kind."""
    url = f"sqlite:///{shell.folder}/jobs.db" if request.param == "sqlite" else request.getfixturevalue("postgres")
    shell.environment["APP_URL"] = url
    return url
