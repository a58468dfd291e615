"""The state of a session: the prompts of the concept at hand, plus a ledger of masks kept and rejected.

What is shown = locked + (detections - dropped - duplicates of locked). Everything here is pure: state in,
state out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from maskpilot import masks
from maskpilot.types import Detections, Instance, Mask, PromptState

__all__ = ["Roster", "SessionState", "refresh"]


@dataclass(frozen=True, eq=False)
class SessionState:
    """Where a session stands.

    Attributes:
        width, height: pixels of the image.
        prompts: what the segmenter is told about the concept at hand.
        locked: instances that stay in the result whatever the prompts find.
        dropped: instances that were rejected; detections of the same object are not shown.
        found: what the prompts found, after the ledger. It is of the last segmentation, so that ids which
            the policy was shown stay valid through all calls of one reply.
        previous: the state before the last change, for `undo`.
    """

    width: int
    height: int
    prompts: PromptState = field(default_factory=PromptState)
    locked: tuple[Instance, ...] = ()
    dropped: tuple[Instance, ...] = ()
    found: tuple[Instance, ...] = ()
    previous: SessionState | None = None

    @property
    def shown(self) -> tuple[Instance, ...]:
        """Locked and found instances, by id."""
        return tuple(sorted((*self.locked, *self.found), key=lambda instance: instance.id))

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for states that mean the same, whatever led to them. Hashable."""
        return (
            self.prompts,
            tuple(sorted(instance.mask.counts for instance in self.locked)),
            tuple(sorted(instance.mask.counts for instance in self.dropped)),
        )

    def changed(
        self,
        *,
        prompts: PromptState | None = None,
        locked: tuple[Instance, ...] | None = None,
        dropped: tuple[Instance, ...] | None = None,
        found: tuple[Instance, ...] | None = None,
    ) -> SessionState:
        """A copy with some parts replaced, that remembers this one for `undo`."""
        return replace(
            self,
            prompts=self.prompts if prompts is None else prompts,
            locked=self.locked if locked is None else locked,
            dropped=self.dropped if dropped is None else dropped,
            found=self.found if found is None else found,
            previous=self,
        )


@dataclass(frozen=True, eq=False)
class Roster:
    """Every object that a session has ever shown, so that ids and colours stay the same.

    It only grows, also over `undo` and `reset`: a number never comes to mean another object.

    Attributes:
        ids: every mask ever shown -> its id. A prompt state that returns brings back the very same masks.
        latest: id -> the mask that it had last, for objects whose outline moved a little.
    """

    ids: dict[Mask, int] = field(default_factory=dict)
    latest: dict[int, Mask] = field(default_factory=dict)

    @classmethod
    def of(cls, instances: Collection[Instance]) -> Roster:
        """One that knows these."""
        ids = {instance.mask: instance.id for instance in instances}
        return cls(ids, {instance.id: instance.mask for instance in instances})

    def enter(self, found: Iterable[Mask], *, taken: Collection[int] = ()) -> tuple[tuple[int, ...], Roster]:
        """Give each mask its id: the one it had, the one of an earlier mask of the same object, or a new one.

        Args:
            found: masks that are shown now.
            taken: ids that the ledger holds; no mask gets one of them.

        Returns:
            one id per mask, in order, all different; and the roster that knows them.
        """
        todo = list(found)
        given: dict[int, int] = {}
        taken = set(taken)
        for index, mask in enumerate(todo):
            known = self.ids.get(mask)
            if known is not None and known not in taken:
                given[index] = known
                taken.add(known)
        rest = [index for index in range(len(todo)) if index not in given]
        free = [number for number in self.latest if number not in taken]
        pairs = masks.match([todo[index] for index in rest], [self.latest[number] for number in free])
        given |= {rest[row]: free[column] for row, column in pairs.items()}
        following = max(self.latest, default=0) + 1
        for index in rest:
            if index not in given:
                given[index] = following
                following += 1
        numbers = tuple(given[index] for index in range(len(todo)))
        now = dict(zip(numbers, todo, strict=True))
        return numbers, Roster(
            ids=self.ids | {mask: number for number, mask in now.items() if mask not in self.ids},
            latest=self.latest | now,
        )


def refresh(state: SessionState, detections: Detections, roster: Roster) -> tuple[SessionState, Roster]:
    """Take in what the segmenter found for the state's prompts.

    Detections without a single pixel are left out: there is nothing to show, select or score.

    Returns:
        the state with `found` renewed (it is the same step: `previous` stays), and the roster.
    """
    encoded = [masks.encode(mask) for mask in detections.masks]
    boxes = [masks.tight_box(mask) for mask in encoded]
    visible = [index for index, box in enumerate(boxes) if box is not None]
    settled = _settled(state, [encoded[index] for index in visible], roster)
    fresh = [index for index, is_settled in zip(visible, settled, strict=True) if not is_settled]
    taken = {instance.id for instance in (*state.locked, *state.dropped)}
    numbers, roster = roster.enter((encoded[index] for index in fresh), taken=taken)
    found = tuple(
        Instance(number, encoded[index], box, float(detections.scores[index]), state.prompts.text)
        for number, index in zip(numbers, fresh, strict=True)
        if (box := boxes[index]) is not None
    )
    return replace(state, found=found), roster


def _settled(state: SessionState, found: Sequence[Mask], roster: Roster) -> list[bool]:
    """For each mask, whether the ledger settles it: a locked object once more, or one that was dropped.

    What overlaps a dropped object, but another known one more, is that one: of two masks that overlap, the
    one that was not dropped stays.
    """
    ledger = {instance.id for instance in (*state.locked, *state.dropped)}
    others = [mask for number, mask in roster.latest.items() if number not in ledger]
    locked, dropped, other = (
        masks.iou_matrix(found, known).max(axis=1, initial=0.0)
        for known in (
            [instance.mask for instance in state.locked],
            [instance.mask for instance in state.dropped],
            others if state.dropped else [],
        )
    )
    same = masks.SAME_OBJECT_IOU
    settled: list[bool] = ((locked >= same) | ((dropped >= same) & (dropped >= other))).tolist()
    return settled
