"""The loop: observe, decide, apply, segment, record, until the policy is satisfied or a limit is reached.

It knows no torch and no openai. What a policy does wrong comes back to it as a note; whatever ends a session,
the caller gets the state that the policy itself rated best.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from maskpilot.agent.policy import Observation, Policy
from maskpilot.agent.turn import Turn, canonical, take_turn
from maskpilot.errors import BudgetReached, MaskpilotError, PolicyError, SessionFailed
from maskpilot.segmenters.base import ImageSession
from maskpilot.segmenters.interrupts import interrupts_held
from maskpilot.tools import Roster, SessionState, refresh
from maskpilot.trajectory import Ending, Recorder, Setup, Step, Trajectory, best_step, changes
from maskpilot.types import Budget, Decision, Stop, Usage, Verdict

__all__ = ["run_session"]

MAX_ERRORS_IN_A_ROW = 3
MAX_REPEATS = 3


def run_session(
    setup: Setup,
    image: Image.Image,
    session: ImageSession,
    policy: Policy,
    *,
    recorder: Recorder | None = None,
    spent: Usage | None = None,
    repeats: Sequence[Step] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Trajectory:
    """Let a policy pilot a segmenter on one image until it finishes or a limit ends it.

    Args:
        setup: the query, the tools on offer and the limits; recorded as it is.
        image: RGB, upright; the one that `session` was opened on.
        session: the segmenter's session on the image; it is left open.
        policy: decides; it serves this session alone.
        recorder: gets every step before the next one starts.
        spent: what the session has cost before in decisions that are in none of its rounds; it counts.
        repeats: rounds of an earlier part of the session, which the policy begins with: each counts with the
            seconds that it took then.
        clock: seconds; for tests.

    Raises:
        SessionFailed: the segmenter, the policy or the recorder failed; it carries the trajectory up to
            there, best result included. Nothing that a model says raises it.
    """
    run = _Run(setup, image, clock, spent or Usage(), repeats)
    try:
        if recorder:
            recorder.start(setup)
        run.heed_limits()  # what was spent before may be all there is
        while run.ending is None:
            began = clock()
            decision = policy.decide(run.observation())
            run.paid(decision.usage)
            turn = take_turn(run.state, decision, setup.tools)
            # Without a name for the detections: two hundred full-size masks would stay until the next ones.
            run.state, run.roster = refresh(turn.state, session.segment(turn.state.prompts), run.roster)
            step = run.advance(decision, turn, run.took(clock() - began))
            with interrupts_held():  # what is on disk counts, here as there
                if recorder:
                    recorder.step(step)
                run.recorded, run.unrecorded = run.recorded + 1, Usage()
    except BudgetReached as reached:
        run.paid(reached.usage)
        run.ending = run.cut_short(reached.stop)
    except KeyboardInterrupt:
        run.steps = run.steps[: run.recorded]  # it may have come before the last one was on disk
        run.ending = run.cut_short(Stop.interrupted)
    except Exception as error:
        if isinstance(error, PolicyError):
            run.paid(error.usage)
        run.ending = run.cut_short(Stop.failed, error=_said(error))
        if recorder:
            _try_to_end(recorder, run.ending)
        raise SessionFailed(_said(error), run.trajectory(), unrecorded=run.unrecorded) from error
    if recorder:
        try:
            recorder.end(run.ending)
        except MaskpilotError as error:
            raise SessionFailed(_said(error), run.trajectory()) from error
    return run.trajectory()


@dataclass
class _Run:
    """A session while it runs: the one place where its state changes."""

    setup: Setup
    image: Image.Image
    clock: Callable[[], float]
    spent: Usage
    repeats: Sequence[Step]
    state: SessionState = field(init=False)
    roster: Roster = field(init=False)
    steps: tuple[Step, ...] = ()
    recorded: int = 0
    usage: Usage = field(init=False)
    unrecorded: Usage = field(default_factory=Usage)
    ending: Ending | None = None
    errors_in_a_row: int = 0
    seen: Counter[tuple[object, ...]] = field(default_factory=Counter)
    started: float = field(init=False)

    def __post_init__(self) -> None:
        image, start = self.setup.image, self.setup.start
        self.state = SessionState(image.width, image.height, locked=start)
        self.roster = Roster.of(start)
        self.usage = self.spent
        self.started = self.clock()
        self._before: SessionState = self.state

    def observation(self) -> Observation:
        last = self.steps[-1] if self.steps else None
        return Observation(
            image=self.image,
            query=self.setup.query,
            state=self.state,
            changes=changes(self.steps, start=self.setup.start),
            notes=(*last.errors, *last.notes) if last else self._at_start(),
            zooms=last.zooms if last else (),
            tools=self.setup.tools,
            steps=self.steps,
            left=self._left(),
        )

    def paid(self, usage: Usage | None) -> None:
        """A decision was made, or came to nothing; whatever becomes of it, it has cost."""
        if usage is not None:
            self.usage += usage
            self.unrecorded = usage

    def took(self, seconds: float) -> float:
        """Seconds of a round. One that is only repeated took its time before, and the session counts that."""
        number = len(self.steps)
        if number >= len(self.repeats):
            return seconds
        recorded = self.repeats[number].seconds
        self.started += seconds - recorded
        return recorded

    def advance(self, decision: Decision, turn: Turn, seconds: float) -> Step:
        """Take in what a round did, and see whether it was the last one."""
        before, self._before = self._before, self.state
        repeats = self._count(decision, before)
        again = "this was done before in the same state and gave the same; try something else"
        step = Step(
            index=len(self.steps),
            decision=decision,
            rating=turn.rating,
            errors=turn.errors,
            notes=(*turn.notes, again) if repeats > 1 and turn.verdict is None else turn.notes,
            prompts=self.state.prompts,
            instances=self.state.shown,
            locked=tuple(sorted(instance.id for instance in self.state.locked)),
            dropped=tuple(sorted(instance.id for instance in self.state.dropped)),
            zooms=turn.zooms,
            seconds=seconds,
        )
        self.steps = (*self.steps, step)
        self.errors_in_a_row = 0 if turn.applied else self.errors_in_a_row + 1
        if turn.verdict is not None:
            self.ending = self._finished(turn, turn.verdict, selected=self.state.key != before.key)
        elif decision.refused:
            self.ending = self.closed(Stop.refused)
        elif self.errors_in_a_row >= MAX_ERRORS_IN_A_ROW or repeats >= MAX_REPEATS:
            self.ending = self.closed(Stop.repeated_errors)
        else:
            self.heed_limits()
        return step

    def heed_limits(self) -> None:
        """End the session where a limit is reached."""
        if (limit := self._limit()) is not None:
            self.ending = self.closed(limit)

    def closed(self, stop: Stop, *, error: str = "") -> Ending:
        """An ending that the policy did not choose: its best state so far is the result."""
        return self._ending(stop, best_step(self.steps, self.setup.start), error=error)

    def cut_short(self, stop: Stop, *, error: str = "") -> Ending:
        """An ending within a round, which is in no record and has cost what it has cost."""
        return replace(self.closed(stop, error=error), unrecorded=self.spent + self.unrecorded)

    def trajectory(self) -> Trajectory:
        return Trajectory(self.setup, self.steps, self.ending)

    def _finished(self, turn: Turn, verdict: Verdict, *, selected: bool) -> Ending:
        """The policy's own ending.

        What `finish` leaves is the result, unless the policy rated an earlier state higher; masks that it
        `selected` beside `finish` are its last word, given after the rating.
        """
        if verdict is Verdict.absent:
            return self._ending(Stop.absent, None, verdict, turn.reason)
        best: int | None = len(self.steps) - 1
        earlier = best_step(self.steps, self.setup.start)
        if turn.rating is not None and earlier != best and not selected:
            rated = self.steps[0 if earlier is None else earlier + 1].rating
            best = earlier if rated is not None and rated > turn.rating else best
        return self._ending(Stop.finished, best, verdict, turn.reason)

    def _ending(
        self,
        stop: Stop,
        best: int | None,
        verdict: Verdict = Verdict.none,
        reason: str = "",
        *,
        error: str = "",
    ) -> Ending:
        seconds = self.clock() - self.started
        return Ending(stop, verdict, reason, best, self.usage, seconds, error, unrecorded=self.spent)

    def _at_start(self) -> tuple[str, ...]:
        """A word on masks that nobody asked for in this session."""
        if not self.setup.start:
            return ()
        several = len(self.setup.start) > 1
        told = f"{len(self.setup.start)} {'masks were' if several else 'mask was'} there before this session"
        drop = "; drop_masks removes wrong ones" if "drop_masks" in self.setup.tools else ""
        return (f"{told} and {'are' if several else 'is'} locked{drop}",)

    def _count(self, decision: Decision, before: SessionState) -> int:
        """How often the same was asked for in the same state: what a cycle of any length comes to."""
        key = (canonical(decision.calls), decision.problems, before.key)
        self.seen[key] += 1
        return self.seen[key]

    def _left(self) -> Budget:
        limits = self.setup.budget
        spent = self.clock() - self.started
        return Budget(
            max_rounds=None if limits.max_rounds is None else limits.max_rounds - len(self.steps),
            max_seconds=None if limits.max_seconds is None else max(limits.max_seconds - spent, 1e-9),
            max_tokens=None if limits.max_tokens is None else limits.max_tokens - self.usage.tokens,
            max_cost=None if limits.max_cost is None else limits.max_cost - (self.usage.cost or 0.0),
        )

    def _limit(self) -> Stop | None:
        limits = self.setup.budget
        reached = (
            (Stop.max_rounds, limits.max_rounds, len(self.steps)),
            (Stop.max_seconds, limits.max_seconds, self.clock() - self.started),
            (Stop.max_tokens, limits.max_tokens, self.usage.tokens),
            (Stop.max_cost, limits.max_cost, self.usage.cost or 0.0),
        )
        return next((stop for stop, limit, spent in reached if limit is not None and spent >= limit), None)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, MaskpilotError) else f"{type(error).__name__}: {error}"


def _try_to_end(recorder: Recorder, ending: Ending) -> None:
    """Record a failure; where the recorder itself is what failed, the first error is the one to report."""
    try:
        recorder.end(ending)
    except MaskpilotError:
        return
