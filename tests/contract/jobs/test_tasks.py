"""What people write: tasks, and the calls of them that they enqueue."""

import asyncio
import functools
import pickle
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

import plait
from plait import ArgumentRefused, ConnectionRefused, Jobs, OptionError, StoreError, UnknownOption
from plait.jobs import JobTask
from plait.jobs.records import Filter
from tests.contract.jobs import desk
from tests.contract.jobs.desk import Picture, fetch, thumbnail


@pytest.fixture
def jobs(tmp_path: Path):
    with Jobs(f"sqlite:///{tmp_path / 'jobs.db'}") as made:
        yield made


def add(a: int, b: int = 2) -> int:
    """A sum."""
    return a + b


# --- a task is its function -----------------------------------------------------------------------------------------


def test_a_task_is_called_and_mapped_as_it_was(jobs):
    task = jobs.task(add)
    assert task(1) == 3
    assert (task.__name__, task.__doc__) == ("add", "A sum.")
    assert list(task.map([1, 2], model="threads")) == [3, 4]
    assert asyncio.run(fetch("a")) == "A"
    assert repr(task).startswith("<task 'add' of the jobs in sqlite:///")


def test_names():
    jobs = Jobs("memory://")
    assert jobs.task(name="sum")(add).name == "sum"
    with pytest.raises(OptionError, match="has a task of that name already"):
        jobs.task(name="sum")(len)
    for nameless in (lambda x: x, functools.partial(add, 1)):
        with pytest.raises(OptionError, match="say name="):
            jobs.task(nameless)
    assert jobs.task(name="one more")(functools.partial(add, 1)).name == "one more"


def test_what_tells_nobody_its_arguments_is_refused_where_it_is_made_a_task():
    with pytest.raises(OptionError, match="what arguments it takes"):
        Jobs("memory://").task(getattr)


def test_a_cell_of_a_notebook_may_be_run_again(tmp_path):
    """A name that is taken is refused in files, where it is a mistake; a cell is run again after each change."""
    cell = "@jobs.task\ndef f(n: int) -> int:\n    return {}"
    script = f"""
import plait
jobs = plait.Jobs("sqlite:///{tmp_path}/jobs.db")
for factor in (2, 3):
    exec({cell!r}.format(f"n * {{factor}}"))
    job = f.enqueue(7)
    with jobs.worker():
        print(job.result(timeout=60))
try:
    jobs.task(name="f")(abs)
except plait.OptionError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    *results, refused = done.stdout.splitlines()
    assert results == ["14", "21"]
    assert "a task of that name already" in refused


@pytest.mark.parametrize(
    "options", [{"queues": "media"}, {"queues": (1,)}, {"concurrency": 0}, {"concurrency": "many"}], ids=repr
)
def test_options_of_a_worker_are_checked(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        Jobs("memory://").worker(**options)


def test_options_are_checked_where_they_are_written():
    jobs = Jobs("memory://")
    with pytest.raises(UnknownOption, match="Did you mean 'retries'"):
        jobs.task(retrys=3)(add)
    for option, value in {"keep": -1, "keep_failed": "1 day", "priority": 1000, "queue": "", "timeout": -1}.items():
        with pytest.raises(OptionError, match=option):
            jobs.task(**{option: value})(add)
    with pytest.raises(OptionError, match="an async function cannot have it"):
        jobs.task(transactional=True)(desk.fetch.__plait_function__)
    assert jobs.tasks == {}


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("delay", -1, "seconds from 0"),
        ("delay", float("nan"), "seconds from 0"),
        ("at", "noon", "a datetime with a time zone"),
        ("priority", 101, "from -100 to 100"),
        ("priority", True, "from -100 to 100"),
        ("unique", "", "up to 500 characters"),
        ("key", 7, "up to 500 characters"),
        ("queue", None, "a name"),
        ("queue", "media,default", "without commas"),  # plait work --queues could not say it
    ],
)
def test_what_with_takes(option, value, words):
    with pytest.raises(OptionError, match=words):
        thumbnail.with_(**{option: value})


def test_with_makes_another_and_leaves_the_first(jobs):
    task = jobs.task(add)
    assert task.with_(delay=60).with_(key="x").enqueue(1).state == "scheduled"
    assert task.enqueue(1).state == "waiting"


def test_static_functions_are_tasks_of_their_class_and_methods_stay_methods(jobs):
    class Studio:
        factor = 3

        @jobs.task
        @staticmethod
        def scale(x: int) -> int:
            return 3 * x

        @plait.task
        def times(self, x: int) -> int:
            return self.factor * x

        @jobs.task
        def method(self, x: int) -> int:
            return self.factor * x

    job = Studio.scale.enqueue(2)
    assert Studio().scale.enqueue(3).task == job.task == "scale"
    assert Studio().method(2) == Studio().times(2) == 6
    jobs.run_pending()
    assert job.result(0) == 6


def test_a_task_travels_by_name():
    assert pickle.loads(pickle.dumps(thumbnail)) is thumbnail


# --- enqueueing -----------------------------------------------------------------------------------------------------


def test_every_way_to_enqueue(jobs):
    task = jobs.task(add)
    handles = [
        task.enqueue(1),
        task.enqueue(a=1, b=3),
        asyncio.run(task.enqueue_async(1, b=4)),
        *task.enqueue_many([(1,), [1, 6], {"a": 1, "b": 7}, task.draft(1, b=8)]),
        *task.enqueue_many((1, n) for n in range(2)),
    ]
    assert len({handle.id for handle in handles}) == len(handles)
    assert jobs.run_pending() == len(handles)
    assert [handle.result(0) for handle in handles] == [3, 4, 5, 3, 7, 8, 9, 1, 2]


def test_many_are_enqueued_all_or_none(jobs):
    task = jobs.task(add)
    for bad, words in [
        ((1, "x"), "Expected `int`, got `str`"),
        (7, r"\(call 3 of 3\): it is 7, and enqueue_many takes tuples"),
        ("ab", "it is 'ab', and enqueue_many takes tuples"),
        (fetch.draft("a"), "enqueue_many takes tuples"),
    ]:
        with pytest.raises(ArgumentRefused, match=words):
            task.enqueue_many([(1,), (2,), bad])
    assert task.enqueue_many([]) == []


def test_what_a_draft_says_of_itself_goes_before_what_is_said_of_all(jobs):
    task = jobs.task(queue="media")(add)
    drafts = [task.draft(1), task.with_(priority=7).draft(2), task.with_(queue="own", key="k").draft(3)]
    shown = [job.show() for job in task.with_(priority=3, queue="all").enqueue_many(drafts)]
    assert [(one.priority, one.queue, one.key) for one in shown] == [
        (3, "all", None),
        (7, "all", None),
        (3, "own", "k"),
    ]


@pytest.mark.parametrize("how", ["group", "then", "chain", "many"])
def test_a_draft_with_a_connection_of_its_own_is_refused(jobs, tmp_path, how):
    """What was stored all the same, but outside of the caller's transaction, would be there after a rollback."""
    task = jobs.task(name="add")(lambda a, b=2: a + b)
    jobs.store  # noqa: B018 - the tables are there from now on
    connection = apsw.Connection(str(tmp_path / "jobs.db"))
    draft = task.with_(connection=connection).draft(1)
    enqueue = {
        "group": lambda: jobs.group([draft]),
        "then": lambda: jobs.group([task.draft(1)], then=draft),
        "chain": lambda: jobs.chain(task.draft(1), draft),
        "many": lambda: task.enqueue_many([draft]),
    }
    with pytest.raises(OptionError, match=r"connection=.*stored together"):
        enqueue[how]()
    assert jobs.store.find(Filter()) == []


def test_a_unique_job_stands_for_the_next(jobs):
    task = jobs.task(add).with_(unique="x")
    first, again = task.enqueue(1), task.enqueue(2)
    assert (first.id, first.fresh, again.fresh) == (again.id, True, False)
    assert first == again
    jobs.run_pending()
    assert task.enqueue(3).fresh


def test_a_dataclass_comes_as_one_and_goes_as_one():
    jobs = Jobs("memory://")

    @jobs.task
    def larger(picture: Picture) -> Picture:
        assert type(picture) is Picture
        return Picture(picture.path, 2 * picture.size)

    job = larger.enqueue(Picture("a.png"))
    jobs.run_pending()
    assert job.result(0) == Picture("a.png", 128)


def test_resources_are_not_arguments():
    job = desk.with_session.enqueue("a")
    desk.jobs.run_pending()
    assert job.result(0) == "got a"
    with pytest.raises(ArgumentRefused, match=r"it takes \(url: str\)"):
        desk.with_session.enqueue()


def test_keys_of_rules_get_the_arguments():
    jobs = Jobs("memory://")
    ran = []

    @jobs.task(limit=plait.Limit(1, key=lambda host, path="/": host))
    def visit(host: str, path: str = "/") -> None:
        ran.append((host, path))

    visit.enqueue("a", path="/x")
    visit.enqueue("b")
    assert jobs.run_pending() == 2
    assert sorted(ran) == [("a", "/x"), ("b", "/")]


# --- the caller's transaction ---------------------------------------------------------------------------------------


def test_a_job_belongs_to_the_callers_transaction(jobs, tmp_path):
    task = jobs.task(add)
    assert task.enqueue(0).id  # the file is there
    connection = apsw.Connection(str(tmp_path / "jobs.db"))
    connection.execute("CREATE TABLE orders (id)")
    connection.execute("BEGIN")
    connection.execute("INSERT INTO orders VALUES (1)")
    lost = task.with_(connection=connection).enqueue(1)
    connection.execute("ROLLBACK")
    with pytest.raises(LookupError):
        _ = lost.state
    with connection:
        connection.execute("INSERT INTO orders VALUES (2)")
        kept = task.with_(connection=connection).enqueue(2)
    assert kept.state == "waiting"
    assert connection.execute("SELECT id FROM orders").fetchall() == [(2,)]
    with pytest.raises(ConnectionRefused, match="has no transaction open"):
        task.with_(connection=connection).enqueue(3)
    connection.close()


# --- where tasks are defined ----------------------------------------------------------------------------------------

MAIN = """
    import plait

    jobs = plait.Jobs("sqlite:///main.db")


    def helper(x):
        return 10 * x


    @jobs.task
    def leaf(x: int) -> int:
        return helper(x)


    @jobs.task(resources={"factor": lambda: 1})
    def parent(x: int, factor: int) -> int:
        return leaf.enqueue(factor * x).id


    @jobs.task
    async def later(x: int) -> int:
        group = jobs.group([leaf.draft(n) for n in range(3)])
        return x + sum([await job.aresult(60) for job in group.jobs])


    def make():
        bound = 5

        @jobs.task
        def inner(x: int) -> int:
            return x + bound

        return inner


    if __name__ == "__main__":
        inner = make()
        with jobs.worker():
            print(leaf.enqueue(1).result(60), later.enqueue(1).result(60), inner.enqueue(1).result(60))
            print(jobs.job(parent.enqueue(2).result(60)).result(60))
"""


@pytest.mark.timeout(300)
def test_tasks_of_the_main_module_and_of_functions_run_in_worker_processes(python, tmp_path):
    done = python(MAIN, cwd=tmp_path, timeout=240)
    assert done.stdout.split() == ["10", "31", "6", "20"], done.stderr


@pytest.mark.timeout(300)
def test_jobs_of_a_module_that_was_run_are_those_of_the_module_that_is_imported(python, tmp_path):
    done = python(MAIN.replace("inner = make()", "leaf.enqueue(7); raise SystemExit"), cwd=tmp_path, timeout=240)
    assert done.returncode == 0, done.stderr
    (tmp_path / "script.py").rename(tmp_path / "app.py")
    code = "from app import jobs\nassert jobs.run_pending() == 1\nprint(jobs.job(1).result(0))"
    done = python(code, cwd=tmp_path, timeout=240)
    assert done.stdout == "70\n", done.stderr


@pytest.mark.timeout(240)
def test_jobs_in_memory_with_a_worker_run_in_this_process():
    with desk.jobs.worker():
        found = desk.jobs.job(desk.hands_on.enqueue("a").result(60))
        assert found.result(60) == "A"
        assert thumbnail.enqueue("a").result(60) == Picture("a")


def test_jobs_in_memory_are_out_of_reach_elsewhere(tmp_path, python):
    handle = tmp_path / "handle"
    handle.write_bytes(pickle.dumps(Jobs("memory://").job(1)))
    code = f"import pickle, pathlib\npickle.loads(pathlib.Path({str(handle)!r}).read_bytes()).state"
    assert "These jobs are in the memory of another process" in python(code, timeout=60).stderr


def test_a_store_that_cannot_be_opened_says_so_at_enqueue(tmp_path):
    (tmp_path / "jobs.db").write_text("This is no database, it is a letter." * 100)
    jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.db'}")
    with pytest.raises(StoreError, match="is not a SQLite database"):
        jobs.task(add).enqueue(1)
    with pytest.raises(OptionError, match="it takes"):
        Jobs("redis://here")


def test_what_jobs_task_gives_is_a_job_task():
    assert isinstance(thumbnail, JobTask)
