"""`Server`: where a URL leads, how it is connected to, and what the driver's errors mean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from plait.errors import MissingExtra, OptionError, StoreBusy, StoreError

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.types.json import Jsonb
except ImportError as error:
    raise MissingExtra("Jobs in PostgreSQL", "psycopg", "postgres") from error

__all__ = ["PATIENCE", "Server", "in_words"]

#: Seconds to wait for a connection, or for what another transaction has locked.
PATIENCE = 10.0
#: What a connection has unless the URL says otherwise: a server that has vanished is noticed in seconds, not in hours.
_CONNECTING = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
#: Settings of a session, unless the URL's own `options` have them. A process that was stopped in the middle of a
#: transaction must not keep its locks from everybody else; the plans are short ones, not worth compiling, and one that
#: was made when a table was empty must not go through all of it when it is full.
_SETTINGS = {
    "idle_in_transaction_session_timeout": "5s",
    "lock_timeout": f"{PATIENCE:.0f}s",
    "jit": "off",
    "enable_seqscan": "off",
    "default_transaction_isolation": "read committed",
}
#: Those of one in which a task works, as long as it likes: it ends soon after the task's process.
_TASK = {"client_connection_check_interval": "1s"}
_SET = (
    "SELECT set_config(name, %s::jsonb ->> name, false) FROM pg_settings "
    "WHERE name IN (SELECT jsonb_object_keys(%s::jsonb)) AND source <> 'client'"
)


class Server:
    """A database on a server.

    Parameters:
        url: as libpq knows it.

    Raises:
        OptionError: libpq cannot read the URL.
    """

    def __init__(self, url: str) -> None:
        try:
            said = conninfo_to_dict(url)
        except psycopg.Error as error:  # what it says may have the password in it
            why = "it is none that PostgreSQL's own library can read: are all special characters written as %XX?"
            raise OptionError("url", f"{url.partition('://')[0]}://...", f"{why} ({type(error).__name__})") from None
        self._url = url
        elsewhere = "service" in said or "PGSERVICE" in os.environ or "PGCONNECT_TIMEOUT" in os.environ
        self._connecting = {} if elsewhere else {name: v for name, v in _CONNECTING.items() if name not in said}
        host = said.get("host") or said.get("hostaddr") or said.get("service") or os.environ.get("PGHOST") or ""
        port = f":{said['port']}" if said.get("port") else ""
        name = said.get("dbname") or said.get("user") or os.environ.get("PGDATABASE") or "the default database"
        #: What people know it by.
        self.where = f"{host}{port}/{name}" if not str(host).startswith("/") else f"{name} in {host}"

    def connect(self, *, task: bool = False) -> psycopg.Connection[Any]:
        """A connection in autocommit mode: transactions begin and end where they are seen to.

        Parameters:
            task: whether a task works with it, in a transaction that may take long.

        Raises:
            StoreError: it cannot be had.
        """
        with in_words(self.where):
            made: psycopg.Connection[Any] = psycopg.connect(
                self._url,
                autocommit=True,
                prepare_threshold=2 if not task else 5,
                fallback_application_name="plait",
                **self._connecting,  # type: ignore[arg-type]
            )
            try:
                if made.info.encoding == "ascii":  # SQL_ASCII, which is any: the driver would have bytes for texts
                    made.execute("SET client_encoding TO utf8", prepare=False)
                made.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # whatever the database's default is
                settings = Jsonb(_TASK if task else _SETTINGS)
                made.execute(_SET, (settings, settings), prepare=False)
            except BaseException:
                made.close()
                raise
            return made


@contextmanager
def in_words(where: str) -> Iterator[None]:
    """Say what the database says, and what to do about it.

    Raises:
        StoreBusy, StoreError: for the driver's errors.
    """
    try:
        yield
    except (
        psycopg.errors.LockNotAvailable,
        psycopg.errors.DeadlockDetected,
        psycopg.errors.SerializationFailure,
        psycopg.errors.QueryCanceled,
    ) as error:
        raise StoreBusy(f"{where} was busy: {_first(error)}. Somebody may have kept a transaction open.") from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise StoreError(f"{where} has not the tables of Plait where its search path leads: {_first(error)}") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(
            f"{where} refuses: {_first(error)}. Plait needs a role that may create tables once; after that SELECT, "
            "INSERT, UPDATE and DELETE on its tables, and USAGE on its sequences, will do."
        ) from error
    except psycopg.OperationalError as error:
        if error.sqlstate is None or error.sqlstate[:2] in ("08", "57"):
            raise StoreError(f"{where} cannot be reached: {_first(error)}") from error
        raise StoreError(f"{where} says: {_first(error)}") from error
    except psycopg.Error as error:
        raise StoreError(f"{where} says: {_first(error)}") from error


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
