"""What nobody serves is said: jobs that no worker has the code for, queues that no worker serves, names mistyped."""

import json
import signal

import pytest

import plait
from plait.jobs.records import Draft, WorkerInfo

pytestmark = pytest.mark.timeout(300)  # real processes, on machines that have other things to do


def enqueue(url, task, count=1, queue="default", args=b"\x80", **more):
    with plait.Jobs(url) as jobs:
        jobs.store.enqueue([Draft(task=task, args=args, queue=queue, **more)] * count)


def register(url, tasks, queues=()):
    with plait.Jobs(url) as jobs:
        return jobs.store.register(WorkerInfo(host="far", pid=17, tasks=tasks, queues=queues))


def test_stats_say_which_jobs_wait_for_a_worker_that_is_not_there(shell, store):
    enqueue(store, "ghost", 3)
    enqueue(store, "ghost", delay=60.0)
    enqueue(store, "known")
    enqueue(store, "known", 2, queue="medai")
    assert "No worker is registered" in shell.said("jobs", "stats", store)
    assert "knows" not in shell.said("jobs", "stats", store)
    register(store, ("known",), ("default", "media"))
    said = shell.said("jobs", "stats", store)
    assert "No worker here knows the task 'ghost': 4 jobs in queue 'default' wait for one that does.\n" in said
    assert "No worker serves queue 'medai' and knows 'known': 2 jobs wait for one that does.\n" in said
    counted = json.loads(shell.said("jobs", "stats", store, "--json"))
    assert {(view["queue"], view["task"]): view["served"] for view in counted["queues"]} == {
        ("default", "ghost"): False,
        ("default", "known"): True,
        ("medai", "known"): False,
    }
    register(store, ("ghost", "known"))
    assert "wait for one that does" not in shell.said("jobs", "stats", store)


def test_a_worker_says_once_which_jobs_it_leaves_to_others_that_are_not_there(shell, store, until):
    enqueue(store, "ghost", 3)
    enqueue(store, "ours", 3)
    register(store, ("ours",))
    worker = shell.begin("work", "app:jobs")
    until(lambda: "ghost" in shell.heard(), seconds=120, what="the word")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(120) == 0
    said = [line for line in shell.heard().splitlines() if "ghost" in line]
    assert len(said) == 1
    assert "WARNING No worker here knows the task 'ghost': 3 jobs in queue 'default' wait for one that does." in said[0]
    assert "ours" not in shell.heard()


def test_a_queue_that_nobody_enqueues_in_is_perhaps_mistyped(shell, store):
    enqueue(store, "thumb", queue="thumbs", args=b"\x81\xa4path\xa1a")
    done = shell.run("work", "app:jobs", "--queues", "media,thumbs,medai", "--burst")
    assert done.returncode == 0
    said = [line for line in done.stderr.splitlines() if "medai" in line]
    assert said[1:] == [
        "plait: No task of this code has queue='medai', and no job is there (yet). Did you mean 'media'?"
    ], done.stderr
    assert shell.run("work", "app:jobs", "--queues", "medai", "--burst", "-q").stderr == ""


def test_who_pauses_a_queue_in_which_there_is_nothing_is_told(shell, store):
    enqueue(store, "thumb", queue="media")
    assert "no job" not in shell.said("jobs", "pause", store, "media")
    said = shell.said("jobs", "pause", store, "medai")
    assert "Queue 'medai' is paused" in said
    assert "There is no job in it (yet). Did you mean 'media'?" in said
    assert "Queue 'medai' goes on." in shell.said("jobs", "resume", store, "medai")
    assert "Queue 'meadi' was not paused. Did you mean 'media'?" in shell.said("jobs", "resume", store, "meadi")
    assert "without commas" in shell.refused("jobs", "pause", store, "a,b")


def test_pages_begin_at_ids_that_there_can_be(shell, store):
    enqueue(store, "thumb")
    assert "is not in the range" in shell.refused("jobs", "ls", store, "--before", 2**64)


def test_a_job_is_shown_with_what_it_waits_for(shell, store):
    enqueue(store, "ghost", queue="media")
    assert "no worker is running" in shell.said("jobs", "show", store, 1)
    register(store, ("known",))
    assert "knows its task 'ghost'" in shell.said("jobs", "show", store, 1)
    shell.said("jobs", "pause", store, "media")
    assert "its queue 'media' is paused" in shell.said("jobs", "show", store, 1)


def test_a_queue_has_a_name(shell, store):
    enqueue(store, "thumb")
    assert "a name of 1 to 500 characters" in shell.refused("jobs", "pause", store, "")
