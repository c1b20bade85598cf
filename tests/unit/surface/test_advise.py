"""The pure parts of an advice: candidates, verdicts, the sentence, the line of code, the table."""

import io
import json
import sys
import threading
from dataclasses import replace

import pytest

import plait
from plait.engine.rules import Rules
from plait.fit.choose import Situation
from plait.fit.evidence import Evidence
from plait.fit.reasons import span
from plait.placement import Placement
from plait.surface.advising.advice import Advice
from plait.surface.advising.candidates import beginning, candidates, widths
from plait.surface.advising.sampling import in_words, sampled
from plait.surface.advising.supply import Supply
from plait.surface.advising.verdict import Limits, Row, judged, narrowest
from plait.surface.advising.words import bytes_in_words, code, duration, noise, pace, sentence, why

SERIAL = Placement("here", "serial", width=1)
THREADS = Placement("here", "threads", width=64)
LOOP = Placement("here", "loop", width=256)
PROCESSES = Placement("processes", "serial", 2, 1)
MIXED = Placement("processes", "threads", 2, 16)


def evidence(cpu=1.0, gil=0.95, seconds=0.001) -> Evidence:
    return Evidence(20, seconds, seconds, seconds, cpu, gil)


COMPUTES, RELEASES, WAITS = evidence(), evidence(gil=0.01), evidence(cpu=0.01, gil=0.01, seconds=0.1)


def rows(serial=None, threads=None, processes=None, mixed=None) -> list[Row]:
    paces = ((SERIAL, serial), (THREADS, threads), (PROCESSES, processes), (MIXED, mixed))
    return [Row(at.model, at, None, rate, verdict="" if rate is not None else "not tried: why") for at, rate in paces]


class TestVerdicts:
    def test_best_as_good_slower_and_not_tried(self):
        told, chosen = judged(rows(100, 200, 210))
        assert [row.verdict for row in told] == ["slower 2.1x", "as good", "best", "not tried: why"]
        assert chosen.model == "threads", "the simplest within 10 % of the best"

    def test_of_equals_the_simplest_is_best(self):
        told, chosen = judged(rows(100, 100, 100, 100))
        assert [row.verdict for row in told] == ["best", "as good", "as good", "as good"]
        assert chosen.model == "serial"

    def test_what_the_gil_forbids_is_noise(self):
        told, chosen = judged(rows(100, 130, 50, 80), Limits(COMPUTES, 2))
        assert chosen.model == "serial"
        assert told[1].verdict == "as good"
        assert told[1].measured == 130, "the figure stays what it was"
        assert judged(rows(100, 90, 180, 250), Limits(COMPUTES, 2))[1].model == "processes"
        assert judged(rows(100, 130), Limits(RELEASES, 2))[1].model == "threads"

    def test_nothing_succeeded(self):
        told, chosen = judged(rows(0, 0, 0))
        assert chosen is None
        assert [row.verdict for row in told[:3]] == ["every item failed"] * 3
        assert judged(rows()) == (tuple(rows()), None)
        assert judged(rows(10, 0))[0][1].verdict == "every item failed"

    def test_no_more_is_believed_than_the_cores_can_do(self):
        measured = rows(81, None, 465)
        told, chosen = judged(measured, Limits(COMPUTES, 2))
        assert chosen.model == "processes"
        assert told[0].verdict == "slower 2.0x", "not 5.8x"
        assert told[2].measured == 465
        assert Limits(COMPUTES, 2).exceeded(measured) == ["processes"]
        assert Limits(COMPUTES, 2).exceeded(rows(81, None, 165)) == []
        assert Limits(WAITS, 2).exceeded(rows(10, 640)) == [], "what waits gains more"
        assert judged(rows(10, 640), Limits(WAITS, 2))[0][0].verdict == "slower 64.0x"

    def test_what_is_far_from_what_was_predicted_of_items_that_compute_is_noise(self):
        tiny = [Row("serial", SERIAL, 5e6, 350_000.0), Row("processes", PROCESSES, 1e6, 850_000.0)]
        assert judged(tiny, Limits(evidence(seconds=2e-7), 2))[1].model == "serial"
        assert Limits(evidence(seconds=2e-7), 2).exceeded(tiny) == ["processes"]

    def test_a_few_items_are_no_verdict(self):
        brief = [replace(row, brief=row.model == "threads") for row in rows(100, 5, 180)]
        told, chosen = judged(brief)
        assert [row.verdict for row in told[:3]] == ["slower 1.8x", "too few items to tell", "best"]
        assert chosen.model == "processes"

    def test_large_ratios_are_round(self):
        assert judged(rows(1, 1234))[0][0].verdict == "slower 1,234x"

    def test_the_narrowest_of_the_good_widths(self):
        assert narrowest([10, 40, 95, 100]) == 2
        assert narrowest([10, 40, 100, 60]) == 2
        assert narrowest([5]) == 0


class TestSentence:
    @pytest.mark.parametrize(
        ("row", "loop", "total", "measured", "words"),
        [
            (
                Row("processes", PROCESSES, None, 555.0),
                280.0,
                100_000,
                COMPUTES,
                (
                    "Use processes: 2 workers finish 100,000 items in about 3 min instead of 6, "
                    "since the function computes in Python."
                ),
            ),
            (
                Row("threads", THREADS, None, 640.0),
                10.0,
                100_000,
                WAITS,
                (
                    "Use threads: 64 threads finish 100,000 items in about 2.6 min instead of 2.8 h, "
                    "since the function mostly waits."
                ),
            ),
            (
                Row("threads", Placement("here", "threads", width=2), None, 1950.0),
                1000.0,
                None,
                RELEASES,
                (
                    "Use threads: 2 threads do 1,950 items a second instead of 1,000, "
                    "since the function computes in compiled code, which lets other threads run."
                ),
            ),
            (
                Row("processes+threads", MIXED, None, 300.0),
                None,
                3000,
                None,
                "Use processes+threads: 2 workers with 16 threads each finish 3,000 items in about 10 s.",
            ),
            (
                Row("serial", SERIAL, None, 1000.0),
                1000.0,
                3000,
                COMPUTES,
                (
                    "Use serial: a plain loop finishes 3,000 items in about 3 s, "
                    "and nothing that was tried is more than 10 % faster."
                ),
            ),
            (
                Row("serial", SERIAL, None, 5e6),
                5e6,
                None,
                evidence(seconds=2e-7),
                (
                    "Use serial: a plain loop does 5,000,000 items a second, "
                    "and an item takes only 0.2 us: handing it out costs as much."
                ),
            ),
            (
                Row("processes", Placement("processes", "serial", 1, 1), None, 100.0),
                99.0,
                200,
                COMPUTES,
                "Use processes: 1 worker finishes 200 items in about 2 s, since the function computes in Python.",
            ),
        ],
    )
    def test_it_says_what_how_much_and_why(self, row, loop, total, measured, words):
        assert sentence(row, loop, total, measured, is_async=False) == words

    def test_of_an_async_function(self):
        row = Row("async", LOOP, None, 20_000.0, cpu=0.2)
        assert sentence(row, 100.0, None, None, is_async=True) == (
            "Use async: 256 coroutines on one event loop do 20,000 items a second instead of 100, "
            "since the function is async and mostly waits."
        )

    def test_why_between_waiting_and_computing(self):
        assert why(evidence(cpu=0.5)) == "the function waits and computes in turn"

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0.2, "under a second"),
            (2.34, "about 2.3 s"),
            (2.0, "about 2 s"),
            (99, "about 99 s"),
            (150, "about 2.5 min"),
            (2700, "about 45 min"),
            (7200, "about 2 h"),
            (86400 * 5, "about 5 days"),
            (1e13, "about 115,740,741 days"),
        ],
    )
    def test_durations_as_people_say_them(self, seconds, words):
        assert duration(seconds) == words

    def test_figures_with_no_more_digits_than_they_are_worth(self):
        assert pace(1553.3) == "1,550 items a second"
        assert pace(98.4) == "98 items a second"
        assert pace(0.5) == "30 items a minute"
        assert pace(0.005) == "18 items an hour"
        assert [span(s) for s in (2.0, 0.0012, 7.8e-4, 1.7e-7)] == ["2 s", "1.2 ms", "780 us", "0.17 us"]
        assert [bytes_in_words(n) for n in (0, 5000, 64 << 20, 3 << 30)] == ["0", "4 KiB", "64 MiB", "3.0 GiB"]

    def test_what_was_too_brief_is_promised_as_predicted(self):
        row = Row("threads", THREADS, 20_000.0, 950.0, brief=True)
        assert sentence(row, 480.0, None, WAITS, is_async=False, reason="that is predicted") == (
            "Use threads: 64 threads do 20,000 items a second instead of 480, since that is predicted."
        )

    def test_figures_that_are_too_good(self):
        assert noise(["threads"], 2).startswith("The figure of threads is more than 2 cores can do")
        assert noise(["serial", "threads", "async"], 1).startswith(
            "The figures of serial, threads and async are more than 1 core"
        )

    def test_an_error_in_words_leaves_its_full_stop_to_the_sentence(self):
        assert in_words(ValueError("no sevens.")) == "ValueError: no sevens"


class TestCode:
    @pytest.mark.parametrize(
        ("placement", "line"),
        [
            (SERIAL, 'plait.map(parse, items, model="serial")'),
            (THREADS, 'plait.map(parse, items, model="threads", width=64)'),
            (PROCESSES, 'plait.map(parse, items, model="processes")'),
            (Placement("processes", "serial", 3, 1), 'plait.map(parse, items, model="processes", workers=3)'),
            (MIXED, 'plait.map(parse, items, model="processes+threads", width=16)'),
        ],
    )
    def test_it_is_as_short_as_can_be(self, placement, line):
        assert code("parse", placement, 2, {}) == line

    def test_the_options_that_were_given_are_kept(self):
        options = {
            "model": ("threads",),
            "width": 99,
            "timeout": 5.0,
            "on_crash": "fail",
            "resources": {},
            "memory": None,
        }
        assert code("parse", THREADS, 2, options) == (
            "plait.map(parse, items, model=\"threads\", width=64, timeout=5, on_crash='fail', resources=resources)"
        )

    def test_a_lambda_has_no_name(self):
        assert code("<lambda>", SERIAL, 2, {}) == 'plait.map(fn, items, model="serial")'

    @pytest.mark.parametrize("placement", [SERIAL, THREADS, PROCESSES, MIXED, LOOP])
    def test_it_means_that_placement(self, placement):
        seen = {}
        scope = {"plait": type("Stub", (), {"map": lambda *_, **options: seen.update(options)}), "parse": 1, "items": 1}
        eval(code("parse", placement, 2, {}), scope)
        made = plait.placement.placement_for(seen["model"]).with_bounds(2, seen.get("width"))
        assert (made.place, made.style, made.width) == (placement.place, placement.style, placement.width)


class TestCandidates:
    def models(self, measured=COMPUTES, **situation):
        found = candidates(measured, Situation(cores=2, **situation))
        return {one.model: one.barred for one in found}

    def test_a_sync_function_has_four(self):
        assert self.models() == dict.fromkeys(["serial", "threads", "processes", "processes+threads"])

    def test_an_async_function_has_two_and_no_prediction(self):
        found = candidates(None, Situation(cores=2, is_async=True))
        assert [(one.model, one.predicted) for one in found] == [("async", None), ("processes+async", None)]

    def test_a_pinned_function_stays(self):
        barred = self.models(pinned="it writes the global 'n'")
        assert "writes the global" in barred["processes"]
        assert "writes the global" in barred["processes+threads"]
        assert barred["threads"] is None

    @pytest.mark.parametrize(
        ("situation", "left"),
        [
            ({"travel": "it holds a lock"}, ["serial", "threads"]),
            ({"alone": "it writes a global"}, ["serial", "processes"]),
            ({"wants_kill": True}, ["processes", "processes+threads"]),
            ({"isolate": True}, ["processes", "processes+threads"]),
            ({"inside_worker": True}, ["serial"]),
            ({"allowed": ("processes", "serial")}, ["serial", "processes"]),
            ({"allowed": ("processes",), "pinned": "it writes a global"}, ["processes"]),
        ],
    )
    def test_what_is_left(self, situation, left):
        assert [model for model, reason in self.models(**situation).items() if reason is None] == left

    def test_predictions_leave_the_start_out(self):
        found = {one.model: one.predicted for one in candidates(COMPUTES, Situation(cores=2, remaining=10))}
        assert found["serial"] == pytest.approx(1000)
        assert found["processes"] == pytest.approx(2000, rel=0.05)

    @pytest.mark.parametrize(
        ("placement", "bound", "slow", "expected"),
        [
            (THREADS, None, False, [2, 8, 32, 128, 512]),
            (THREADS, 20, False, [2, 8, 20]),
            (THREADS, 1, False, [1]),
            (THREADS, None, True, [64, 256, 512]),
            (MIXED, None, False, [4, 16, 64, 256, 512]),
            (LOOP, None, False, [1, 4, 16, 64, 256, 1024, 4096]),
        ],
    )
    def test_widths_grow_up_to_the_bound(self, placement, bound, slow, expected):
        assert widths(placement, 2, bound, slow) == expected

    def test_a_rule_that_would_leave_nothing_gives_way_as_it_does_in_choose(self):
        left = self.models(wants_kill=True, pinned="it writes a global")
        assert [model for model, reason in left.items() if reason is None] == ["serial", "threads"]

    def test_a_function_that_is_not_async_is_not_tried_on_a_loop(self):
        assert self.models(allowed=("async",)) == {"async": "the function is not async: make it `async def`"}
        assert self.models(None, allowed=("async",)) == {"async": None}, "nobody has looked yet"

    def test_no_promise_is_faster_than_the_source(self):
        slow = replace(evidence(seconds=2e-6), source=0.5)
        assert [one.predicted for one in candidates(slow, Situation(cores=2))] == [pytest.approx(2.0, rel=0.01)] * 4


class TestSupply:
    def test_an_iterator_of_a_list_or_range_knows_how_many_are_left(self):
        assert [Supply(iter(items)).left for items in (range(500), [1, 2], (3,))] == [500, 2, 1]
        assert Supply(n for n in range(3)).left is None
        assert Supply(iter(range(500)), 20).left == 20

    def test_each_item_once_whoever_takes_it(self):
        with Supply(iter(range(10))) as supply:
            assert supply.take() == 0
            supply.put_back(0)
            assert list(supply.part(lambda: True, 3)) == [0, 1, 2]
            assert list(supply.part(lambda: True, None, block=4)) == [3, 4, 5, 6, 7, 8, 9]
            assert (supply.handed, supply.ended, supply.left) == (10, True, 0)
            with pytest.raises(StopIteration):
                supply.take()

    def test_no_more_than_the_sample(self):
        source = iter(range(10))
        with Supply(source, 4) as supply:
            assert supply.left == 4
            assert list(supply.part(lambda: True, None, block=3)) == [0, 1, 2, 3]
        assert list(source) == [4, 5, 6, 7, 8, 9], "the rest stays in the iterator"

    def test_when_the_time_is_over_nothing_is_lost(self):
        with Supply(range(10)) as supply:
            answers = iter([True, True, False])
            assert list(supply.part(lambda: next(answers), None)) == [0, 1]
            assert supply.take() == 2
            assert supply.left == 7

    def test_a_source_that_raises(self):
        def broken():
            yield 1
            raise OSError("gone")

        with Supply(broken()) as supply:
            assert supply.take() == 1
            with pytest.raises(OSError, match="gone"):
                supply.take()
            assert isinstance(supply.error, OSError)
            assert supply.ended

    def test_an_async_source(self, nothing_left):
        async def numbers():
            for n in range(5):
                yield n

        before = threading.active_count()
        with Supply(numbers()) as supply:
            assert supply.take() == 0
            assert list(supply.part(lambda: True, None)) == [1, 2, 3, 4]
        assert threading.active_count() == before


class TestSampling:
    def test_a_slow_source_is_measured(self):
        def slowly():
            for n in range(3):
                threading.Event().wait(0.02)
                yield n

        with Supply(slowly()) as supply:
            assert 0.015 < sampled(abs, supply, Rules("abs"), is_async=False).evidence.source < 0.2
        with Supply([1, 2, 3]) as supply:
            assert sampled(abs, supply, Rules("abs"), is_async=False).evidence.source == 0

    def test_a_generator_runs_nothing(self):
        def yields(n):
            yield n

        async def yields_later(n):
            yield n

        for function, word in (
            (yields, "generator"),
            (lambda n: yields(n), "generator"),
            (yields_later, "async generator"),
        ):
            with Supply([1, 2, 3]) as supply:
                assert sampled(function, supply, Rules("yields"), is_async=False).lazy == word


@pytest.fixture
def advice() -> Advice:
    told, chosen = judged([Row("serial", SERIAL, 1000, 990.0, 1.0), *rows(None, 980, 1900)[1:]])
    return Advice(
        "parse",
        COMPUTES,
        told,
        chosen.placement,
        "Use processes: <fast>.",
        'plait.map(parse, items, model="processes")',
        (("threads", 2, 980.0),),
        "1 ms an item.",
        ("12 items were run.",),
        12,
    )


class TestShowing:
    def test_as_plain_text(self, advice):
        assert str(advice) == (
            "parse: 1 ms an item.\n\n"
            "    model              workers  width  predicted  measured  CPU  memory  verdict\n"
            "    serial                   -      1    1,000/s     990/s  1.0       -  slower 1.9x\n"
            "    threads                  -     64          -     980/s    -       -  slower 1.9x\n"
            "->  processes                2      1          -   1,900/s    -       -  best\n"
            "    processes+threads        2      -          -         -    -       -  not tried: why\n\n"
            "Use processes: <fast>.\n12 items were run.\n\n"
            '    plait.map(parse, items, model="processes")'
        )
        assert repr(advice).startswith("<Advice for parse: Placement(place='processes'")

    def test_as_json(self, advice):
        told = json.loads(json.dumps(advice.to_dict()))
        assert (told["model"], told["items"]) == ("processes", 12)
        assert [row["model"] for row in told["rows"] if row["chosen"]] == ["processes"]
        assert told["widths"] == [{"model": "threads", "width": 2, "items_per_second": 980.0}]
        assert told["evidence"]["cpu_share"] == 1.0

    def test_without_a_choice_there_is_no_arrow_and_no_line(self, advice):
        nothing = replace(advice, chosen=False, code="")
        assert "->" not in str(nothing)
        assert "plait.map" not in str(nothing) + nothing._repr_html_()
        told = nothing.to_dict()
        assert (told["model"], told["placement"]) == (None, None)
        assert not any(row["chosen"] for row in told["rows"])

    def test_as_html(self, advice):
        html = advice._repr_html_()
        assert html.count("<tr>") == 5
        assert "&lt;fast&gt;" in html
        assert "<fast>" not in html

    def test_by_rich(self, advice):
        from rich.console import Console

        console = Console(width=120, record=True, file=io.StringIO())
        console.print(advice)
        text = console.export_text()
        assert "->  processes" in text
        assert "Use processes: <fast>." in text


class TestPlot:
    def test_a_suffix_that_is_none(self, advice, tmp_path):
        with pytest.raises(plait.OptionError, match=r"has to end in \.svg or \.png"):
            advice.plot(tmp_path / "plot.pdf")

    def test_without_the_library(self, advice, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(plait.MissingExtra, match=r"Plotting needs matplotlib.*pip install 'plait\[plot\]'"):
            advice.plot(tmp_path / "plot.svg")

    @pytest.mark.parametrize(("kind", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
    def test_with_it(self, advice, tmp_path, kind, begins):
        pytest.importorskip("matplotlib")
        advice.plot(tmp_path / f"plot.{kind}")
        assert (tmp_path / f"plot.{kind}").read_bytes().startswith(begins)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"seconds": 0}, plait.OptionError, "it takes seconds above 0"),
        ({"seconds": float("inf")}, plait.OptionError, "it takes seconds above 0"),
        ({"sample": 0}, plait.OptionError, "it takes a whole number from 1"),
        ({"modle": "threads"}, plait.UnknownOption, "Did you mean 'model'"),
        ({"model": "treads"}, plait.UnknownOption, "Did you mean 'threads'"),
        ({"width": 0}, plait.OptionError, "width=0"),
    ],
)
def test_bad_options_fail_at_the_call(options, error, words):
    with pytest.raises(error, match=words):
        plait.advise(len, ["a"], **options)


@pytest.mark.parametrize(("arguments", "words"), [((3, []), "a function first"), ((len, 3), "an iterable of items")])
def test_bad_arguments_too(arguments, words):
    with pytest.raises(TypeError, match=words):
        plait.advise(*arguments)


@pytest.mark.parametrize(
    ("left", "waiting", "expected"),
    [
        (None, 3, (32, 128)),  # as many as nobody will miss
        (10_000, 2, (32, 2500)),  # half of its share, for a first look
        (10_000, 1, (32, 10_000)),
        (90, 3, (8, 16)),  # so few that a narrower one is tried
        (4, 2, (2, 4)),
        (1, 1, (0, 0)),
    ],
)
def test_a_first_try_begins_at_the_wide_end_with_its_share_of_the_items(left, waiting, expected):
    assert beginning(THREADS, widths(THREADS, 2, None, False), left, waiting) == expected
