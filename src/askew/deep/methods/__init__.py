"""One paper a file. This list is the registry: a new method is one file and one line here."""

from __future__ import annotations

from askew.deep.method import Method, Wrapper
from askew.deep.methods.ano_only import AnoOnly as AnoOnly
from askew.deep.methods.anomaly_aware import AnomalyAware as AnomalyAware
from askew.deep.methods.corrupt import Corrupt as Corrupt
from askew.deep.methods.dagmm import DAGMM as DAGMM
from askew.deep.methods.deep_sad import DeepSAD as DeepSAD
from askew.deep.methods.deep_svdd import DeepSVDD as DeepSVDD
from askew.deep.methods.dev_net import DevNet as DevNet
from askew.deep.methods.esad import ESAD as ESAD
from askew.deep.methods.fea_wad import FEAWAD as FEAWAD
from askew.deep.methods.pre_net import PReNet as PReNet
from askew.deep.methods.reconstruct import Reconstruct as Reconstruct
from askew.deep.methods.ro_sas import RoSAS as RoSAS
from askew.deep.methods.rsrae import RSRAE as RSRAE
from askew.deep.methods.score_guided import ScoreGuided as ScoreGuided
from askew.deep.methods.uai import UAI as UAI
from askew.deep.methods.vae import VAE as VAE

# The methods that the lines above name.
METHODS: dict[str, type[Method]] = {
    name: kind
    for name, kind in list(globals().items())
    if isinstance(kind, type) and issubclass(kind, Method) and kind not in (Method, Wrapper)
}
