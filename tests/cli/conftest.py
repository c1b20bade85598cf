"""What the tests of commands share: a folder with an application in it, and `plait` run there, as a shell does it."""

import contextlib
import io
import json
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


#: Runs each command that it reads in a child, and says how it ended: no command has to import everything anew.
COMMANDS = """
import gc, json, os, sys, time
import plait.cli.jobs, plait.cli.operating, plait.cli.scheduling, plait.cli.working
import plait.jobs.postgres.store, plait.jobs.sqlite.store
from plait.cli import main

gc.freeze()
for line in sys.stdin:
    command, folder, environment, *streams = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        for number, path in enumerate(streams):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
        try:
            main(command)
        except SystemExit as ended:
            sys.stdout.flush()
            os._exit(ended.code or 0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Commands:
    """Runs `plait` in processes of their own, as a shell does, but for their start."""

    def __init__(self, folder: Path) -> None:
        self._said = [folder / "out", folder / "err"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([sys.executable, "-c", COMMANDS], **pipes)

    def run(
        self, command: tuple[str, ...], folder: Path, environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        order = [command, str(folder), environment, os.devnull, *map(str, self._said)]
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(command, status, *(path.read_text() for path in self._said))

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")  # and no wider: other tests count the children of this process
def commands(tmp_path_factory: pytest.TempPathFactory):
    """What runs the commands of all shells."""
    made = Commands(tmp_path_factory.mktemp("commands"))
    yield made
    made.close()


class Shell:
    """A folder in which commands are run."""

    def __init__(self, folder: Path, commands: Commands) -> None:
        self.folder, self._commands = folder, commands
        self.environment = {**os.environ, "COLUMNS": "80", "PLAIT_JOBS": "", "TZ": "Asia/Kathmandu"}
        (folder / "app.py").write_text(APP)
        self._begun: list[subprocess.Popen[str]] = []

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """Run `plait` with arguments: in this process, if it imports nothing of the user's."""
        words = tuple(map(str, command))
        if not any("app" in word for word in words):
            return self._here(words)
        if "--burst" not in words:  # a worker is better off in a process from its beginning on
            return self._commands.run(words, self.folder, self.environment)
        return subprocess.run(
            [sys.executable, "-m", "plait", *words],
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
def shell(tmp_path: Path, commands: Commands):
    """A shell in a folder of its own."""
    made = Shell(tmp_path, commands)
    yield made
    made.end()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, shell):
    """The URL of the application's store, of either kind."""
    url = f"sqlite:///{shell.folder}/jobs.db" if request.param == "sqlite" else request.getfixturevalue("postgres")
    shell.environment["APP_URL"] = url
    return url
