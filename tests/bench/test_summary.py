"""What the report makes of what was measured, with figures that can be checked by hand."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench.machine import Machine
from bench.measure import Measured, Quantiles
from bench.report import Results, write
from bench.scenarios import Goal, Scenario
from bench.summary import Spread, memory, rows
from bench.tokens import Ask

BURST = Scenario("burst", 10, 5, Ask(100), goal=Goal(cpu=20.0, ttft_ms=4.0))
REQUEST = Scenario("request", 10, 5, Ask(1), per="request")
HERE = Machine("a CPU", 2, "0", "1", "6.0", "3.11", "grpcio 1", "abc1234", 0.1)


def measured(contender: str, scenario: Scenario = BURST, round_: int = 1, probe_us: float = 12.0) -> Measured:
    """Return a load of 10 streams: 20 ms of CPU in the server, 10 ms in the facade, at half speed."""
    ours = {"server": 0.02, "facade": 0.01} if contender == "howler" else {}
    return Measured(
        contender=contender,
        scenario=scenario,
        round=round_,
        seconds=2.0,
        ok=10,
        errors={},
        said=[],
        events=10 * scenario.ask.tokens,
        expected=10 * scenario.ask.tokens,
        reads=10,
        bytes=1000,
        most_at_once=5,
        cpu=ours or ({} if contender == "direct" else {contender: 0.06}),
        load_share=0.5,
        probe_us=probe_us,
        foreign=0.0,
        stolen=0.0,
        ttft=Quantiles(1.0, 2.0, 3.0) if contender == "direct" else Quantiles(4.5, 9.0, 10.0),
        delay=None,
        pss_kib={},
    )


def test_cpu_is_per_event_or_request_and_normalised_by_the_probe() -> None:
    load = measured("howler")
    assert round(load.raw() or 0, 6) == 30.0
    assert round(load.norm() or 0, 6) == 15.0
    assert round(load.norm("facade") or 0, 6) == 5.0
    assert round(measured("howler", REQUEST).raw() or 0, 6) == 3.0
    assert replace(load, events=0).raw() is None


def test_a_row_adds_to_the_floor_and_compares_with_howler() -> None:
    loads = [measured(name) for name in ("direct", "howler", "peer")]
    floor, ours, peer = rows(loads, ["direct", "howler", "peer"])
    assert (floor.norm, floor.ttft_added[0]) == (None, None)
    assert ours.ttft_added == (Spread(3.5, 3.5, 3.5), Spread(7.0, 7.0, 7.0))
    assert peer.times_ours is not None
    assert round(peer.times_ours.middle, 6) == 2.0
    assert [(goal[0], goal[3]) for goal in ours.goals] == [("CPU, µs/event", True), ("TTFT added, ms", True)]


def test_a_failed_stream_meets_no_goal() -> None:
    (row,) = rows([replace(measured("howler"), ok=9, errors={"missing": 1})], ["howler"])
    assert row.failed == 1
    assert not any(met for *_, met in row.goals)


def test_the_middle_of_the_rounds_counts() -> None:
    loads = [
        measured("howler", round_=number, probe_us=probe) for number, probe in ((1, 6), (2, 12), (3, 18))
    ]
    (row,) = rows(loads, ["howler"])
    assert row.norm is not None
    assert [round(value, 6) for value in (row.norm.middle, row.norm.least, row.norm.most)] == [
        15.0,
        10.0,
        30.0,
    ]


def test_requests_are_taken_off_an_event() -> None:
    burst, request = rows([measured("howler"), measured("howler", REQUEST)], ["howler"])
    assert round(burst.beside_requests(request) or 0, 6) == 0.0, "15 µs less 1.5 ms over 100 tokens"
    assert request.beside_requests(request) is None


def test_memory_is_divided_by_the_streams_that_were_open() -> None:
    few = replace(measured("howler"), most_at_once=10, pss_kib={"server": 1000, "facade": 500})
    many = replace(measured("howler"), most_at_once=110, pss_kib={"server": 5000, "facade": 1500})
    (slope,) = memory([few, many])
    assert (slope.slope(), slope.slope("server")) == (50.0, 40.0)


def test_the_page_names_what_failed_and_which_goal_was_missed(tmp_path: Path) -> None:
    bad = replace(measured("howler", probe_us=6.0), ok=8, errors={"order": 2})
    loads = [measured("direct"), bad]
    results = Results(
        datetime(2026, 11, 22, tzinfo=UTC), "full", HERE, ["direct", "howler"], loads, [], [], [], []
    )
    page = write(results, tmp_path).read_text()
    assert "**2 of 20 streams FAILED.**" in page
    assert "- howler, burst, round 1: 2 order" in page
    assert "| burst | CPU, µs/event | 30.0 | ≤ 20.0 | **no** |" in page
    assert "commit abc1234" in page
