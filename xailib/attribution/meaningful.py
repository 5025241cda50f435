"""Meaningful Perturbation: the smallest smooth blur that makes the class score fall.

Fong, Vedaldi: Interpretable Explanations of Black Boxes by Meaningful Perturbation, ICCV 2017, equation 6 and section
4.3. Lengths are given at 224 pixels a side and scale with the image.
"""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt
from torch import Tensor

from xailib import engine
from xailib.attribution.blur import blur, gaussian_rows
from xailib.models.model import Model
from xailib.registry import method
from xailib.seeding import generators

SUPPRESSED = 0.01  # the first mask leaves this share of the fall from the blurred image's score to the image's
RADII = 18  # circles tried for the first mask


class ShiftedBlend:
    """Images laid over their blurred copies, seen through a mask, shifted under it by a few pixels an image.

    `above` and `below` `(n, 3, h, w)`: what mask values 1 and 0 show. Shifts are up to `reach` pixels each way; the
    edge pixels are repeated.
    """

    def __init__(self, above: Tensor, below: Tensor, reach: int) -> None:
        n, _, self.height, self.width = above.shape
        both = F.pad(torch.cat([below, above - below], dim=1), (reach,) * 4, mode="replicate")
        self.table = both.permute(0, 2, 3, 1).reshape(-1, 6).contiguous()
        rows, self.row = both.shape[2], both.shape[3]
        y, x = torch.arange(self.height, device=above.device), torch.arange(self.width, device=above.device)
        image = torch.arange(n, device=above.device) * rows * self.row
        self.window = image[:, None] + (y[:, None] * self.row + x).flatten()  # (n, h * w)

    def __call__(self, masks: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor]:
        """Return blends and d blend / d mask, both `(n, 3, h, w)`, for masks `(n, h, w)` and shifts `(n, 2)` >= 0."""
        index = self.window + (shifts[:, :1] * self.row + shifts[:, 1:])
        values = F.embedding(index, self.table).view(len(masks), self.height, self.width, 6)
        below, slope = values[..., :3], values[..., 3:]
        return (below + masks[..., None] * slope).permute(0, 3, 1, 2), slope.permute(0, 3, 1, 2)


class Adam:
    """Kingma & Ba 2015, algorithm 1, every element for itself. (Importing torch's own takes seconds.)"""

    def __init__(self, lr: float) -> None:
        self.lr, self.t = lr, 0
        self.mean: Tensor | float = 0.0
        self.square: Tensor | float = 0.0

    def __call__(self, values: Tensor, slope: Tensor) -> Tensor:
        """Return `values` after one step down `slope`."""
        self.t += 1
        self.mean = 0.9 * self.mean + 0.1 * slope
        self.square = 0.999 * self.square + 0.001 * slope**2
        root = (self.square / (1 - 0.999**self.t)).sqrt_().add_(1e-8)
        return values - self.lr / (1 - 0.9**self.t) * self.mean / root


@method("meaningful_perturbation", family="perturbation", label="Meaningful Perturbation", paper="Fong & Vedaldi 2017")
def meaningful_perturbation(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    steps: Annotated[int, Ge(1)] = 300,
    lr: float = 0.1,
    l1: float = 1e-4,
    tv: float = 1e-2,
    beta: Annotated[float, Ge(1)] = 3.0,
    mask_size: Annotated[float, Gt(0)] = 28.0,
    mask_blur: Annotated[float, Ge(0)] = 5.0,
    max_blur: Annotated[float, Ge(0)] = 10.0,
    jitter: Annotated[float, Ge(0)] = 4.0,
    noise: Annotated[float, Ge(0)] = 0.0,
    init: Literal["circle", "ones"] = "circle",
    output: engine.Output = "probability",
) -> Tensor:
    """Return Meaningful Perturbation maps `(n, h, w)` in [0, 1]: one minus the mask of the deletion game.

    Minimises, image by image, l1 sum|1 - m| + tv sum|grad m|^beta + score(image blurred where m is 0) over a coarse
    mask m, by Adam, all images in one batch. The l1 sum is scaled to a mask of 28 x 28 cells, so that its weight means
    the same at every size.

    Args:
        steps, lr: of Adam.
        l1, tv, beta: weights of the area term and of the smoothness term, and its power.
        mask_size: cells a side of the mask, at 224 pixels (one cell in eight pixels).
        mask_blur: standard deviation in pixels, at 224 pixels, of the blur that follows the mask's stretch.
        max_blur: standard deviation in pixels, at 224 pixels, of the blurred copy.
        jitter: range in pixels, at 224 pixels, of the image's random shift under the mask; centred, and at least one
            pixel each way unless 0.
        noise: standard deviation of noise added to the blend, in units of [0, 1].
        init: start from the smallest blurred "circle" at the centre that suppresses the score by 99 %, or from "ones".
        output: the softmax "probability" of the paper or the "logit".
    """
    height, width = pixels.shape[-2:]
    scale = min(height, width) / 224
    grid = [max(4, round(mask_size * side / 224)) for side in (height, width)]
    down, across = (
        upsampling(cells, side, mask_blur * scale, pixels.device)
        for cells, side in zip(grid, (height, width), strict=True)
    )
    reach = max(1, round(jitter * scale / 2)) if jitter else 0
    area = l1 * 28 * 28 / (grid[0] * grid[1])

    def optimise(part: slice) -> Tensor:
        images, labels = pixels[part], targets[part]
        streams = generators(images, seed, "meaningful_perturbation")
        shifts = torch.stack([torch.randint(0, 2 * reach + 1, (steps, 2), generator=stream) for stream in streams], 1)
        shifts = shifts.to(images.device)
        below = blur(images, max_blur * scale, edges="renormalise")
        blend = ShiftedBlend(images, below, reach)
        masks = torch.ones(len(images), *grid, device=images.device)
        if init == "circle":
            masks = circles(model, images, below, labels, grid, output)
        adam, slope_at = Adam(lr), engine.gradient_of(model, output)
        for t in range(steps):
            blended, slope = blend(down @ masks @ across.T, shifts[t])
            if noise:
                blended = blended + noise * torch.stack(
                    [torch.randn(blended.shape[1:], generator=stream) for stream in streams]
                ).to(images.device)
            gradient = slope_at(blended, labels)
            rise = down.T @ (gradient.float() * slope).sum(1) @ across
            small = area * (masks - 1).sign()  # of |1 - m|; none at m = 1
            masks = adam(masks, rise + small + tv * variation_slope(masks, beta)).clamp_(0, 1)
        return (1 - down @ masks @ across.T).clamp_(0, 1)

    # In fp32 always: hundreds of steps enlarge bf16's rounding, and the maps' ranks agree to 0.91-0.99 only.
    with engine.using(precision="fp32"):
        return torch.cat(engine.chunked(len(pixels), optimise, description="Meaningful Perturbation"))


def upsampling(cells: int, side: int, sigma: float, device: torch.device) -> Tensor:
    """Return the matrix `(side, cells)` of a bilinear stretch followed by a Gaussian blur; rows sum to one."""
    stretch = F.interpolate(torch.eye(cells)[None], size=side, mode="linear", align_corners=False)[0].T
    return gaussian_rows(side, sigma, edges="renormalise", device=device) @ stretch.to(device)


def variation_slope(masks: Tensor, beta: float) -> Tensor:
    """Return d/dm of sum |m[y+1, x] - m[y, x]|^beta + |m[y, x+1] - m[y, x]|^beta for masks `(n, rows, columns)`."""
    slope = torch.zeros_like(masks)
    for axis in (1, 2):
        step = masks.diff(dim=axis)
        pull = beta * step.abs().pow(beta - 1) * step.sign()
        length = step.shape[axis]
        slope.narrow(axis, 1, length).add_(pull)
        slope.narrow(axis, 0, length).sub_(pull)
    return slope


def circles(
    model: Model, images: Tensor, below: Tensor, targets: Tensor, grid: list[int], output: engine.Output
) -> Tensor:
    """Return the first masks `(n, rows, columns)`: the smallest centred blurred disc of zeros that hides the class.

    Hides: the score falls to within 1 % of the fully blurred image's; where no disc does, the largest is taken.
    """
    side = min(grid)
    y, x = (torch.arange(cells, device=images.device) - (cells - 1) / 2 for cells in grid)
    distance = (y[:, None] ** 2 + x**2).sqrt()
    radii = torch.linspace(0, 0.75, RADII, device=images.device) * side
    discs = (distance <= radii[:, None, None]).float()
    discs[0] = 0
    masks = (1 - blur(discs, side * 10 / 224, edges="renormalise")).clamp_(0, 1)
    masks[-1] = 0
    shown = F.interpolate(masks[:, None], size=images.shape[-2:], mode="bilinear", align_corners=False)

    def perturbed(image: Tensor, sample: Tensor) -> Tensor:
        return torch.lerp(below[image], images[image], shown[sample])

    scores = engine.scores(model, targets, RADII, perturbed, output)
    first, last = scores[:, :1], scores[:, -1:]
    hidden = scores - last <= SUPPRESSED * (first - last)
    hidden[:, -1] = True
    return masks[hidden.float().argmax(1)].clone()
