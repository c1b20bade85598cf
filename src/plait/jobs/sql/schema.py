"""The tables, and the numbered steps that bring older ones up to date. Steps are only ever added."""

from __future__ import annotations

from plait.jobs.protocol import State

__all__ = [
    "CANCELLED",
    "COPIED",
    "DONE",
    "FAILED",
    "HELD",
    "NAMES",
    "NUMBERS",
    "RUNNING",
    "SCHEDULED",
    "STEPS",
    "VERSION",
    "WAITING",
]

#: What stands for a state in the tables. A held job waits for a gate, out of the way of the others.
SCHEDULED, WAITING, RUNNING, HELD, DONE, FAILED, CANCELLED = range(7)

#: Number -> the state that everybody else sees.
NAMES: dict[int, State] = {
    SCHEDULED: State.SCHEDULED,
    WAITING: State.WAITING,
    RUNNING: State.RUNNING,
    HELD: State.WAITING,
    DONE: State.DONE,
    FAILED: State.FAILED,
    CANCELLED: State.CANCELLED,
}
NUMBERS: dict[State, int] = {state: number for number, state in NAMES.items() if number != HELD}

# {int}, {real}, {blob} and {hot} are each database's own words. Ended jobs leave plait_job: its indexes hold live rows
# only, so a claim costs the same however many have ended.
_FIRST = (
    """CREATE TABLE plait_lane (
        id {int} PRIMARY KEY,
        queue TEXT NOT NULL,
        task TEXT NOT NULL,
        rank {int} NOT NULL,
        alone {int} NOT NULL,
        UNIQUE (task, queue, rank, alone))""",
    """CREATE TABLE plait_job (
        id {int} PRIMARY KEY,
        lane {int} NOT NULL,
        state {int} NOT NULL,
        vt {real} NOT NULL DEFAULT 0,
        token {int} NOT NULL DEFAULT 0,
        attempt {int} NOT NULL DEFAULT 0,
        crashes {int} NOT NULL DEFAULT 0,
        created {real} NOT NULL,
        run_at {real},
        started {real},
        worker {int},
        begun {int},
        cancel {int},
        key TEXT,
        gates TEXT,
        held TEXT,
        uniq TEXT,
        keep_uniq {real},
        grp {int},
        part {int},
        progress {real},
        note TEXT,
        error TEXT,
        more {blob},
        args {blob} NOT NULL){hot}""",
    f"CREATE INDEX plait_ready ON plait_job (lane, vt, id) WHERE state = {WAITING}",
    f"CREATE INDEX plait_due ON plait_job (run_at) WHERE state = {SCHEDULED}",
    f"CREATE INDEX plait_mine ON plait_job (worker) WHERE state = {RUNNING}",
    f"CREATE INDEX plait_unwanted ON plait_job (worker) WHERE state = {RUNNING} AND cancel IS NOT NULL",
    f"CREATE INDEX plait_held ON plait_job (held, lane, vt, id) WHERE state = {HELD}",
    """CREATE TABLE plait_done (
        id {int} PRIMARY KEY,
        lane {int} NOT NULL,
        state {int} NOT NULL,
        attempt {int} NOT NULL,
        crashes {int} NOT NULL,
        token {int} NOT NULL,
        created {real} NOT NULL,
        started {real},
        finished {real} NOT NULL,
        until {real} NOT NULL,
        key TEXT,
        gates TEXT,
        uniq TEXT,
        keep_uniq {real},
        grp {int},
        part {int},
        error TEXT,
        traceback TEXT,
        result {blob},
        more {blob},
        args {blob})""",
    "CREATE INDEX plait_kept ON plait_done (until)",
    "CREATE INDEX plait_parts ON plait_done (grp, part) WHERE grp IS NOT NULL",
    f"CREATE INDEX plait_dead ON plait_done (id) WHERE state = {FAILED}",
    "CREATE TABLE plait_uniq (key TEXT PRIMARY KEY, job {int} NOT NULL, until {real})",
    "CREATE INDEX plait_uniq_kept ON plait_uniq (until) WHERE until IS NOT NULL",
    "CREATE TABLE plait_pace (gate TEXT PRIMARY KEY, earliest {real} NOT NULL)",
    "CREATE TABLE plait_slot (gate TEXT NOT NULL, job {int} NOT NULL, PRIMARY KEY (gate, job))",
    "CREATE INDEX plait_slot_job ON plait_slot (job)",
    "CREATE TABLE plait_fair (lane {int} NOT NULL, key TEXT NOT NULL, vt {real} NOT NULL, PRIMARY KEY (lane, key))",
    "CREATE TABLE plait_grp (id {int} PRIMARY KEY, total {int} NOT NULL, open {int} NOT NULL, then_ {blob})",
    """CREATE TABLE plait_worker (
        id {int} PRIMARY KEY,
        info {blob} NOT NULL,
        started {real} NOT NULL,
        until {real} NOT NULL)""",
    """CREATE TABLE plait_schedule (
        name TEXT PRIMARY KEY,
        task TEXT NOT NULL,
        definition {blob} NOT NULL,
        next_fire {real} NOT NULL,
        last_fire {real},
        last_job {int},
        seen {real} NOT NULL)""",
    "CREATE TABLE plait_paused (queue TEXT PRIMARY KEY)",
    "CREATE TABLE plait_moved (destination TEXT NOT NULL)",
)

# Who moves the queue away, where one that is not whole yet comes from, and what tells a move from others.
_MOVES = (
    "ALTER TABLE plait_moved ADD COLUMN mover {int}",
    "ALTER TABLE plait_moved ADD COLUMN source TEXT",
    "ALTER TABLE plait_moved ADD COLUMN move TEXT",
)

#: Step n brings version n - 1 to version n.
STEPS: tuple[tuple[str, ...], ...] = (_FIRST, _MOVES)
VERSION = len(STEPS)


def _columns(said: str) -> tuple[str, ...]:
    return tuple(said.split())


#: What moves to another store: table, its key, its columns. Workers and their claims do not.
COPIED: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("plait_lane", ("id",), _columns("id queue task rank alone")),
    (
        "plait_job",
        ("id",),
        _columns(
            "id lane state vt token attempt crashes created run_at started key gates held uniq keep_uniq grp part "
            "error more args"
        ),
    ),
    (
        "plait_done",
        ("id",),
        _columns(
            "id lane state attempt crashes token created started finished until key gates uniq keep_uniq grp part "
            "error traceback result more args"
        ),
    ),
    ("plait_uniq", ("key",), _columns("key job until")),
    ("plait_pace", ("gate",), _columns("gate earliest")),
    ("plait_fair", ("lane", "key"), _columns("lane key vt")),
    ("plait_grp", ("id",), _columns("id total open then_")),
    ("plait_schedule", ("name",), _columns("name task definition next_fire last_fire last_job seen")),
    ("plait_paused", ("queue",), _columns("queue")),
)
