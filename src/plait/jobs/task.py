"""`JobTask`: a function whose calls can be stored and run elsewhere, later, once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, Unpack, overload

from plait.errors import ArgumentRefused, OptionError
from plait.failure import shown
from plait.jobs.calling import in_thread
from plait.jobs.client import Client
from plait.jobs.codec import Signature
from plait.jobs.enqueueing import EnqueueOptions, checked_enqueueing, checked_together, one_by_one
from plait.jobs.handle import Job
from plait.jobs.records import Draft, Placed, Rule
from plait.jobs.spec import TaskSpec
from plait.surface.task import Task

__all__ = ["JobTask", "Prepared", "by_key"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")


def by_key(*args: Any, **kwargs: Any) -> str:
    """`Limit(2, key=plait.jobs.by_key)`: each `key=` that jobs were enqueued with has the limit for itself."""
    raise TypeError("by_key stands for the job's own key=; it is not called.")


class Prepared(Generic[R]):
    """A call that is not enqueued yet: a part of a group, or a link of a chain. Made by `JobTask.draft`."""

    __slots__ = ("args", "kwargs", "task")

    def __init__(self, task: JobTask[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.task, self.args, self.kwargs = task, args, kwargs

    def encoded(self, *, fed: bool = False) -> Draft:
        """As it is stored; with `fed`, its first argument is still to come. Raises what `check_draft` does."""
        self.task.check_draft()
        return self.task.drafted(self.args, self.kwargs, fed=fed)

    def __repr__(self) -> str:
        return f"<draft of {self.task.name}>"


_NOT_SCHEDULED = {
    "connection": "the jobs of a schedule are stored by workers, in transactions of their own",
    "at": "the schedule says when its jobs run; delay= puts each of them off",
}


class _Method(Task[P, R]):
    """A task that is bound to an object, which no worker has."""

    def __getattr__(self, name: str) -> Any:
        if not hasattr(JobTask, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise AttributeError(
            f"{self.__plait_function__.__name__} is a method, of which there can be no jobs: no worker has its object. "
            "Make it a function of its module, or a static method (@jobs.task above @staticmethod)."
        )


class JobTask(Task[P, R]):
    """A task of `Jobs`: called as it always was, enqueued with the same arguments.

    Made by `Jobs.task`.

    Attributes:
        name: what its jobs are stored under. spec: what workers know of it.
    """

    def __init__(
        self,
        function: Callable[P, R],
        engine: Mapping[str, Any],
        *,
        client: Client,
        spec: TaskSpec,
        enqueueing: EnqueueOptions,
        keys: Sequence[Callable[..., Any]] = (),
    ) -> None:
        super().__init__(function, dict(engine))
        self._client, self._enqueueing, self._keys = client, enqueueing, tuple(keys)
        self._root = self
        self.spec = replace(spec, function=self)  # what travels is found by its name, which is the task's now
        self.name = spec.name

    @cached_property
    def signature(self) -> Signature:
        """How its arguments are stored."""
        return self.spec.signature(self.__plait_function__)

    @property
    def queue(self) -> str:
        """Where its jobs go."""
        return self._enqueueing.get("queue", "default")

    def read(self, result: bytes | None) -> Any:
        """What a stored result of the function stands for."""
        return self.signature.result(result)

    # --- enqueueing -------------------------------------------------------------------------------------------------

    @overload
    def enqueue(self: JobTask[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> Job[T]: ...
    @overload
    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    def enqueue(self, *args: Any, **kwargs: Any) -> Any:
        """Store a job that calls the function with these arguments. It has been stored for good when this returns.

        Raises:
            ArgumentRefused: the arguments do not fit the function or its annotations, or cannot be stored.
            StoreError: the store cannot be used.
        """
        return self._place([self.drafted(args, kwargs)])[0]

    @overload
    async def enqueue_async(self: JobTask[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> Job[T]: ...
    @overload
    async def enqueue_async(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    async def enqueue_async(self, *args: Any, **kwargs: Any) -> Any:
        """The same without blocking the event loop."""
        draft = self.drafted(args, kwargs)
        return (await in_thread(self._place, [draft]))[0]

    @overload
    def enqueue_many(
        self: JobTask[P, Coroutine[Any, Any, T]], calls: Iterable[Sequence[Any] | Mapping[str, Any] | Prepared[Any]]
    ) -> list[Job[T]]: ...
    @overload
    def enqueue_many(self, calls: Iterable[Sequence[Any] | Mapping[str, Any] | Prepared[Any]]) -> list[Job[R]]: ...
    def enqueue_many(self, calls: Iterable[Any]) -> Any:
        """Store a job for each of `calls`: all of them, or none.

        Parameters:
            calls: tuples of positional arguments, dicts of named ones, or drafts (`JobTask.draft`), which a type
                checker compares with the function; what a draft's own `with_` says goes before this task's.
        """
        return self._place(self._drafts(calls))

    @overload
    async def enqueue_many_async(
        self: JobTask[P, Coroutine[Any, Any, T]], calls: Iterable[Sequence[Any] | Mapping[str, Any] | Prepared[Any]]
    ) -> list[Job[T]]: ...
    @overload
    async def enqueue_many_async(
        self, calls: Iterable[Sequence[Any] | Mapping[str, Any] | Prepared[Any]]
    ) -> list[Job[R]]: ...
    async def enqueue_many_async(self, calls: Iterable[Any]) -> Any:
        """The same without blocking the event loop while they are stored."""
        return await in_thread(self._place, self._drafts(calls))

    def _drafts(self, calls: Iterable[Any]) -> list[Draft]:
        return one_by_one("call", self._drafted, calls)

    def _drafted(self, call: Any) -> Draft:
        if isinstance(call, tuple | list):
            return self.drafted(call, {})
        if isinstance(call, Mapping):
            return self.drafted((), call)
        if isinstance(call, Prepared) and call.task.name == self.name:
            return self._besides(call.task).drafted(call.args, call.kwargs)
        why = f"it is {shown(call)}, and enqueue_many takes tuples, like [(1,), (2,)], or dicts of arguments."
        raise ArgumentRefused(self.name, why)

    @overload
    def draft(self, *args: P.args, **kwargs: P.kwargs) -> Prepared[R]: ...
    @overload
    def draft(self: JobTask[Concatenate[Any, Q], R], *args: Q.args, **kwargs: Q.kwargs) -> Prepared[R]: ...
    def draft(self, *args: Any, **kwargs: Any) -> Any:
        """A call for `Jobs.group` or `Jobs.chain`, which may lack its first argument: what the one before returns."""
        return Prepared(self, args, kwargs)

    def with_(self, **options: Unpack[EnqueueOptions]) -> JobTask[P, R]:  # type: ignore[override]
        """The same task, enqueued with other options; those not given stay.

        Parameters:
            delay: seconds from now; at: a time (a `datetime` with its zone, or seconds since the epoch). The later
                counts.
            priority: -100 to 100; higher ones come first.
            queue: where workers look for it.
            unique: while a job of this task with the same text is not ended, enqueueing again gives that one's handle;
                unique_for: seconds for which that stays so after it has ended. Parts of groups are stored all the same.
            key: whose job it is: workers take turns among the keys of a task.
            connection: a connection of the store's driver (apsw, psycopg), or SQLAlchemy's over one, with a transaction
                open: the job is part of that.
        """
        return self._copy(checked_enqueueing(options))

    def _copy(self, options: EnqueueOptions) -> JobTask[P, R]:
        made: JobTask[P, R] = JobTask.__new__(JobTask)
        made.__dict__.update(self.__dict__)
        made._enqueueing = {**self._enqueueing, **options}
        return made

    def _besides(self, other: JobTask[..., Any]) -> JobTask[P, R]:
        """This task, enqueued as `other` is wherever a `with_` of that says so."""
        if other is self or other is self._root:
            return self
        other.check_draft()
        was: Any = self._root._enqueueing
        said: Any = {name: value for name, value in other._enqueueing.items() if value != was.get(name)}
        return self._copy(said)

    def check_draft(self) -> None:
        """Refuse a `connection=` of its own for what is stored together with others."""
        if (own := self._enqueueing.get("connection")) is not None:
            wants = "drafts are stored together: give it to group(), chain() or enqueue_many(), not to each of them"
            raise OptionError("connection", own, wants)

    def for_schedule(self) -> JobTask[P, R]:
        """Itself; refused is what its `with_` says that a schedule does."""
        for option, wants in _NOT_SCHEDULED.items():
            if self._enqueueing.get(option) is not None:
                raise OptionError(option, self._enqueueing[option], wants)  # type: ignore[literal-required]
        return self

    def one_at_a_time(self) -> None:
        """Have the jobs of one schedule run one after the other: they pass a gate of the schedule's."""
        spec = self.spec
        if not any(rule.name == f"{self.name}/schedule" for rule in spec.store_rules):
            rule = Rule(f"{self.name}/schedule", cap=1, keyed=len(self._keys))
            object.__setattr__(spec, "store_rules", (*spec.store_rules, rule))

    def drafted(self, args: Sequence[Any], kwargs: Mapping[str, Any], *, fed: bool = False) -> Draft:
        """The call as it is stored."""
        options = checked_together(self._enqueueing)
        data = self.signature.encode(args, dict(kwargs), self.spec.largest, fed=fed)
        if not options and not self._keys:
            return Draft(task=self.name, args=data)
        key = options.get("key")
        at = options.get("at", 0.0)
        return Draft(
            task=self.name,
            args=data,
            queue=options.get("queue", "default"),
            priority=options.get("priority", 0),
            at=at.timestamp() if isinstance(at, datetime) else at,
            delay=options.get("delay", 0.0),
            unique=options.get("unique"),
            keep_unique=options.get("unique_for", 0.0),
            key=key,
            gates=tuple(self._gate(rule, key, args, kwargs) for rule in self._keys),
        )

    def _gate(self, rule: Callable[..., Any], key: str | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        return (key or "") if rule is by_key else str(rule(*args, **kwargs))

    def handle(self, where: Placed) -> Job[R]:
        """The handle of one of its jobs."""
        return Job(self._client, where.id, self.name, self._root.read, fresh=where.fresh)

    def _place(self, drafts: list[Draft]) -> list[Job[R]]:
        if not drafts:
            return []
        placed, _ = self._client.store.enqueue(drafts, connection=self._enqueueing.get("connection"))
        return [self.handle(where) for where in placed]

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """In a class: itself where its function is a static one, else a plain task that is bound to its object."""
        if isinstance(self.__plait_function__, staticmethod):
            return self
        bound = super().__get__(instance, owner)
        if bound is not self:
            bound.__class__ = _Method
        return bound

    def __plait_by_value__(self) -> Any:
        """How it is pickled where nobody would find it by its name: made first, since its function may name it."""
        options = {name: value for name, value in self._enqueueing.items() if name != "connection"}
        rules = self.spec.rules  # resources travel by themselves, if at all: their names are enough here
        rules = replace(rules, seen={}, resources=dict.fromkeys(rules.resources))
        engine = {name: value for name, value in self.__plait_options__.items() if name != "resources"}
        spec = replace(self.spec, function=len, rules=rules)
        return _empty, (), (self.__plait_function__, engine, self._client, spec, options, self._keys)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        function, options, self._client, spec, self._enqueueing, self._keys = state
        self._wrap(function, options)
        self._root, self.name = self, spec.name
        self.spec = replace(spec, function=self)

    def __repr__(self) -> str:
        return f"<task {self.name!r} of the jobs in {self._client!r}>"


def _empty() -> JobTask[..., Any]:
    return JobTask.__new__(JobTask)
