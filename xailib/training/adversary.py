"""L2 projected gradient descent (Madry 2018) in pixel space [0, 1]."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from xailib import engine
from xailib.models.folding import folded
from xailib.models.model import Model
from xailib.models.state import untouched
from xailib.seeding import generators


def l2_pgd(model: Model, pixels: Tensor, labels: Tensor, *, epsilon: float, steps: int = 20, seed: int = 0) -> Tensor:
    """Return adversarial twins of `pixels` `(n, 3, h, w)`: at most `epsilon` away in L2, inside [0, 1].

    The attacker raises the cross-entropy of `labels` from a random start in the ball; steps are 2.5 epsilon / steps
    long. The start belongs to (seed, image), so batch size and order change nothing. The result is on the CPU.
    Gradients are fp32 whatever the engine's precision: what a coarse one misses is no robustness.
    """
    fast = folded(model, pixels)
    streams = generators(pixels, seed)
    starts = torch.stack([torch.randn(pixels.shape[1:], generator=g, dtype=torch.float32) for g in streams])

    def work(part: slice) -> Tensor:
        clean = pixels[part].to(model.device)
        start = starts[part].to(model.device)
        targets = labels[part].to(model.device)

        def loss_gradient(attacked: Tensor) -> Tensor:
            attacked = attacked.requires_grad_()
            outputs = engine.target_output(fast, attacked, targets).clamp_min(1e-38).log()
            return -engine.backward(outputs, attacked)[0]

        return ascend(clean, loss_gradient, epsilon, steps, start).cpu()

    # `fast` may be the model itself, where hooks hang on it.
    with torch.inference_mode(False), torch.enable_grad(), untouched(fast), engine.using(precision="fp32"):
        return torch.cat(engine.chunked(len(pixels), work, description=f"{model.id} L2-PGD"))


def network_attack(
    network: Callable[[Tensor], Tensor], pixels: Tensor, labels: Tensor, epsilon: float, steps: int
) -> Tensor:
    """The training-time attacker: the same ascent on any callable from pixels to logits, random start from torch's RNG."""

    def loss_gradient(attacked: Tensor) -> Tensor:
        attacked = attacked.requires_grad_()
        loss = F.cross_entropy(network(attacked).float(), labels, reduction="sum")
        return torch.autograd.grad(loss, attacked)[0]

    return ascend(pixels, loss_gradient, epsilon, steps, torch.randn_like(pixels))


def ascend(
    clean: Tensor, loss_gradient: Callable[[Tensor], Tensor], epsilon: float, steps: int, start: Tensor
) -> Tensor:
    """Climb the loss inside the L2 ball of radius `epsilon` around `clean`, from a start drawn in that ball."""
    radius = start.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    attacked = (clean + start / radius * epsilon * 0.5).clamp(0, 1)
    for _ in range(steps):
        gradient = loss_gradient(attacked.detach())
        # A sure network's gradients are as small as 1e-30: scaled up first, they still point the way.
        gradient = gradient / gradient.flatten(1).abs().amax(dim=1).clamp_min(1e-38).view(-1, 1, 1, 1)
        step = gradient / gradient.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        moved = attacked.detach() + (2.5 * epsilon / steps) * step - clean
        shrink = (epsilon / moved.flatten(1).norm(dim=1).clamp_min(1e-12)).clamp_max(1).view(-1, 1, 1, 1)
        attacked = (clean + moved * shrink).clamp(0, 1)
    return attacked.detach()
