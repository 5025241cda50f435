"""Estimators of ROAR: rankings made of any attribution method's maps by one of the forms of `ensembles`.

An estimator is a file of `params/estimators/`: a method, a form, their options. Estimators that differ in nothing but
the form share one pass over the image, or one over its noisy copies.
"""

import torch
from torch import Tensor

from xailib import attribution, engine, params, registry
from xailib.attribution.blur import blur
from xailib.attribution.ensembles import Moments, moments, noisy_copies
from xailib.errors import InputError, named
from xailib.models.folding import lent
from xailib.models.model import Model
from xailib.models.probes import gradient_asked
from xailib.models.state import float32_by_default
from xailib.models.targets import as_images, as_targets
from xailib.params import checks, estimator_files, facts, signatures
from xailib.params.estimator_files import Record
from xailib.params.records import Estimator
from xailib.seeding import whole


def list_estimators(pattern: str = "*") -> list[str]:
    """Return the ids of the estimators (files of `params/estimators/`) that match a shell pattern."""
    return params.ids("estimators", pattern)


def pool(maps: Tensor) -> Tensor:
    """Return one value a pixel `(n, h, w)`: the mean over the colour channels of maps that have them."""
    return maps.mean(dim=1) if maps.ndim == 4 else maps


def estimate(
    records: list[Record],
    model: Model,
    pixels: Tensor,
    targets: Tensor,
    *,
    seed: int = 0,
    scale: str = "full",
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
) -> dict[str, Tensor]:
    """Return the maps of several estimators of one network, sharing passes where they can.

    As with `attribute`, batch size and order of the images change nothing beyond rounding, one seed repeats bit for
    bit, and the model is left as it was found. Memory grows with the maps that are returned, not with the copies.

    Args:
        records: values of estimator files (`params.load_params("estimators", id)`), different ids.
        pixels: float32 `(n, 3, h, w)` in [0, 1]. The noisy copies leave that range by design and are not cut.
        targets: int64 `(n,)`, the classes to explain.
        seed: start of every random stream; the noise of an image comes from (seed, image content).
        scale: which of the records' `estimator_scales` to use; full is the paper's.
        batch_size, precision, progress: as in `attribute`.

    Returns:
        {estimator id: float32 maps on the CPU}, `(n, 3, h, w)` where the method gives a value a channel (gradient,
        guided_backprop, integrated_gradients, shap), else `(n, h, w)`; higher is more important.

    Raises:
        InputError: a record with faults (all are told, with their files), input that `attribute` would refuse, a
            network that the method cannot explain, maps that are not finite.
    """
    # Facts of the registries as they are now, in the form that `xailib.params.facts` keeps them.
    kinds = {"methods": registry.method, "estimators": registry.estimator}
    known = {kind: {name: facts.describe(one) for name, one in kinds[kind].entries.items()} for kind in kinds}
    records = _resolved(records, scale, known)
    images, seed = as_images(pixels, model), whole(seed)
    pixels, targets = images.pixels, as_targets(targets, model, images)
    for record in records:
        with named(_file(record)):
            attribution.check_pair(registry.method.get(record["estimator_method"]), model, pixels)
    passes: dict[str, list[Record]] = {}
    for record in records:
        passes.setdefault(estimator_files.shared_pass(record, known), []).append(record)
    settings = {"batch_size": batch_size, "precision": precision, "progress": progress}
    with torch.inference_mode(False), torch.enable_grad(), float32_by_default(), engine.using(model, **settings) as run:

        def work(part: slice) -> dict[str, Tensor]:
            classes = targets[part].to(model.device, copy=True)
            found: dict[str, Tensor] = {}
            for sharing in passes.values():
                block = pixels[part].to(model.device, copy=True)
                with engine.using(progress=False):
                    summary = _summary(sharing[0], model, block, classes, seed, run.batch_size)
                for record in sharing:
                    maps = _formed(record, summary, model)
                    if record["estimator_blur"]:
                        maps = blur(maps, record["estimator_blur"], edges="reflect")
                    found[record["estimator"]] = maps.to("cpu", torch.float32)
            return found

        parts = engine.chunked(len(pixels), work, description=f"{model.id} estimators")
    return {record["estimator"]: torch.cat([part[record["estimator"]] for part in parts]) for record in records}


def _summary(record: Record, model: Model, pixels: Tensor, targets: Tensor, seed: int, batch_size: int) -> Moments:
    """The moments that every estimator of one pass is made of."""
    entry = registry.method.get(record["estimator_method"])
    function = getattr(entry.function, "channels", entry.function)
    given = {"seed": seed} if signatures.takes(function, "seed") else {}
    given |= record["estimator_options"]

    def explain(copies: Tensor, images: Tensor) -> Tensor:
        with gradient_asked(record["estimator_method"], model, copies), lent(model, copies, function) as fast:
            return function(fast, copies, targets[images], **given).detach().float()

    with named(_file(record)):
        if not registry.estimator.get(record["estimator_form"]).noisy:
            maps = explain(pixels, torch.arange(len(pixels), device=pixels.device))
            summary = Moments(maps, torch.zeros_like(maps))
        else:
            copies = noisy_copies(pixels, record["estimator_samples"], record["estimator_noise"], seed)
            summary = moments(explain, copies, together=max(1, batch_size // len(pixels)))
        attribution.check_values(summary.mean, entry.name, model)
    return summary


def _formed(record: Record, summary: Moments, model: Model) -> Tensor:
    """An estimator's maps, whose form need not be a shipped one."""
    name, shape = record["estimator_form"], summary.mean.shape
    own = Moments(summary.mean.clone(), summary.variance.clone())  # a form may write into them; others read them too
    maps = registry.estimator.get(name).function(own)
    if not isinstance(maps, Tensor) or maps.shape != shape:
        told = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise InputError(f"{_file(record)}: form '{name}' must return maps of the shape {tuple(shape)}, not {told}")
    with named(_file(record)):
        attribution.check_values(maps, f"{record['estimator_method']}, {name}", model)
    return maps


def _resolved(records: list[Record], scale: str, known: estimator_files.Facts) -> list[Record]:
    """The records' values at a scale, or one `InputError` with every fault of every file."""
    if not records:
        raise InputError("estimators: there is none to compute; list_estimators() names the shipped ones")
    stranger = next((record for record in records if not isinstance(record, dict)), None)
    if stranger is not None:
        raise InputError(
            f"estimators: a list of the values of estimator files is needed, not {stranger!r} in it; "
            "params.load_params('estimators', id) reads one"
        )
    faults: list[str] = []
    for record in records:
        # A record made by hand may lack or misspell a key; a file has been checked already.
        where = _file(record) if "estimator" in record else "estimators"
        wrong = [f"{where}: {fault}" for fault in checks.faults(Estimator, record)]
        faults += wrong or estimator_files.faults(record, known)
    ids = [record.get("estimator") for record in records]
    faults += [f"estimators: '{id}' is asked for twice" for id in dict.fromkeys(ids) if ids.count(id) > 1]
    params.refuse(faults)
    resolved = [estimator_files.settle(record, scale) for record in records]
    for record in resolved:
        method = registry.method.get(record["estimator_method"])
        with named(f"{_file(record)}: estimator_options"):
            signatures.check("method", method.name, method.function, record["estimator_options"])
    return resolved


def _file(record: Record) -> str:
    return f"params/estimators/{record['estimator']}.yaml"
