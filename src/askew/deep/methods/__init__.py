"""One paper a file. This list is the registry: a new method is one file and one line here."""

from __future__ import annotations

from askew.deep.method import Method
from askew.deep.methods.deep_sad import DeepSAD
from askew.deep.methods.deep_svdd import DeepSVDD
from askew.deep.methods.dev_net import DevNet
from askew.deep.methods.reconstruct import Reconstruct

METHODS: dict[str, type[Method]] = {
    method.__name__: method
    for method in (
        Reconstruct,
        DeepSVDD,
        DeepSAD,
        DevNet,
    )
}

__all__ = ["METHODS", "DeepSAD", "DeepSVDD", "DevNet", "Reconstruct"]
