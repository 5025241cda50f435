"""Packages' metrics: `(seat, maps, steps) -> scores`, `(n,)`, or `(2, n)` for deletion and insertion at once."""

import numpy as np
import torch
from torch import Tensor

from peers import Seat, peer


def tolerance(side: int) -> int:
    """TorchRay's margin of 15 pixels at a side of 224, which it wants whole."""
    return round(15 * side / 224)


@peer("pointing_game", "TorchRay", same=True)
def pointing_by_torchray(seat: Seat, maps: Tensor, steps: int) -> Tensor:
    from torchray.benchmark.pointing_game import PointingGame

    game, width = PointingGame(1, tolerance=tolerance(seat.side)), maps.shape[2]
    points = [divmod(place, width)[::-1] for place in maps.flatten(1).argmax(1).tolist()]
    hits = [game.evaluate(mask, point) for mask, point in zip(seat.images.masks, points, strict=True)]
    return (torch.tensor(hits) == 1).double()


@peer("pointing_game_exact", "Quantus", same=True)
def pointing_by_quantus(seat: Seat, maps: Tensor, steps: int) -> Tensor:
    import quantus

    metric = quantus.PointingGame(normalise=False, disable_warnings=True)
    hits = metric(
        model=seat.network, x_batch=seat.inputs.cpu().numpy(), y_batch=seat.images.labels.numpy(),
        a_batch=maps[:, None].numpy(), s_batch=seat.images.masks[:, None].numpy(), device=str(seat.model.device),
    )  # fmt: skip
    return torch.tensor([float(hit) for hit in hits]).double()


@peer("deletion_insertion", "torch-cam", same=True)
def curves_by_torchcam(seat: Seat, maps: Tensor, steps: int) -> Tensor:
    """What torch-cam runs once it has a map: ranks, then both curves from one baseline."""
    from torchcam.methods import GradCAM
    from torchcam.metrics import DeletionInsertionMetric

    inputs, labels = seat.inputs, seat.labels
    with GradCAM(seat.network, seat.whole.cam_layer) as extractor, torch.inference_mode():
        metric = DeletionInsertionMetric(
            extractor, lambda logits: logits.softmax(-1), steps=steps, batch_size=seat.batch
        )
        order = maps.to(inputs.device).flatten(1).argsort(dim=1, descending=True, stable=True)
        full = seat.network(inputs).softmax(1).gather(1, labels[:, None]).squeeze(1)
        fractions, *curves = metric._compute_curves(inputs, torch.zeros_like(inputs), order.argsort(1), labels, full)
        return torch.stack([torch.trapezoid(curve, fractions, dim=1) for curve in curves])


@peer("deletion", "Quantus", same=True)
def pixel_flipping(seat: Seat, maps: Tensor, steps: int) -> Tensor:
    """Pixel-Flipping, whole pixels a step; it leaves out the full image, with which the area is Deletion's."""
    import quantus

    metric = quantus.PixelFlipping(
        features_in_step=3 * maps[0].numel() // steps, normalise=False, perturb_baseline=0.0, disable_warnings=True
    )
    metric.custom_preprocess = lambda **_: None  # it insists on steps that divide one channel
    curves = metric(
        model=seat.network, x_batch=seat.inputs.cpu().numpy(), y_batch=seat.images.labels.numpy(),
        a_batch=maps[:, None].numpy(), softmax=True, batch_size=seat.batch, device=str(seat.model.device),
    )  # fmt: skip
    with torch.inference_mode():
        full = seat.network(seat.inputs).softmax(1).gather(1, seat.labels[:, None]).cpu()
    return torch.trapezoid(torch.cat([full.double(), torch.from_numpy(np.array(curves)).double()], 1), dim=1) / steps
