"""`plait schedule`: what comes, when, in whose time."""

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import plait


def rows(said):
    """JSON lines by name."""
    return {row["name"]: row for row in map(json.loads, said.splitlines())}


def test_schedules_are_listed_before_and_after_a_worker_has_stored_them(shell):
    said = shell.said("schedule", "ls", "app:jobs")
    assert max(map(len, said.splitlines())) <= 80
    for words in ("nightly", "Europe/Paris", "never", "latest", "skip", "when a worker"):
        assert words in said
    known = rows(shell.said("schedule", "ls", "app:jobs", "--json"))
    assert (known["hourly"]["missed"], known["hourly"]["overlap"]) == ("none", "allow")
    assert [known[name]["stored"] for name in ("hourly", "nightly")] == [False, False]
    assert not (shell.folder / "jobs.db").exists()
    with plait.Jobs(f"sqlite:///{shell.folder}/jobs.db") as jobs:
        double = jobs.task(name="double")(lambda n: n)
        jobs.schedule(3600, double, args=(1,), missed="none", overlap="allow", name="hourly")
        jobs.schedule(60, double, args=(1,), name="gone")
        jobs.run_pending()
    known = rows(shell.said("schedule", "ls", "app:jobs", "--json"))
    assert {name: (row["declared"], row["stored"]) for name, row in known.items()} == {
        "gone": (False, True),
        "hourly": (True, True),
        "nightly": (True, False),
    }
    assert known["hourly"]["next"] % 3600 == 0
    url = f"sqlite:///{shell.folder}/jobs.db"
    assert set(rows(shell.said("schedule", "ls", url, "--json"))) == {"gone", "hourly"}


def test_what_comes_next_is_shown_in_both_zones(shell):
    said = shell.said("schedule", "next", "app:jobs", "--name", "nightly", "-n", 3)
    assert said.count(" 04:00:00 CE") == 3
    here = {":45:00" in line for line in said.splitlines()[1:]}  # Kathmandu is 5:45 ahead of UTC
    assert here == {True}
    (line,) = rows(shell.said("schedule", "next", "app:jobs", "--name", "nightly", "-n", 3, "--json")).values()
    times = [datetime.fromtimestamp(moment, ZoneInfo("Europe/Paris")) for moment in line["times"]]
    assert [moment.hour for moment in times] == [4, 4, 4]
    assert times == sorted(set(times))
    shown = shell.said("schedule", "next", "app:jobs")
    assert shown.count("in ") >= 10


def test_mistakes_are_said(shell):
    assert "Did you mean 'nightly'?" in shell.refused("schedule", "next", "app:jobs", "--name", "nightl")
    assert "no schedules in its code" in shell.refused("schedule", "next", "sqlite:///jobs.db")
    assert "none was given" in shell.refused("schedule", "ls")
    assert shell.said("schedule", "ls", "sqlite:///none.db") == "There are no schedules.\n"
    assert not (shell.folder / "none.db").exists()
