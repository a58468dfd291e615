"""An endpoint that cannot be reached is no image's fault."""

import base64
import io
import threading
from collections.abc import Callable, Container
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from maskpilot.agent.mllm.exchange import Reply, Wire
from maskpilot.agent.mllm.failures import EndpointError, Failure, OutOfTime, Trouble
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.crew.control import Control
from maskpilot.errors import SegmenterGone
from maskpilot.labeling.blame import Blame, blame
from maskpilot.labeling.job import Job
from maskpilot.labeling.local import local
from maskpilot.labeling.outage import Outage
from maskpilot.labeling.part import Part
from maskpilot.labeling.pilots import Pilot, mllm, one_shot
from maskpilot.labeling.plan import Ended, Outcome, Plan
from maskpilot.labeling.progress import Standing
from maskpilot.labeling.runner import run_labeling
from maskpilot.labeling.types import LabelClass
from maskpilot.segmenters.base import ImageSession
from maskpilot.testing import Says, Seen
from maskpilot.testing.faults import server_error
from maskpilot.testing.scripted_wire import ScriptedWire, says
from maskpilot.testing.server import Turn
from maskpilot.types import Detections, PromptState, Usage
from tests.agent.mllm.wires import wired
from tests.labeling.runs import CUP, PAID, Model, Told, failures_of, label, labels_of, photos
from tests.shapes import table


def error(trouble: Trouble | None = None, status: int | None = None) -> EndpointError:
    """As the wire raises it."""
    made = EndpointError("no answer", status=status)
    if trouble is not None:
        made.__cause__ = Failure(trouble, "said", status=status)
    return made


@pytest.mark.parametrize(
    ("problem", "whose"),
    [
        (error(Trouble.no_connection), Blame.away),
        (error(Trouble.busy, 429), Blame.away),
        (error(Trouble.server_error, 503), Blame.away),
        (error(), Blame.away),
        (error(Trouble.timed_out), Blame.silent),
        (OutOfTime("too slow", impatient=True), Blame.silent),
        (error(Trouble.server_error, 500), Blame.failing),
        (error(Trouble.final, 401), Blame.closed),
        (error(Trouble.final, 403), Blame.closed),
        (error(Trouble.final, 404), Blame.closed),
        (error(Trouble.final, 429), Blame.closed),  # no credit
        (error(Trouble.final, 400), Blame.image),
        (error(Trouble.broken, 200), Blame.image),
        (ValueError("anything else"), Blame.image),
    ],
)
def test_whose_fault_it_is(problem: Exception, whose: Blame) -> None:
    assert blame(problem) is whose


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self._then = then

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        self.waits.append(seconds)
        self._then()
        return False


def test_waits_grow_up_to_a_minute_and_end_with_the_patience() -> None:
    control, clock, notes = Control(Usage()), Clock(), list[str]()
    outage = Outage(control, 300.0, notes.append, wait=clock.wait, clock=clock)
    while outage.pause(error()):
        assert not control.stopped
    assert clock.waits == [5, 10, 20, 40, 60, 60, 60, 45]
    assert control.stopped
    assert outage.ended_run is not None
    assert [note.split(" (")[0] for note in notes] == ["the model cannot be reached"]


def test_it_is_told_when_it_begins_and_when_it_is_over() -> None:
    clock, notes = Clock(), list[str]()
    outage = Outage(Control(Usage()), 300.0, notes.append, wait=clock.wait, clock=clock)
    for _ in range(3):
        assert outage.pause(error())
    outage.answered()
    outage.answered()
    assert notes == [
        "the model cannot be reached (no answer); waiting for it, 5 min 00 s at most",
        "the model answers again, after 35 s; going on",
    ]
    assert outage.pause(error())
    assert (outage.number, clock.waits[-1]) == (2, 5)


def test_one_thread_tries_and_the_others_wait_for_it() -> None:
    clock = Clock()
    outage = Outage(Control(Usage()), 300.0, lambda note: None, wait=clock.wait, clock=clock)
    assert outage.pause(error())
    went_on: list[bool] = []
    others = [threading.Thread(target=lambda: went_on.append(outage.pause(error()))) for _ in range(3)]
    for other in others:
        other.start()
    while outage.waiting < 3:
        threading.Event().wait(0.001)
    assert outage.pause(error())
    outage.answered()
    for other in others:
        other.join(timeout=30)
    assert went_on == [True] * 3
    assert clock.waits == [5, 10]  # nobody else waited on a clock of its own


def test_another_takes_over_from_one_that_gave_up() -> None:
    clock = Clock()
    outage = Outage(Control(Usage()), 300.0, lambda note: None, wait=clock.wait, clock=clock)
    assert outage.pause(error())
    took: list[bool] = []

    def other() -> None:
        took.extend([outage.pause(error()), outage.pause(error())])

    waiting = threading.Thread(target=other)
    waiting.start()
    outage.leave()
    waiting.join(timeout=30)
    assert took == [True, True]
    assert clock.waits == [5, 10]


def patient(clock: Clock) -> Callable[[Part], None]:
    """The usual engine, waiting on another clock."""

    def engine(part: Part) -> None:
        outage = Outage(part.control, part.plan.patience, part.watch.note, wait=clock.wait, clock=clock)
        local(replace(part, outage=outage))
        part.outage.ended_run = outage.ended_run

    return engine


def test_a_run_waits_for_the_endpoint_and_goes_on_where_it_was(tmp_path: Path) -> None:
    images, calm = photos(tmp_path / "photos", 6), Model()
    model = Model(lambda grey, query, number: fail_while_down(grey, number))
    down, cut_off, together = True, set[int](), threading.Barrier(3)

    def fail_while_down(grey: int, number: int) -> None:
        if down and number == 1:  # in the middle of a session
            if grey not in cut_off:  # an answer to one of them would be the end of the outage
                cut_off.add(grey)
                together.wait(timeout=30)
            raise error(Trouble.no_connection)

    def back() -> None:
        nonlocal down
        down = len(clock.waits) < 4

    clock, told = Clock(back), Told()
    outcome = label(tmp_path / "run", images, model.pilot, workers=3, watch=told, engine=patient(clock))
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.complete, 6, 0)
    assert clock.waits == [5, 10, 20, 40]
    assert [note.split(" (")[0].split(",")[0] for note in told.notes] == [
        "the model cannot be reached",
        "the model answers again",
    ]
    label(tmp_path / "calm", images, calm.pilot)
    assert sorted(model.asked) == sorted(calm.asked)  # no round was paid twice
    assert labels_of(tmp_path / "run") == labels_of(tmp_path / "calm")


def test_a_line_that_is_cut_time_and_again_fails_no_image_that_gets_on(tmp_path: Path) -> None:
    met: set[tuple[int, str, int]] = set()

    def cut(grey: int, query: str, number: int) -> None:
        if (grey, query, number) not in met:
            met.add((grey, query, number))
            raise error(Trouble.no_connection)

    images, model, clock = photos(tmp_path / "photos", 1), Model(cut), Clock()
    outcome = label(tmp_path / "run", images, model.pilot, workers=1, engine=patient(clock))
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.complete, 1, 0)
    assert clock.waits == [5, 5, 5, 5]  # as many outages as rounds
    assert len(model.asked) == len(set(model.asked)) == 4


def test_an_image_at_which_the_line_breaks_each_time_fails_alone(tmp_path: Path) -> None:
    others, answered = threading.Semaphore(0), threading.Semaphore(0)

    def breaks(grey: int, query: str, number: int) -> None:
        if grey == 0:  # while another image is answered
            others.release()
            assert answered.acquire(timeout=30)
            raise error(Trouble.timed_out)
        assert others.acquire(timeout=30)
        answered.release()

    def let_go(standing: Standing) -> None:
        if standing.failed:
            others.release(100)

    images, model, clock = photos(tmp_path / "photos", 8), Model(breaks), Clock()
    run, watch = tmp_path / "run", Told(let_go)
    outcome = label(run, images, model.pilot, workers=2, watch=watch, engine=patient(clock))
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.complete, 7, 1)
    assert failures_of(run) == {"00.png": ("EndpointError", "no answer")}


@pytest.mark.parametrize("workers", [1, 3])
def test_images_about_which_no_reply_ever_comes_fail_where_a_drawing_is_answered(
    tmp_path: Path, workers: int
) -> None:
    def slow(grey: int, query: str, number: int) -> None:
        if grey < 3:
            raise error(Trouble.timed_out)

    def drawing() -> Usage:
        checks.append(clock.now)
        return PAID

    images, clock, checks = photos(tmp_path / "photos", 4), Clock(), list[float]()
    pilot = replace(Model(slow).pilot, check=drawing)
    outcome = label(tmp_path / "run", images, pilot, workers=workers, engine=patient(clock))
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.complete, 1, 3)
    assert set(failures_of(tmp_path / "run").values()) == {("EndpointError", "no answer")}
    assert len(checks) == 3 or workers > 1  # of many, some may see another image answered instead
    assert outcome.summary.usage.calls == len(checks) + 4  # those of the image with an answer


def test_an_endpoint_that_answers_nothing_at_all_is_waited_for_to_the_end(tmp_path: Path) -> None:
    def silent(grey: int, query: str, number: int) -> None:
        raise error(Trouble.timed_out)

    def drawing() -> Usage:
        checks.append(clock.now)
        raise error(Trouble.timed_out)

    images, clock, checks = photos(tmp_path / "photos", 2), Clock(), list[float]()
    pilot = replace(Model(silent).pilot, check=drawing)
    outcome = label(tmp_path / "run", images, pilot, patience=300.0, engine=patient(clock))
    assert (outcome.ended, outcome.failed, clock.now) == (Ended.unreachable, 0, 300)
    assert checks == [15, 135, 300]  # every third time


def test_when_the_patience_ends_the_run_ends_and_goes_on_later(tmp_path: Path) -> None:
    images = photos(tmp_path / "photos", 4)

    def trouble(grey: int, query: str, number: int) -> None:
        if down and grey > 1:
            raise error(Trouble.no_connection)

    down, model = True, Model(trouble)
    told = Told()
    part = label(tmp_path / "run", images, model.pilot, workers=1, patience=0.0, watch=told)
    assert part.ended is Ended.unreachable
    assert (part.done, part.failed) == (1, 0)
    assert told.notes[-1].endswith("the same command goes on")
    down = False
    assert label(tmp_path / "run", images, model.pilot).done == 4
    assert len(model.asked) == len(set(model.asked)) == 16


def test_a_closed_door_ends_the_run_at_once(tmp_path: Path) -> None:
    def trouble(grey: int, query: str, number: int) -> None:
        raise EndpointError("the key is refused; see OPENAI_API_KEY", status=401)

    images = photos(tmp_path / "photos", 4)
    with pytest.raises(EndpointError, match="OPENAI_API_KEY"):
        label(tmp_path / "run", images, Model(trouble).pilot)
    assert failures_of(tmp_path / "run") == {}
    assert label(tmp_path / "run", images, Model().pilot).done == 4


def test_what_was_paid_before_a_closed_door_is_in_the_books(tmp_path: Path) -> None:
    def trouble(grey: int, query: str, number: int) -> None:
        if number == 1:  # the first request of this round was answered, the second one is refused
            raise EndpointError("no credit is left", status=402, usage=Usage(calls=1, cost=0.5))

    images = photos(tmp_path / "photos", 1)
    with pytest.raises(EndpointError, match="no credit"):
        label(tmp_path / "run", images, Model(trouble).pilot, classes=(CUP,))
    whole = label(tmp_path / "run", images, Model().pilot, classes=(CUP,))
    assert whole.ended is Ended.complete
    assert whole.summary.usage.cost == pytest.approx(0.02 + 0.5)


class Dying:
    """The scripted segmenter, until nobody holds the model any more."""

    def __init__(self, prompts: int) -> None:
        self._whole, self.left = table(), prompts
        self.name, self.provenance = self._whole.name, self._whole.provenance

    def open(self, image: Image.Image) -> "DyingSession":
        self.see_that_it_lives()
        return DyingSession(self, self._whole.open(image))

    def close(self) -> None:
        self._whole.close()

    def see_that_it_lives(self) -> None:
        if not self.left:
            raise SegmenterGone("the segmenters' processes died") from OSError("out of memory")


class DyingSession:
    def __init__(self, segmenter: Dying, whole: ImageSession) -> None:
        self._segmenter, self._whole, self.size = segmenter, whole, whole.size

    def segment(self, prompts: PromptState) -> Detections:
        self._segmenter.see_that_it_lives()
        self._segmenter.left -= 1
        return self._whole.segment(prompts)

    def close(self) -> None:
        self._whole.close()


@pytest.mark.parametrize(("prompts", "asked"), [(0, 0), (1, 2)])
def test_a_segmenter_that_is_gone_ends_the_run_and_is_no_image_s_fault(
    tmp_path: Path, prompts: int, asked: int
) -> None:
    images, model = photos(tmp_path / "photos", 3), Model()
    with pytest.raises(SegmenterGone, match="processes died") as raised:
        label(tmp_path / "run", images, model.pilot, segmenter=Dying(prompts), workers=1, classes=(CUP,))
    assert isinstance(raised.value.__cause__, OSError)
    assert failures_of(tmp_path / "run") == {}
    assert len(model.asked) == asked
    whole = label(tmp_path / "run", images, model.pilot, classes=(CUP,))
    assert (whole.ended, whole.done) == (Ended.complete, 3)
    # With the decision whose prompts nobody could answer.
    assert whole.summary.usage.cost == pytest.approx(0.01 * len(model.asked))


def test_an_image_that_an_endpoint_cannot_take_fails_alone(tmp_path: Path) -> None:
    def trouble(grey: int, query: str, number: int) -> None:
        if grey == 2:
            raise error(Trouble.server_error, 500)

    images, clock = photos(tmp_path / "photos", 5), Clock()
    outcome = label(tmp_path / "run", images, Model(trouble).pilot, workers=1, engine=patient(clock))
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.complete, 4, 1)
    assert failures_of(tmp_path / "run") == {"02.png": ("EndpointError", "no answer")}
    assert clock.waits == [5, 10, 5, 10]  # once more at the end, when others had been answered


class Server:
    """What the shipped endpoint answers: 500 to pictures of some greys, and to all while it is `down`.

    Attributes:
        asked: greys of the pictures about which it has answered.
        checks: requests about no picture of the run.
    """

    def __init__(self, poisonous: Container[int] = (), *, down: bool = False, dies_after: int = 999) -> None:
        self.poisonous, self.down, self.dies_after = poisonous, down, dies_after
        self.asked: list[int] = []
        self.checks = 0

    def __call__(self, seen: Seen) -> Turn:
        messages = seen.body["messages"]
        is_down = self.down or len(self.asked) >= self.dies_after
        if len(messages) == 1:
            self.checks += 1
            return server_error() if is_down else Says("ACE34")
        grey = grey_of(messages[1])
        if is_down or grey in self.poisonous:
            return server_error()
        self.asked.append(grey)
        name = "set_text_prompt" if len(messages) == 2 else "finish"
        given = {"text": "cup", "rating": 5} if name == "set_text_prompt" else {"verdict": "complete"}
        return Says(calls=((name, given),))


def grey_of(message: Any) -> int:
    first = next(part for part in message["content"] if part["type"] == "image_url")
    content = base64.b64decode(first["image_url"]["url"].partition(",")[2])
    grey = Image.open(io.BytesIO(content)).convert("RGB").getpixel((0, 0))
    assert isinstance(grey, tuple)
    return int(grey[0])


def piloted_by(wire: Wire) -> Pilot:
    return mllm(wire, MllmSettings(model="m1", base_url="http://localhost:1/v1", verify=False), Memory())


def asked(out: Path, images: Path, server: Server, clock: Clock, **options: Any) -> Outcome:
    """Label with a model at that server, that is asked again on another clock."""
    with wired(server) as (wire, _, _):
        return label(out, images, piloted_by(wire), classes=(CUP,), engine=patient(clock), **options)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_server_that_fails_on_every_image_is_an_outage_and_no_image_s_fault(
    tmp_path: Path, workers: int
) -> None:
    images, server, told = photos(tmp_path / "photos", 9), Server(down=True), Told()
    outcome = asked(tmp_path / "run", images, server, Clock(), workers=workers, patience=200.0, watch=told)
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.unreachable, 0, 0)
    assert failures_of(tmp_path / "run") == {}
    assert "fails with every attempt" in told.notes[0]
    server.down = False
    outcome = asked(tmp_path / "run", images, server, Clock(), workers=workers)
    assert (outcome.ended, outcome.done) == (Ended.complete, 9)


def test_a_server_that_fails_on_each_of_a_few_images_is_given_up_before_the_patience_ends(
    tmp_path: Path,
) -> None:
    images, clock, told = photos(tmp_path / "photos", 2), Clock(), Told()
    outcome = asked(tmp_path / "run", images, Server(down=True), clock, watch=told)
    assert (outcome.ended, outcome.failed) == (Ended.unreachable, 0)
    assert failures_of(tmp_path / "run") == {}
    assert clock.now < 600
    assert told.notes[-2].startswith("the model does not answer about a simple drawing, either (")


@pytest.mark.parametrize("workers", [1, 3])
def test_a_run_that_has_only_images_left_on_which_the_server_fails_settles(
    tmp_path: Path, workers: int
) -> None:
    images, server = photos(tmp_path / "photos", 3), Server({0, 1, 2})
    outcome = asked(tmp_path / "run", images, server, Clock(), workers=workers)
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.complete, 0, 3)
    assert all("something broke" in error for _, error in failures_of(tmp_path / "run").values())
    assert 1 <= server.checks <= 3
    server.checks = 0
    outcome = asked(tmp_path / "run", images, server, Clock(), workers=workers)
    assert (outcome.ended, outcome.failed, server.checks) == (Ended.complete, 3, 0)


def test_a_server_that_dies_before_the_second_turn_makes_no_image_fail(tmp_path: Path) -> None:
    images, server = photos(tmp_path / "photos", 4), Server({0}, dies_after=6)
    outcome = asked(tmp_path / "run", images, server, Clock(), workers=1, patience=1e9)
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.unreachable, 3, 0)
    assert failures_of(tmp_path / "run") == {}
    server.poisonous, server.dies_after = (), 999
    outcome = asked(tmp_path / "run", images, server, Clock(), workers=1)
    assert (outcome.ended, outcome.done) == (Ended.complete, 4)


@pytest.mark.parametrize(("down", "requests"), [(False, 1), (True, 4)])  # the wire itself tries four times
def test_of_many_sessions_that_are_in_doubt_one_asks(down: bool, requests: int) -> None:
    control, server, together = Control(Usage()), Server(down=down), threading.Barrier(8)
    outage = Outage(control, 300.0, lambda note: None)
    with wired(server) as (wire, _, _):
        pilot = piloted_by(wire)

        def doubt() -> None:
            together.wait(timeout=30)
            outage.check(pilot, error(Trouble.server_error, 500), since=0)

        threads = [threading.Thread(target=doubt) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
    assert server.checks == requests
    assert (control.stopped, outage.answers) == ((True, 0) if down else (False, 1))


def test_a_model_that_is_asked_only_where_the_query_is_doubtful_is_asked_whose_fault_it_is(
    tmp_path: Path,
) -> None:
    server = Server({0})
    with wired(server) as (wire, _, _):
        ghost = LabelClass("ghost")  # the query finds none, which is doubtful
        job = Job((ghost,), table(), one_shot(), unsure=piloted_by(wire))
        plan = Plan(photos(tmp_path / "photos", 1), job)
        outcome = run_labeling(plan, tmp_path / "run", engine=patient(Clock()))
    assert (outcome.ended, outcome.failed, server.checks) == (Ended.complete, 1, 1)


def test_a_later_doubt_is_another_one() -> None:
    outage = Outage(Control(Usage()), 300.0, lambda note: None)
    wire = ScriptedWire([says("ACE34"), says("ACE34")])
    for since in (0, 0, 1, 1):
        outage.check(piloted_by(wire), error(Trouble.server_error, 500), since)
    assert wire.is_used_up


def test_a_run_that_was_stopped_asks_nothing() -> None:
    control, wire = Control(Usage()), ScriptedWire([])
    control.stop()
    outage = Outage(control, 300.0, lambda note: None)
    assert outage.check(piloted_by(wire), error(Trouble.server_error, 500), since=0) == Usage()
    assert wire.requests == []


def test_ctrl_c_while_it_is_asked_whose_fault_it_is_is_no_outage() -> None:
    control, notes = Control(Usage()), list[str]()

    def interrupted() -> Usage:
        control.stop()
        raise EndpointError("cut off", usage=Usage(calls=1, cost=0.5))

    outage = Outage(control, 300.0, notes.append)
    pilot = replace(Model().pilot, check=interrupted)
    spent = outage.check(pilot, error(Trouble.server_error, 500), since=0)
    assert (outage.ended_run, notes) == (None, [])
    assert spent.cost == control.usage.cost == 0.5


@pytest.mark.parametrize(
    ("said", "ended", "cost"),
    [
        (says("ACE34", usage=Usage(calls=1, cost=0.25)), Ended.complete, 0.25),
        (EndpointError("no answer", usage=Usage(calls=1, cost=0.125)), Ended.unreachable, 0.125),
    ],
)
def test_what_asking_whose_fault_it_is_costs_is_in_the_books(
    tmp_path: Path, said: Reply | EndpointError, ended: Ended, cost: float
) -> None:
    images, told = photos(tmp_path / "photos", 1), Told()
    wire = ScriptedWire([*(error(Trouble.server_error, 500) for _ in range(6)), said])
    pilot = piloted_by(wire)
    outcome = label(tmp_path / "run", images, pilot, classes=(CUP,), engine=patient(Clock()), watch=told)
    assert wire.is_used_up
    assert (outcome.ended, outcome.summary.usage.cost) == (ended, cost)
    assert told.standings[-1].cost == cost  # what --max-cost counts


@pytest.mark.parametrize("workers", [1, 3])
def test_images_that_met_a_failing_server_are_labeled_when_it_is_well_again(
    tmp_path: Path, workers: int
) -> None:
    images, server = photos(tmp_path / "photos", 6), Server(down=True)

    def well() -> None:
        server.down = clock.now < 100  # by then several images have been tried three times

    clock = Clock(well)
    outcome = asked(tmp_path / "run", images, server, clock, workers=workers)
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.complete, 6, 0)
    assert sorted(server.asked) == sorted([*range(6)] * 2)  # two rounds each, none twice


@pytest.mark.parametrize("workers", [1, 2])
def test_images_on_which_a_server_fails_do_not_keep_the_others_from_being_labeled(
    tmp_path: Path, workers: int
) -> None:
    images = photos(tmp_path / "photos", 8)
    outcome = asked(tmp_path / "run", images, Server({0, 2, 3, 6}), Clock(), workers=workers)
    assert (outcome.ended, outcome.done, outcome.failed) == (Ended.complete, 4, 4)
    assert set(failures_of(tmp_path / "run")) == {"00.png", "02.png", "03.png", "06.png"}


def test_what_failed_requests_cost_is_in_the_books(tmp_path: Path) -> None:
    tries: list[int] = []

    def trouble(grey: int, query: str, number: int) -> None:
        tries.append(grey)
        if len(tries) == 1:
            raise EndpointError("cut off", usage=Usage(calls=1, cost=0.125))

    images, clock = photos(tmp_path / "photos", 1), Clock()
    outcome = label(tmp_path / "run", images, Model(trouble).pilot, engine=patient(clock))
    assert outcome.done == 1
    assert outcome.summary.usage.cost == pytest.approx(0.04 + 0.125)
