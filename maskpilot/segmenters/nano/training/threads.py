"""How many threads to compute with on a machine that others use too."""

from __future__ import annotations

import statistics
import time

import torch

__all__ = ["Threads"]


class Threads:
    """Every now and then tries one thread and all of them, and goes on with what was faster.

    Threads of one operation wait for the slowest of them: where another process takes a core now and then,
    all threads together can be many times slower than one alone.

    Args:
        most: threads to use at most.
        every: steps between trials.
    """

    def __init__(self, most: int, *, every: int = 40, trial: int = 3) -> None:
        self.choices = (1, most)
        self.every, self.trial = every, trial
        self.step = 0
        self.times: dict[int, list[float]] = {choice: [] for choice in self.choices}
        self.last = time.perf_counter()
        torch.set_num_threads(most)

    def tick(self) -> None:
        """To be called once a step."""
        now = time.perf_counter()
        phase = self.step % self.every
        tried = phase // self.trial
        if tried < len(self.choices):
            self.times[self.choices[tried]].append(now - self.last)
        if phase == self.trial * len(self.choices) - 1:
            best = min(self.choices, key=lambda choice: statistics.median(self.times[choice]))
            self.times = {choice: [] for choice in self.choices}
            torch.set_num_threads(best)
        following = (self.step + 1) % self.every // self.trial
        if following < len(self.choices):
            torch.set_num_threads(self.choices[following])
        self.step += 1
        self.last = time.perf_counter()
