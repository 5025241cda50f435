"""Deconvolution by captum: the gradient with every ReLU turned around. In fp32."""

from torch import Tensor, nn

from xailib.attribution.guided_backprop import UNTREATED
from xailib.attribution.hooks import hooked, operators, refuse, unshared
from xailib.attribution.pooling import pooled
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.models.prepacked import unpacked
from xailib.registry import method


@method("deconvolution", family="gradient", label="Deconvolution", paper="Zeiler & Fergus 2014, section 2.1")
@pooled("abs_max")
def deconvolution(model: Model, pixels: Tensor, targets: Tensor, *, seed: int = 0) -> Tensor:
    """The gradient of the logit `(n, 3, h, w)` where each ReLU passes on what is positive, whatever it saw itself.

    Only for networks all of whose activations are ReLU modules: captum gives the plain gradient of others.

    Options:
        pooling: as in `gradient`.
    """
    from captum.attr import Deconvolution

    model = unpacked(model)  # whose modules' types captum knows
    ran, calls = operators(model, pixels[:1])
    relus = {("relu", nn.ReLU)}
    refuse("deconvolution", model, {name for name, kind in ran.keys() - relus if UNTREATED.fullmatch(name)})
    if not relus & ran.keys():
        raise InputError(
            f"method 'deconvolution': model '{model.id}' executes no ReLU; method 'gradient' is what it would give"
        )
    return hooked("deconvolution", Deconvolution(unshared(model, calls)).attribute, pixels, targets)
