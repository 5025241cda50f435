"""Methods and metrics that no maintained package has, written from their papers in plain torch as a user would."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from peers import Seat, peer


@peer("rise", "recipe (RISE's formulas)")
@torch.inference_mode()
def rise(seat: Seat, count: int, seed: int) -> Tensor:
    """Petsiuk et al. 2018, section 3.2 and equation 6: masks are made first, and shared by all images."""
    generator = torch.Generator().manual_seed(seed)
    cell = -(-seat.side // 7)
    grids = (torch.rand(count, 1, 7, 7, generator=generator) < 0.5).float().to(seat.inputs.device)
    shifts = torch.randint(cell, (count, 2), generator=generator).tolist()
    large = functional.interpolate(grids, size=8 * cell, mode="bilinear", align_corners=False)[:, 0]
    cropped = [mask[y : y + seat.side, x : x + seat.side] for mask, (y, x) in zip(large, shifts, strict=True)]
    masks, maps = torch.stack(cropped), []
    for image, label in zip(seat.inputs, seat.labels.tolist(), strict=True):
        scores = torch.cat([
            seat.network(image * part[:, None]).softmax(1)[:, label] for part in masks.split(seat.batch)
        ])  # fmt: skip
        maps.append((scores @ masks.flatten(1)).view(seat.side, seat.side) / (count * 0.5))
    return torch.stack(maps)


@peer("meaningful_perturbation", "recipe (one image at a time)")
def meaningful_perturbation(seat: Seat, count: int, seed: int) -> Tensor:
    """Fong & Vedaldi 2017, equation 6 and section 4.3, as public re-implementations run it: Adam, one image at a time."""
    from torchvision.transforms.functional import gaussian_blur

    def blur(picture: Tensor, sigma: float) -> Tensor:
        return gaussian_blur(picture, 2 * int(4 * sigma + 0.5) + 1, sigma)

    torch.manual_seed(seed)
    unit = seat.side / 224
    cells, reach = max(4, round(28 * unit)), max(1, round(2 * unit))
    maps = []
    for image, label in zip(seat.inputs, seat.labels.tolist(), strict=True):
        image, mask = image[None], torch.ones(1, 1, cells, cells, device=seat.inputs.device, requires_grad=True)
        blurred, adam = blur(image, 10 * unit), torch.optim.Adam([mask], lr=0.1)
        for step in range(count + 1):
            shown = functional.interpolate(mask, seat.side, mode="bilinear", align_corners=False)
            shown = blur(shown, 5 * unit)
            if step == count:
                break
            shifts = torch.randint(-reach, reach + 1, (2,)).tolist()
            sharp, soft = (torch.roll(picture, shifts, (2, 3)) for picture in (image, blurred))
            score = seat.network(soft + shown * (sharp - soft)).softmax(1)[0, label]
            rough = mask.diff(dim=2).abs().pow(3).sum() + mask.diff(dim=3).abs().pow(3).sum()
            loss = 1e-4 * 784 / cells**2 * (1 - mask).abs().sum() + 1e-2 * rough + score
            adam.zero_grad()
            loss.backward()
            adam.step()
            mask.data.clamp_(0, 1)
        maps.append(1 - shown.detach()[0, 0])
    return torch.stack(maps)


@peer("deletion", "recipe (RISE's formulas)", same=True)
def deletion(seat: Seat, maps: Tensor, steps: int) -> Tensor:
    return removal(seat, maps, steps, seat.inputs.clone(), torch.zeros_like(seat.inputs))


@peer("insertion", "recipe (RISE's formulas)", same=True)
def insertion(seat: Seat, maps: Tensor, steps: int) -> Tensor:
    from scipy.ndimage import gaussian_filter

    delta = np.zeros((11, 11))
    delta[5, 5] = 1
    kernel = torch.from_numpy(gaussian_filter(delta, 5)).to(seat.inputs).expand(3, 1, 11, 11)
    return removal(seat, maps, steps, functional.conv2d(seat.inputs, kernel, padding=5, groups=3), seat.inputs)


@torch.inference_mode()
def removal(seat: Seat, maps: Tensor, steps: int, start: Tensor, finish: Tensor) -> Tensor:
    """Petsiuk et al. 2018, section 4.1: areas `(n,)` while `start` turns into `finish`, all images of a step at once."""
    order = maps.to(start.device).flatten(1).argsort(1, descending=True)[:, None].expand(-1, 3, -1)
    shown, other, curve = start.flatten(2).clone(), finish.flatten(2), []
    counts = torch.linspace(0, order.shape[2], steps + 1, dtype=torch.float64).round().long().tolist()
    for low, high in zip([0, *counts], counts, strict=False):
        changed = order[:, :, low:high]
        shown.scatter_(2, changed, other.gather(2, changed))
        curve.append(seat.network(shown.view_as(start)).softmax(1).gather(1, seat.labels[:, None]))
    return torch.trapezoid(torch.cat(curve, 1), torch.tensor(counts, device=start.device) / counts[-1], dim=1)


@peer("localisation", "recipe (OpenCV)", same=True)
def localisation(seat: Seat, maps: Tensor, steps: int) -> Tensor:
    """Choe et al. 2020, equation 3: one threshold at a time, the box of the largest contour; hits at the best one."""
    import cv2

    ious = np.zeros((len(maps), steps))
    for row, (values, truth) in enumerate(zip(maps.numpy(), seat.images.boxes, strict=True)):
        scaled = (values - values.min()) / (values.max() - values.min())
        for column, threshold in enumerate(np.arange(steps, dtype=np.float32) / np.float32(steps)):
            above = (scaled > threshold).astype(np.uint8)
            contours, _ = cv2.findContours(above, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            x, y, width, height = cv2.boundingRect(max(contours, key=cv2.contourArea))
            for x1, y1, x2, y2 in truth.tolist():
                common = max(0, min(x2, x + width) - max(x1, x)) * max(0, min(y2, y + height) - max(y1, y))
                union = (x2 - x1) * (y2 - y1) + width * height - common
                ious[row, column] = max(ious[row, column], common / union)
    best = ((ious >= 0.5).sum(0) + ious.mean(0) / 2).argmax()
    return torch.from_numpy(ious[:, best] >= 0.5).double()
