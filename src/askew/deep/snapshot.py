"""Snapshot: members of a network as they were at a moment that each of them chose."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool
from torch import Tensor

from askew.deep.nets import Net


class Snapshot:
    """Members as they were at a moment that each of them chose."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.state: dict[str, Tensor] = {}
        self.taken: Tensor | None = None

    def take(self, members: Bool[Tensor, " members"]) -> None:
        """Keep the present state of the members marked."""
        if not members.any():
            return
        state = self.net.state_dict()
        if self.taken is None:
            self.state = {name: value.clone() for name, value in state.items()}
            self.taken = members.clone()
            return
        self.state = _mix(members, state, self.state)
        self.taken = self.taken | members

    def restore(self) -> None:
        """Give the members for which there is a state that state back."""
        if self.taken is not None:
            self.net.load_state_dict(_mix(self.taken, self.state, self.net.state_dict()))


def _mix(
    members: Tensor, here: Mapping[str, Tensor], there: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Take the members marked from here, the others from there."""
    return {
        name: torch.where(members.view(-1, *[1] * (value.dim() - 1)), value, there[name])
        for name, value in here.items()
    }
