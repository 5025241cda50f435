"""Layer-wise relevance propagation by captum. In fp32."""

import re
from typing import Annotated, Literal

from annotated_types import Gt
from torch import Tensor, nn

from xailib.attribution.hooks import hooked, operators, refuse, unshared
from xailib.attribution.pooling import pooled
from xailib.models.model import Model
from xailib.models.prepacked import unpacked
from xailib.registry import method

# What needs no module, as it moves values, or keeps some of them.
MOVES = re.compile(
    "_?(alias|as_strided|cat|clone|detach|expand|max_pool2d_with_indices|permute|relu|reshape_alias|select|slice|split"
    "|split_with_sizes|squeeze|t|to_copy|transpose|unsafe_view|unsqueeze|view)"
)
LAYERS = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.MaxPool2d, nn.Flatten)


@method("lrp", family="gradient", label="LRP", paper="Bach et al. 2015")
@pooled("signed_sum")
def lrp(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    rule: Literal["epsilon", "gamma", "alpha1_beta0"] = "epsilon",
    epsilon: Annotated[float, Gt(0)] = 1e-9,
) -> Tensor:
    """The logit handed down layer by layer, to each input by its share of the layer's sum; `(n, 3, h, w)`.

    What biases add to the logit, no pixel gets. Only for networks whose layers are modules with a rule: sums of branches,
    products and other activations have none. With a vanishing epsilon everywhere, a network of ReLUs gives Input x Gradient
    of the normalised pixels (Ancona et al. 2018).

    Options:
        rule: of convolutions: `epsilon`, or captum's `gamma` and `alpha1_beta0`, which favour what speaks for the class and
            take batch norms for parts of the convolutions before them. Other layers have epsilon.
        epsilon: keeps small sums from dividing; relevance is lost as it grows.
        pooling: over colour channels; the default keeps the sign and the sum.
    """
    from captum.attr import LRP
    from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule

    model = unpacked(model)  # whose modules' types captum knows
    ran, calls = operators(model, pixels[:1])
    refuse("lrp", model, {name for name, kind in ran if kind is None and not MOVES.fullmatch(name)})
    own = unshared(model, calls)
    for name, module in list(own.named_modules()):
        if type(module) in (nn.Identity, nn.Dropout2d):
            own.set_submodule(name, nn.Dropout(0).eval())  # which captum lets pass

    rules = {"epsilon": lambda: EpsilonRule(epsilon), "gamma": GammaRule, "alpha1_beta0": Alpha1_Beta0_Rule}

    def explain(inputs: Tensor, target: Tensor) -> Tensor:
        for module in own.modules():  # captum takes all rules away at the end
            if type(module) in LAYERS:
                module.rule = rules[rule]() if type(module) is nn.Conv2d else EpsilonRule(epsilon)
        return LRP(own).attribute(inputs, target)

    # Relevance of the normalised pixels: captum sees their division, too.
    return hooked("lrp", explain, pixels, targets, weight=2) * model.std
