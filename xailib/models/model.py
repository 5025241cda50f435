"""`Model`: a classifier that takes pixels in [0, 1] and knows what attribution methods need of it.

Its network is a private view: modules, modes, flags and hooks of its own over the caller's weights.
"""

import copy
import inspect
import math
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from xailib.errors import InputError, first_line, nearest
from xailib.models import answers
from xailib.models.layers import as_maps

address = id  # as copy.deepcopy's memo knows what was copied
Colour = Sequence[float] | np.ndarray | Tensor  # three numbers, one a channel


class Model(nn.Module):
    """A frozen classifier over pixels in [0, 1], a view of a network that is itself left as it is.

    Every checkpoint family normalises in its own way, so normalisation belongs to the model; adversaries, blurs
    and mean fills are then defined in one space.

    Attributes:
        network: a view of the bare network, which takes normalised pixels: its own modes and flags, in float32, over the
            weights of the network that was given.
        id, architecture, training_algorithm: names; the algorithm is vanilla, robust, advprop or any other word.
        input_size: side of the square input in pixels.
        class_names: one name a logit.
        cam_layer: the module whose output is the last convolutional maps, or None; `cam_layer_name` is its name.
        offers: what methods may ask for; `gap_linear_head` means logits = linear(mean over cells of the maps).
        output: what the network answers: logits, probabilities or log_probabilities; `auto` until `probes.check` has found out.
        mean, std: `(1, 3, 1, 1)`, in pixel units [0, 1].
        found: what `probes.check` has found wrong with the CAM layer, or None, by the images' size.
        origins: where a fact comes from that the caller did not give, by its name.

    Raises:
        InputError: a network that cannot be viewed, or facts that cannot be right.
    """

    network: Any  # an nn.Module, which may have methods of its own
    mean: Tensor
    std: Tensor
    output: Literal["auto", "logits", "probabilities", "log_probabilities"]

    @torch.inference_mode(mode=False)  # a caller's, in which made tensors could be used in no gradient
    def __init__(
        self,
        network: nn.Module,
        *,
        id: str,
        architecture: str,
        training_algorithm: str,
        input_size: int,
        class_names: Sequence[str],
        mean: Colour = (0.0, 0.0, 0.0),
        std: Colour = (1.0, 1.0, 1.0),
        cam_layer: str | None = None,
        offers: Sequence[str] = (),
        output: Literal["auto", "logits", "probabilities", "log_probabilities"] = "auto",
    ) -> None:
        super().__init__()
        self.network = private(network, id)
        self.id, self.architecture, self.training_algorithm = id, architecture, training_algorithm
        self.input_size, self.class_names = input_size, checked_names(id, class_names)
        self.offers = frozenset(offers)
        layers = [name for name, _ in self.network.named_modules() if name]
        if cam_layer is not None and cam_layer not in layers:
            hint = nearest(str(cam_layer), layers)
            raise InputError(f"model '{id}': cam_layer: the network has no layer '{cam_layer}'{hint}")
        self.cam_layer_name = cam_layer
        if output not in answers.KINDS:
            raise InputError(f"model '{id}': output: '{output}' is not known{nearest(str(output), answers.KINDS)}")
        self.output = output
        self.origins: dict[str, str] = {}
        self.found: dict[Any, Any] = {}
        self._keyword = _keyword(self.network)
        place = next((tensor.device for tensor in [*self.network.parameters(), *self.network.buffers()]), None)
        for name, values in (("mean", mean), ("std", std)):
            colour = torch.tensor(checked_colour(id, name, values), dtype=torch.float32, device=place)
            self.register_buffer(name, colour.view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device

    @property
    def cam_layer(self) -> nn.Module | None:
        """The module whose output is the last convolutional maps."""
        if self.cam_layer_name is None:
            return None
        names = filter(None, self.cam_layer_name.split("."))  # scripted modules refuse get_submodule()
        module: Any = self.network
        for name in names:
            module = module._modules[name]
        return module

    @property
    def mean_colour(self) -> Tensor:
        """The colour `(1, 3, 1, 1)` in [0, 1] that normalises to zero: the mean fill of deletion and RISE."""
        return self.mean

    @property
    def class_weights(self) -> Tensor:
        """Weights `(classes, channels)` of the last layer that gives the logits: what CAM multiplies the maps with.

        A 1 x 1 convolution is such a layer too. Without one, an `InputError`.
        """
        layer = _last_head(self.network, len(self.class_names))
        if layer is None:
            raise InputError(
                f"model '{self.id}' has no linear layer of {len(self.class_names)} outputs, so it cannot offer gap_linear_head; "
                "correct its offers"
            )
        return cast(Tensor, layer.weight).flatten(1)

    @property
    def has_head(self) -> bool:
        """Whether there is a linear layer, or a 1 x 1 convolution, with one output a class."""
        return _last_head(self.network, len(self.class_names)) is not None

    @property
    def head_layer(self) -> nn.Module | None:
        """The last linear layer, or 1 x 1 convolution, with one output a class; None where there is none."""
        return _last_head(self.network, len(self.class_names))

    def normalise(self, pixels: Tensor) -> Tensor:
        """Map pixels `(n, 3, h, w)` in [0, 1] to what the network was trained on, channels last.

        They are laid out so at the end: arithmetic with three values a channel is slow where channels lie last.
        """
        return (pixels - self.mean).div_(self.std).contiguous(memory_format=torch.channels_last)

    def answer(self, pixels: Tensor) -> Any:
        """Return what the network itself says to pixels `(n, 3, h, w)` in [0, 1]."""
        inputs = self.normalise(pixels)
        return self.network(inputs) if self._keyword is None else self.network(**{self._keyword: inputs})

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits `(n, classes)` for pixels `(n, 3, h, w)` in [0, 1]."""
        rows = answers.unwrapped(self.answer(pixels), len(self.class_names))
        # Of probabilities the logarithms, whose softmax gives them back.
        return rows.clamp_min(torch.finfo(rows.dtype).tiny).log() if self.output == "probabilities" else rows

    def maps(self, output: Any, height: int, width: int) -> Tensor:
        """Read what `cam_layer` gave for pixels of `height` x `width` as maps `(n, c, hc, wc)`: channels last, tokens too."""
        maps = as_maps(output, height, width)
        if maps is None:
            raise InputError(f"model '{self.id}': cam_layer must give maps (n, c, h, w); name a convolutional stage")
        return maps

    def features(self, pixels: Tensor) -> Tensor:
        """Return the last convolutional maps `(n, c, hc, wc)`; the network must define `features`."""
        return self.network.features(self.normalise(pixels))

    def head(self, maps: Tensor) -> Tensor:
        """Return logits `(n, classes)` for last convolutional maps; the network must define `head`."""
        return self.network.head(maps)

    @property
    def has_split(self) -> bool:
        """Whether `head(features(pixels))` is the whole network."""
        return hasattr(self.network, "features") and hasattr(self.network, "head")

    def __repr__(self) -> str:
        def told(name: str, value: str) -> str:
            return f"  {name}: {value}" + (f"  ({self.origins[name]})" if name in self.origins else "")

        names = ", ".join(self.class_names[:3]) + (", ..." if len(self.class_names) > 3 else "")
        colours = {name: [round(x, 4) for x in getattr(self, name).flatten().tolist()] for name in ("mean", "std")}
        facts = {
            "classes": f"{len(self.class_names)} ({names})", "size": f"{self.input_size} x {self.input_size} pixels",
            **{name: str(values) for name, values in colours.items()}, "cam_layer": str(self.cam_layer_name),
            "offers": ", ".join(sorted(self.offers)) or "nothing more", "output": self.output,
        }  # fmt: skip
        return "\n".join([f"Model '{self.id}': {self.architecture}", *(told(*fact) for fact in facts.items())])


def private(network: nn.Module, id: str) -> nn.Module:
    """Return a view of a network, in float32, frozen and in evaluation mode; the network itself is left as it is.

    Modules are copied, weights are shared where they are float32 already: the view takes no memory, and follows a training
    that goes on and all else that writes into the weights. It does not follow where the network gets other tensors or
    modules (`weight.data = ...`, `vector_to_parameters`, `load_state_dict(assign=True)`): wrap it again. Weights of other
    precision are copied. What `torch.compile`, `DataParallel` and `DistributedDataParallel` wrap is taken out.

    Raises:
        InputError: no module, one that cannot be copied, or one whose weights are not all at one place.
    """
    if not isinstance(network, nn.Module):
        raise InputError(f"model '{id}': a torch.nn.Module is needed, not {type(network).__name__}")
    network = bare(network)
    tensors = [*network.parameters(), *network.buffers()]
    if any(torch.nn.parameter.is_lazy(tensor) for tensor in tensors):
        raise InputError(f"model '{id}': layers of its network have no weights yet; run one batch through it first")
    places = sorted({str(tensor.device) for tensor in tensors})
    if len(places) > 1 or places == ["meta"]:
        raise InputError(f"model '{id}': its weights lie on {' and '.join(places)}; move them to one device")
    # Kept, so that no id is used twice.
    shared = [tensor for module in network.modules() for tensor in _tensors(module)]
    try:
        with torch.no_grad():
            view = copy.deepcopy(network, {address(tensor): _view(tensor) for tensor in shared})
    except Exception as error:  # whatever a network holds may refuse to be copied in its own way
        reason = first_line(error, type(error).__name__)
        raise InputError(
            f"model '{id}': its network cannot be copied, and must not be changed ({reason}); keep what cannot be "
            "copied outside the network"
        ) from None
    if any(tensor.is_floating_point() and tensor.dtype != torch.float32 for tensor in tensors):
        view.float()
    for weights in view.parameters():  # scripted modules have no requires_grad_()
        weights.requires_grad_(False)
    return view.eval()


def bare(network: nn.Module) -> nn.Module:
    """Return what `torch.compile`, `DataParallel` and `DistributedDataParallel` wrap, in whatever order."""
    while True:
        if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
            network = network.module
        elif "_orig_mod" in network._modules:
            network = cast(nn.Module, network._orig_mod)
        else:
            return network


def _tensors(module: nn.Module) -> list[Tensor]:
    """The tensors of a module to share: weights, buffers, and what weight norms derive from them at every pass."""
    if isinstance(module, torch.jit.ScriptModule):
        return []  # these copy themselves, weights and all
    held: list[Any] = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return held + [value for value in vars(module).values() if isinstance(value, Tensor) and not value.is_leaf]


def _view(tensor: Tensor) -> Tensor:
    detached = tensor.clone() if tensor.is_inference() else tensor.detach()
    return nn.Parameter(detached, requires_grad=False) if isinstance(tensor, nn.Parameter) else detached


def _keyword(network: nn.Module) -> str | None:
    """The keyword by which Hugging Face's networks take pixels, where `forward` has it."""
    try:
        return "pixel_values" if "pixel_values" in inspect.signature(network.forward).parameters else None
    except ValueError:  # scripted modules do not say
        return None


def _is_head(module: nn.Module, classes: int) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.out_channels == classes and module.kernel_size == (1, 1) and module.groups == 1
    return isinstance(module, nn.Linear) and module.out_features == classes


def _last_head(module: nn.Module, classes: int) -> nn.Module | None:
    """The last head in the order of `modules()`. Searched from the end: a walk takes 1 % of a small pass."""
    for child in reversed(module._modules.values()):
        found = None if child is None else _last_head(child, classes)
        if found is not None:
            return found
    return module if _is_head(module, classes) else None


def checked_names(id: str, names: Sequence[str]) -> list[str]:
    """Class names as a list; one that is no text or empty is refused."""
    if isinstance(names, str) or not isinstance(names, Sequence) or not len(names):
        raise InputError(f"model '{id}': class_names: a list of names is needed, one a logit, not {names!r}")
    wrong = [name for name in names if not isinstance(name, str) or not name.strip()]
    if wrong:
        such = f", such as '{wrong[0]}'" if str(wrong[0]).strip() else ""
        raise InputError(f"model '{id}': class_names: {wrong[0]!r} is no name; write text{such}")
    return list(names)


def checked_colour(id: str, name: str, values: Colour) -> list[float]:
    """Return the three numbers of `mean` or `std`, in units of pixels in [0, 1].

    Raises:
        InputError: what holds no numbers, one alone, more or less than three, or some that cannot be right.
    """
    low, high = (0.0 if name == "mean" else 1e-6), 1.0
    try:
        array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=float)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"model '{id}': {name}: three numbers are needed, one a channel, not {values!r}") from None
    numbers = array.flatten().tolist()
    if not array.ndim:
        raise InputError(
            f"model '{id}': {name}: three numbers are needed, one a channel, not {values!r} alone; write {numbers * 3}"
        )
    if len(numbers) != 3 or not all(math.isfinite(value) and low <= value <= high for value in numbers):
        hint = "; divide by 255?" if len(numbers) == 3 and max(numbers) > 1 else ""
        raise InputError(f"model '{id}': {name}: three numbers in [{low:g}, {high:g}] are needed, not {numbers}{hint}")
    return numbers
