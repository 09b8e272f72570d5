"""People: verdicts, questions, the loop."""

from __future__ import annotations

from askew.review.simulate import Simulation, simulate

__all__ = ["Simulation", "simulate"]
