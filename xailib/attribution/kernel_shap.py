"""KernelSHAP: Shapley values of superpixels, by constrained least squares or by permutations."""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from xailib import engine
from xailib.attribution.superpixels import Coalitions, Hidden, Spread, counts, hide, paint, stack_padded, superpixels
from xailib.errors import InputError
from xailib.models.model import Model
from xailib.registry import method
from xailib.seeding import generators

Estimator = Literal["regression", "permutations"]


@method("kernel_shap", family="perturbation", label="KernelSHAP", paper="Lundberg & Lee 2017, theorem 2")
def kernel_shap(
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    samples: Annotated[int, Ge(2)] = 1000,
    segments: Annotated[int, Ge(1)] = 50,
    hidden: Hidden = "mean",
    output: engine.Output = "probability",
    spread: Spread = "shared",
    compactness: Annotated[float, Gt(0)] = 30.0,
    sigma: Annotated[float, Ge(0)] = 3.0,
    estimator: Estimator = "regression",
) -> Tensor:
    """Shapley values of the superpixels for the target's output; signed, and exactly efficient.

    The values sum to output(image) - output(all hidden) and are exact for a model that is additive over superpixels.

    Options:
        samples: coalitions an image, one pass each, and two for the ends; a regression rounds them up to pairs.
        segments, compactness, sigma: of SLIC; sigma in pixels of a 224 px side.
        hidden: what a hidden superpixel shows: the model's `mean` colour, its own `segment_mean`, or `black`.
        output: `probability` or `logit`.
        spread: `shared`, a superpixel's value is divided over its pixels, so that the map sums to the difference
            above; or `whole`, each pixel carries all of it.
        estimator: `regression`, the paper's: coalitions are drawn from the Shapley kernel itself (sizes stratified,
            each with its complement: Covert & Lee 2021), so it needs no weights, and the full and the empty coalition
            enter as a constraint. `permutations` tends to the same values: superpixels are shown one after the other
            in random orders and in their reverse, and a superpixel's value is its mean step (Mitchell et al. 2022).
            What hardly matters then hardly varies, where the regression's noise is alike for all.
    """
    labels = superpixels(pixels, segments, compactness, sigma)
    totals, streams = counts(labels), generators(pixels, seed, "kernel_shap")
    if estimator == "permutations":
        if samples < max(totals) - 1:
            raise InputError(
                f"method 'kernel_shap': option samples must be at least {max(totals) - 1} for estimator "
                f"'permutations', one order of an image's {max(totals)} superpixels, not {samples}"
            )
        ranks = [_orders(count, samples, stream) for count, stream in zip(totals, streams, strict=True)]
        shown = [_chain(part, samples) for part in ranks]
    else:
        shown = [_draw(count, (samples + 1) // 2, stream) for count, stream in zip(totals, streams, strict=True)]
    coalitions = Coalitions(pixels, hide(model, pixels, labels, hidden), labels, stack_padded(shown).to(pixels.device))
    scores = coalitions.scores(model, targets, output, "kernel_shap")
    if estimator == "permutations":
        rows = [_mean_steps(part.to(scores.device), own) for part, own in zip(ranks, scores, strict=True)]
        return paint(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), labels, spread)
    exists = torch.arange(coalitions.shown.shape[2]) < torch.tensor(totals)[:, None]
    exists = exists.to(pixels.device, torch.float64)
    parts = torch.arange(len(pixels)).split(64)  # float64 coalitions of 64 images at a time
    values = [shapley_values(coalitions.shown[part].double(), scores[part], exists[part]) for part in parts]
    return paint(torch.cat(values), labels, spread)


def _orders(count: int, samples: int, stream: torch.Generator) -> Tensor:
    """When each superpixel is shown, int64 `(orders, count)`: random orders, each followed by its reverse."""
    orders = -(-samples // max(count - 1, 1))
    drawn = [torch.randperm(count, generator=stream) for _ in range((orders + 1) // 2)]
    return torch.stack([ranks for one in drawn for ranks in (one, count - 1 - one)])[:orders]


def _chain(ranks: Tensor, samples: int) -> Tensor:
    """Coalitions bool `(2 + samples, count)`: all, none, then what each order shows before its last superpixel."""
    count = ranks.shape[1]
    shown = ranks[:, None] < torch.arange(1, max(count, 2))[:, None]
    return torch.cat([torch.tensor([[True], [False]]).expand(2, count), shown.flatten(0, 1)[:samples]])


def _mean_steps(ranks: Tensor, scores: Tensor) -> Tensor:
    """Each superpixel's mean step of the score float64 `(count,)`, made to sum to the difference of the ends.

    Args:
        ranks: as of `_orders`. scores: float64 `(2 + samples,)` of their chain, whose last order may be cut short.
    """
    (orders, count), (full, empty) = ranks.shape, scores[:2]
    drawn = torch.nn.functional.pad(scores[2:], (0, orders * max(count - 1, 1) - len(scores) + 2), value=torch.nan)
    inner = drawn.view(orders, -1)[:, : count - 1]
    ends = [end.expand(orders, 1) for end in (empty, full)]
    values = torch.cat([ends[0], inner, ends[1]], dim=1).diff(dim=1).gather(1, ranks).nanmean(0)
    return values + (full - empty - values.sum()) / count


def _draw(count: int, pairs: int, stream: torch.Generator) -> Tensor:
    """Coalitions bool `(2 + 2 pairs, count)`: all, none, then draws from the Shapley kernel and their complements."""
    ends = torch.tensor([[True], [False]]).expand(2, count)
    if count == 1:
        return torch.cat([ends, torch.zeros(2 * pairs, 1, dtype=torch.bool)])
    sizes = torch.arange(1, count, dtype=torch.float64)
    cumulative = (1 / (sizes * (count - sizes))).cumsum(0)
    # One size from each of `pairs` equal slices of the distribution.
    places = (torch.arange(pairs) + torch.rand(pairs, generator=stream, dtype=torch.float64)) / pairs
    drawn = 1 + torch.searchsorted(cumulative / cumulative[-1], places).clamp(max=count - 2)
    ranks = torch.rand(pairs, count, generator=stream).argsort(dim=1).argsort(dim=1)
    coalition = ranks < drawn[:, None]
    return torch.cat([ends, coalition, ~coalition])


def shapley_values(shown: Tensor, scores: Tensor, exists: Tensor) -> Tensor:
    """Least squares over coalitions under the constraint that the values sum to the difference of the ends.

    Args:
        shown: float64 `(n, 2 + samples, s)`, rows 0 and 1 the full and the empty coalition.
        scores: float64 `(n, 2 + samples)`. exists: float64 `(n, s)`, 1 for the superpixels that an image has.

    Returns:
        float64 `(n, s)`, 0 where a superpixel does not exist.
    """
    full, empty = scores[:, 0], scores[:, 1]
    drawn, rise = shown[:, 2:], scores[:, 2:] - empty[:, None]
    n, samples, s = drawn.shape
    system = torch.zeros(n, s + 1, s + 1, dtype=drawn.dtype, device=drawn.device)
    system[:, :s, :s] = drawn.mT @ drawn / samples
    # Keeps superpixels that do not exist at 0, and the system solvable when there are fewer draws than superpixels.
    system[:, :s, :s] += torch.diag_embed(1e-9 + (1 - exists))
    system[:, :s, s] = system[:, s, :s] = exists
    right = torch.cat([(drawn.mT @ rise[:, :, None]).squeeze(2) / samples, (full - empty)[:, None]], dim=1)
    return torch.linalg.solve(system, right[:, :, None])[:, :s, 0]
