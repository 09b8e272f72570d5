"""One paper a file. This list is the registry: a new method is one file and one line here."""

from __future__ import annotations

from askew.deep.method import Method
from askew.deep.methods.ano_only import AnoOnly
from askew.deep.methods.anomaly_aware import AnomalyAware
from askew.deep.methods.corrupt import Corrupt
from askew.deep.methods.dagmm import DAGMM
from askew.deep.methods.deep_sad import DeepSAD
from askew.deep.methods.deep_svdd import DeepSVDD
from askew.deep.methods.dev_net import DevNet
from askew.deep.methods.esad import ESAD
from askew.deep.methods.fea_wad import FEAWAD
from askew.deep.methods.pre_net import PReNet
from askew.deep.methods.reconstruct import Reconstruct
from askew.deep.methods.ro_sas import RoSAS
from askew.deep.methods.rsrae import RSRAE
from askew.deep.methods.score_guided import ScoreGuided
from askew.deep.methods.uai import UAI
from askew.deep.methods.vae import VAE

METHODS: dict[str, type[Method]] = {
    method.__name__: method
    for method in (
        Reconstruct,
        VAE,
        DeepSVDD,
        DAGMM,
        RSRAE,
        DeepSAD,
        ESAD,
        DevNet,
        PReNet,
        RoSAS,
        FEAWAD,
        AnoOnly,
        ScoreGuided,
        UAI,
        AnomalyAware,
        Corrupt,
    )
}

__all__ = [
    "DAGMM",
    "ESAD",
    "FEAWAD",
    "METHODS",
    "RSRAE",
    "UAI",
    "VAE",
    "AnoOnly",
    "AnomalyAware",
    "Corrupt",
    "DeepSAD",
    "DeepSVDD",
    "DevNet",
    "PReNet",
    "Reconstruct",
    "RoSAS",
    "ScoreGuided",
]
