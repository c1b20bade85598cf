"""What `plait run` does: loads a flow, runs it, and says how it went."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import plait
from plait.cli.carrying import Carrying, Errand
from plait.cli.delivery import counted
from plait.cli.flow_delivery import FlowDelivery
from plait.cli.flow_target import load_flow
from plait.cli.inputs import model_of
from plait.cli.outputs import Nowhere, format_of, writer_of
from plait.cli.pacing import limits_of, rates_of
from plait.surface.first import first
from plait.surface.outline import Outline, StageOutline, outline

__all__ = ["Running"]


@dataclass(frozen=True, kw_only=True)
class Running(Carrying):
    """The command's arguments, as given."""

    model: str | None
    retries: int | None
    timeout: float | None
    rate: tuple[str, ...]
    limit: tuple[int, ...]
    on_error: str | None

    def defaults(self) -> dict[str, Any]:
        """Options for every stage that has none of its own."""
        given = {
            "model": model_of(self.model) if self.model is not None else None,
            "retries": self.retries,
            "timeout": self.timeout,
            "rate": rates_of(self.rate, None),
            "limit": limits_of(self.limit, None),
            "on_error": self.on_error,
        }
        return {name: value for name, value in given.items() if value is not None}

    def flow(self) -> plait.Flow[Any]:
        """The flow that is to be run."""
        flow = load_flow(self.target)
        return flow if self.first is None else first(flow, self.first)

    def errand(self) -> Errand:
        """The flow, and where its results go."""
        stdout = self.claimed()
        flow, defaults, journal = self.flow(), self.defaults(), self.journaling.option()
        flow.run(**defaults).cancel()  # what does not go together is said now
        format = "" if self.output is None else format_of(self.output, self.output_format)
        out = Nowhere() if self.output is None else writer_of(self.output, format, stdout)
        delivery = FlowDelivery(out, self.beside, rows=format == "jsonl")
        run = partial(flow.run, journal=journal, progress=False, **defaults)
        return Errand(run=run, delivery=delivery, total=_total(outline(flow)), gathering=delivery.gathering)

    def told(self) -> None:
        """The flow's parts, and what would be done with its results."""
        flow, defaults = self.flow(), self.defaults()
        flow.run(**defaults).cancel()
        told = outline(flow)
        count = "items not counted" if told.total is None else f"about {counted(told.total, 'item')}"
        print(f"flow      {self.target}")
        print(f"source    {told.source}, {count}")
        for words in told.before:
            print(f"          .{words}")
        width = max((len(stage.name) for stage in told.stages), default=0)
        for number, stage in enumerate(told.stages, 1):
            print(f"  stage {number} {stage.name:{width}}  {_options(stage)}")
            for words in stage.after:
                print(f"          {'':{width}}  .{words}")
        print(f"sink      {', '.join(told.sinks) or 'none'}")
        print(f"results   {'counted and let go' if self.output is None else self._output()}")
        print(f"failures  {self.beside or 'told on standard error'}")
        print(f"journal   {self.journaling.path or 'none'}")
        if defaults:
            print("defaults  " + ", ".join(f"{name}={value!r}" for name, value in defaults.items()))

    def _output(self) -> str:
        assert self.output is not None
        format = format_of(self.output, self.output_format)
        return f"{'standard output' if self.output == '-' else self.output}, as {format}"


def _total(told: Outline) -> int | None:
    """How many items the first stage gets, where that is known."""
    return None if told.before else told.total


def _options(stage: StageOutline) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in stage.options.items())
    return f".{stage.how}({given})"
