"""Two passes say what a network is: what it answers, whether it is a function of one image, where its maps are.

A network that is none of what methods and metrics take for granted is refused before anything is explained, in one
sentence that names the cause. The passes are the model's own: the engine does not count them.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from xailib.engine.passes import without_tf32
from xailib.errors import InputError, first_line, warn
from xailib.models.answers import Kind, described, ends_linear, kind_of, unwrapped, within_unit
from xailib.models.layers import as_maps
from xailib.models.state import untouched

if TYPE_CHECKING:
    from xailib.models.model import Model

# Half of the difference each way, so that explained probabilities are those that the network's own sigmoid gives.
ONE_LOGIT = "one logit z; give two logits, e.g. torch.cat([-z, z], 1) / 2 of z (n, 1), whose softmax is sigmoid(z)"
TOLERANCE = 1e-3  # of the spread of the logits: more than rounding makes of another batch size
REMEDY = {
    "probabilities": "their logarithms are taken for logits, so that softmax gives them back",
    "log_probabilities": "they are taken for logits: softmax gives the probabilities back",
}


@contextlib.contextmanager
def quiet(model: "Model") -> Iterator[None]:
    """Run passes of which no trace stays: in modes, buffers, random streams, or in what a caller counts of operators."""
    buffers = [(buffer, buffer.clone()) for buffer in model.network.buffers()]
    devices = [model.device] if model.device.type == "cuda" else []
    with contextlib.ExitStack() as stack:
        for context in (_disable_current_modes(), torch.inference_mode(False), torch.no_grad(), without_tf32()):
            stack.enter_context(context)
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(untouched(model))
        try:
            yield
        finally:
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


def samples(height: int, width: int, device: torch.device) -> Tensor:
    """Two images `(2, 3, h, w)` in [0, 1] that differ in all: a coarse coloured one and fine noise, darker on the right."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 4, 4, generator=generator, dtype=torch.float32)
    coarse = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    noise = torch.rand(1, 3, height, width, generator=generator, dtype=torch.float32)
    return torch.cat([coarse, noise * torch.linspace(1, 0.2, width, dtype=torch.float32)]).to(device)


def check(model: "Model", height: int, width: int, needs: Sequence[str] = ()) -> None:
    """Make sure, by passes of two images the first time, that a model is what methods and metrics take it for.

    Args:
        model: its `output` becomes what its network was found to answer.
        height, width: of the images in pixels.
        needs: what is asked of the model; with `cam_layer`, the layer must give maps.

    Raises:
        InputError: the cause, in a sentence; see `inspected`.
    """
    key = (height, width, model.device, model.mean.dtype, model.cam_layer_name)
    if key not in model.found:
        found = inspected(model, height, width, needs)
        if found is None:
            return
        side = model.input_size
        if side not in (height, width):
            warn(
                f"model '{model.id}' is made for {side} x {side} pixels and is given {height} x {width}; load the images "
                f"with side={side}"
            )
        model.output, model.found[key] = found
    fault = model.found[key]
    if fault and "cam_layer" in needs:
        raise InputError(fault)


def inspected(model: "Model", height: int, width: int, needs: Sequence[str] = ()) -> tuple[Kind, str | None] | None:
    """Look at a model by passes of two images, together, again, and the first alone.

    Args:
        model: its `output` says what the network answers; `auto` is found out.
        height, width: of the images in pixels.
        needs: what is asked of the model; a fault of a CAM layer that is needed is told first.

    Returns:
        What the network answers, and what is wrong with the CAM layer, a sentence; that is None where nothing is, or there
        is none. None where nothing can be known: the device's memory is too small or the answers are not finite.

    Raises:
        InputError: what the network answers cannot be explained; the sentence says why and what would be right.
    """
    _check_precision(model)
    with quiet(model):
        pair = samples(height, width, model.device)
        try:
            outputs: list[Any] = []
            layer = model.cam_layer
            with contextlib.ExitStack() as stack:
                if layer is not None and not isinstance(layer, torch.jit.ScriptModule):  # which takes no hook
                    stack.enter_context(layer.register_forward_hook(lambda *passed: outputs.append(passed[-1])))
                first = answered(model, pair)
            cam = _cam_fault(model, outputs, height, width)
            if cam and "cam_layer" in needs:
                raise InputError(cam)
            rows = _rows(model, pair, first)
            alone, again = _rows(model, pair[:1], answered(model, pair[:1])), _rows(model, pair, answered(model, pair))
        except torch.OutOfMemoryError:
            return None
        if not torch.isfinite(rows).all():
            return None
        _check_function(model, rows, alone, again)
        return _kind(model, rows, pair), cam


def _check_precision(model: "Model") -> None:
    other = {weights.dtype for weights in model.parameters() if weights.is_floating_point()} - {torch.float32}
    if other or model.mean.dtype != torch.float32:
        found = str(next(iter(other or {model.mean.dtype}))).removeprefix("torch.")
        raise InputError(
            f"model '{model.id}' has weights in {found}; call its .float(): `precision` says how passes are run"
        )


def _rows(model: "Model", pixels: Tensor, answer: Any) -> Tensor:
    """The rows `(n, classes)` in a network's answer to pixels, float32; anything else is refused."""
    id, n, classes = model.id, len(pixels), len(model.class_names)
    rows = unwrapped(answer, classes)
    if not isinstance(rows, Tensor):
        raise InputError(
            f"model '{id}' answers {described(answer)}, in which there are no logits; wrap it in a module whose forward "
            f"returns a tensor (n, {classes})"
        )
    if not rows.is_floating_point():
        raise InputError(f"model '{id}' answers {described(rows)}, not logits; return what its argmax is taken of")
    if rows.shape == (n, classes) and classes > 1:
        return rows.float()
    shape = f"model '{id}' answers shape {tuple(rows.shape)} for {n} image{'s' if n > 1 else ''}"
    if n == 1:
        raise InputError(
            f"{shape} alone, but (2, {classes}) for two (a squeeze()?); keep the batch axis, as squeeze(1) does"
        )
    if rows.shape in ((n,), (n, 1)):
        raise InputError(f"{shape}: {ONE_LOGIT}")
    if rows.ndim > 2:
        raise InputError(f"{shape}: logits in space; average them over it, so that an image has {classes} logits")
    if rows.shape[0] != n:
        raise InputError(f"{shape}; the first axis must be that of the images: ({n}, {classes})")
    raise InputError(f"{shape}: {rows.shape[1]} logits, but it has {classes} class names; one name a logit is needed")


def answered(model: "Model", pixels: Tensor) -> Any:
    """What the network says to pixels; that it cannot take them is told by the likely cause."""
    try:
        return model.answer(pixels)
    except (InputError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a network may fail in any way
        raise InputError(_cannot_pass(model, pixels, error)) from None


def _cannot_pass(model: "Model", pixels: Tensor, error: Exception) -> str:
    """The sentence for a network that raises, with its likely cause."""
    convolutions = [module for module in model.network.modules() if isinstance(module, nn.Conv2d)]
    reason = first_line(error)[:160]
    hint = ""
    if convolutions and convolutions[0].in_channels != 3:
        hint = f"; its first convolution takes {convolutions[0].in_channels} channels and pixels have 3: put a layer before it"
    elif pixels.shape[-2:] != (model.input_size, model.input_size):
        hint = f"; it is made for {model.input_size} x {model.input_size}: load the images with side={model.input_size}"
    elif "type" in reason:
        hint = "; its forward casts to another type: its weights are float32 here, so take the cast out"
    height, width = pixels.shape[-2:]
    what = f"{len(pixels)} images of {height} x {width} pixels do not pass through the network of model '{model.id}'"
    return f"{what} ({type(error).__name__}: {reason}){hint}"


def _check_function(model: "Model", rows: Tensor, alone: Tensor, again: Tensor) -> None:
    """Refuse a network whose answer to an image is not a function of that image."""
    spread = float((rows - rows.mean()).abs().max())
    if (again - rows).abs().max() > 1e-5 * spread:
        layers = [name for name, layer in model.network.named_modules() if layer.training]
        cause = (
            f"layer '{layers[0]}' stays in training mode"
            if layers
            else "dropout or noise that eval() does not switch off?"
        )
        raise InputError(
            f"model '{model.id}' answers the same images otherwise each time ({cause}); no map of it would repeat"
        )
    if (alone[0] - rows[0]).abs().max() > TOLERANCE * spread:
        norms = [pair for pair in model.network.named_modules() if isinstance(pair[1], nn.modules.batchnorm._BatchNorm)]
        batched = [name for name, norm in norms if norm.running_mean is None]
        cause = f"layer '{batched[0]}' has no running statistics" if batched else "statistics of the batch?"
        raise InputError(
            f"model '{model.id}' answers an image otherwise in company than alone ({cause}); no map of it would be that of "
            "one image"
        )


def _kind(model: "Model", rows: Tensor, pair: Tensor) -> Kind:
    """What the rows are; the model's own word is checked as far as rows can tell."""
    said, found = model.output, kind_of(rows)
    if said == "logits":
        return "logits"
    if said != "auto":
        if said != found:
            raise InputError(f"model '{model.id}': output is said to be {said}, but its network answers {found}")
        return said
    if found != "logits":
        words = found.replace("_", "-")
        warn(
            f"model '{model.id}' answers {words}: {REMEDY[found]}; output='{found}' says so, output='logits' keeps them"
        )
    elif within_unit(rows) and _is_sigmoid(model, pair, rows):
        raise InputError(
            f"model '{model.id}' ends in a sigmoid a class, which is not one answer of several: leave the sigmoid out for "
            "the logits, or say output='logits' if its classes do exclude each other"
        )
    return found


def _is_sigmoid(model: "Model", pair: Tensor, rows: Tensor) -> bool:
    """Whether an answer in [0, 1] is a sigmoid's: by the operation that made it, else by far inputs, which reach 0 or 1."""
    with torch.enable_grad():
        linear = ends_linear(unwrapped(model.answer(pair.clone().requires_grad_()), len(model.class_names)))
    if linear is not None:
        return not linear
    far = _rows(model, pair, answered(model, (pair - 0.5) * 1e4))
    return within_unit(far) and bool(((far < 0.01) | (far > 0.99)).any()) and not torch.equal(far, rows)


def _cam_fault(model: "Model", outputs: list[Any], height: int, width: int) -> str | None:
    """What is wrong with the CAM layer after one pass in which it gave `outputs`."""
    if model.cam_layer is None:
        return None
    name = f"model '{model.id}': cam_layer '{model.cam_layer_name}'"
    if not outputs:
        scripted = any(isinstance(module, torch.jit.ScriptModule) for module in model.network.modules())
        cause = "; inside a scripted or traced network layers cannot be watched" if scripted else ""
        return f"{name} is never reached in a pass{cause}; name a layer whose output the logits are made of"
    if len(outputs) > 1:
        return f"{name} runs twice in one pass; name a layer that is used once"
    maps = as_maps(outputs[0], height, width)
    if maps is None or len(maps) != 2:
        return f"{name} gives {described(outputs[0])} and must give maps (n, c, h, w); name a convolutional stage"
    return None


def gradient_fault(model: "Model", height: int, width: int) -> str | None:
    """Say why no gradient of a model's logits with respect to the pixels can be had; None where it can."""
    with quiet(model), torch.enable_grad():
        pixels = samples(height, width, model.device)[:1].requires_grad_()
        try:
            torch.autograd.grad(model(pixels)[:, 0].sum(), pixels)
        except torch.OutOfMemoryError:
            return None
        except RuntimeError as error:
            reason = first_line(error)[:100]
            return (
                f"model '{model.id}' cuts the gradient inside its forward (no_grad, detach, inference_mode or a reentrant "
                f"checkpoint? {reason}); methods that perturb pixels need none"
            )
    return None


@contextlib.contextmanager
def gradient_asked(name: str, model: "Model", pixels: Tensor) -> Iterator[None]:
    """Within the block an error of autograd is told by its cause where the model cuts the gradient."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        fault = gradient_fault(model, *pixels.shape[-2:])
        if fault is None:
            raise
        raise InputError(f"method '{name}' needs a gradient, and {fault}") from None
