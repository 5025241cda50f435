"""The engine: chunks that fit, answers that are finite, seconds of a device that runs by itself, fixed shapes."""

import itertools
import re
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

import xailib as xai
from xailib import engine
from xailib.engine import cost, fixed_shape, passes, settings
from xailib.engine.passes import answer
from xailib.images import ImageBatch
from xailib.metrics import curves
from xailib.metrics.accuracy import predictions
from xailib.models.model import Model

SIDE = 16
N = 6
OPTIONS = {
    "integrated_gradients": {"steps": 4},
    "shap": {"samples": 4},
    "lime": {"samples": 12, "segments": 6},
    "kernel_shap": {"samples": 12, "segments": 6},
    "extremal_perturbation": {"steps": 3, "step": 28.0, "sigma": 56.0},
    "meaningful_perturbation": {"steps": 3},
    "rise": {"masks": 12},
}


def make_model() -> Model:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    )
    return Model(
        network, id="toy", architecture="toy", training_algorithm="vanilla", input_size=SIDE, class_names=list("abc"),
        mean=(0.4,) * 3, std=(0.2,) * 3, cam_layer="1", offers=("cam_layer", "gap_linear_head"),
    )  # fmt: skip


@pytest.fixture
def model() -> Model:
    return make_model()


@pytest.fixture(scope="module")
def images() -> ImageBatch:
    pixels = torch.rand(N, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    box = torch.tensor([[2.0, 3.0, 9.0, 12.0]])
    masks = torch.zeros(N, SIDE, SIDE, dtype=torch.bool)
    masks[:, 3:12, 2:9] = True
    return ImageBatch(pixels, torch.arange(N) % 3, [box] * N, masks, [f"i{i}" for i in range(N)])


def small_memory(model: Model, most: int) -> list[int]:
    """Let a model run out of memory above `most` inputs; returns the sizes of its passes as they come."""
    sizes, forward = [], model.forward

    def limited(pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        if len(pixels) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return forward(pixels)

    model.forward = limited
    return sizes


def test_memory_halves_the_chunk_and_the_run_remembers(model, images):
    sizes = small_memory(model, 2)
    with engine.using(batch_size=6):
        first = engine.logits(model, images.pixels)
        assert sizes == [6, 3, 1, 1, 1, 1, 1, 1]
        sizes.clear()
        with engine.using(precision="fp32"):
            assert torch.equal(engine.logits(model, images.pixels), first)
        assert sizes == [1] * 6, "the smaller chunk is kept within the run"
    sizes.clear()
    with engine.using(batch_size=6):
        engine.logits(model, images.pixels)
    assert sizes[0] == 6, "another run tries again"
    assert_close(first, engine.logits(make_model(), images.pixels))


def test_a_cpu_gets_no_larger_passes_than_its_caches_serve(model, images, monkeypatch):
    monkeypatch.setattr(settings, "CPU_PIXELS", 3 * SIDE**2)
    sizes: list[int] = []
    with engine.using(cost=engine.Cost(hear=sizes.append)):
        predictions(model, images)
        assert sizes == [3, 3]
        maps = xai.attribute("rise", model, images, masks=4)
        xai.evaluate("deletion", maps, model, images, steps=4)
    assert max(sizes) == 3
    with engine.using(model, batch_size=2) as fewer, engine.using() as within:
        assert fewer.batch_size == within.batch_size == 2
    with engine.using(model.to("meta"), batch_size=200) as elsewhere:
        assert elsewhere.batch_size == 200
    with engine.using(batch_size=np.int64(2)) as counted:
        assert type(counted.batch_size) is int
    for wrong in ("8", 2.5, True, float("nan")):
        said = f"batch_size: {wrong!r} is not a positive number of images"
        with pytest.raises(xai.InputError, match=said), engine.using(batch_size=wrong):
            pass
    with pytest.raises(xai.InputError, match="batch_size: 0"), engine.using(model, batch_size=0):
        pass
    for call in (xai.evaluate, curves):
        with pytest.raises(xai.InputError, match="a xailib Model is needed, not Linear"):
            call("deletion", maps, torch.nn.Linear(1, 1), images)


def test_a_failed_try_lets_go_of_its_memory():
    alive = []

    def work(part: slice) -> int:
        assert not any(reference() is not None for reference in alive), "the failed try still holds its tensors"
        held = torch.zeros(4)
        alive.append(weakref.ref(held))
        if part.stop - part.start > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return part.stop

    with engine.using(batch_size=4):
        assert engine.chunked(4, work) == [2, 4]


def test_too_little_memory_for_one_is_one_sentence(model, images):
    small_memory(model, 0)
    with pytest.raises(xai.InputError, match="toy forward: one item at a time is too much") as error:
        engine.logits(model, images.pixels)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["extremal_perturbation", "meaningful_perturbation", "rise", "integrated_gradients"])
def test_methods_survive_little_memory(name, model, images):
    whole = xai.attribute(name, model, images.pixels, images.labels, **OPTIONS[name])
    sizes = small_memory(model, 7)
    maps = xai.attribute(name, model, images.pixels, images.labels, **OPTIONS[name])
    assert max(sizes) > 7 or name == "meaningful_perturbation"
    assert_close(maps, whole, atol=1e-5 * float(whole.abs().max()) + 1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", ["extremal_perturbation", "meaningful_perturbation"])
def test_masks_of_many_images_are_optimised_at_once(name, model, images):
    sizes = small_memory(model, 10**6)
    xai.attribute(name, model, images.pixels, images.labels, **OPTIONS[name])
    assert sizes.count(3 * N if name.startswith("extremal") else N) == 3


class Waits(TorchDispatchMode):
    """How often a value was read from the device."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += any(word in str(function) for word in ("_local_scalar_dense", "is_nonzero", "aten.nonzero"))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", [*OPTIONS, "gradient", "guided_backprop", "cam", "gradcam", "deletion", "logits"])
def test_no_loop_waits_for_the_device(name, model, images):
    """A value read in a loop would be read more often when there are more rounds of it."""
    xai.attribute("guided_backprop", model, images.pixels, images.labels)  # some things are looked at once a network
    counts = []
    for batch_size in (4, 64):
        with engine.using(batch_size=batch_size), Waits() as waits:
            if name == "logits":
                engine.logits(model, images.pixels)
            elif name in xai.list_metrics():
                xai.evaluate(name, torch.rand(N, SIDE, SIDE), model, images, steps=8)
            elif name == "meaningful_perturbation":  # whose one chunk an image batch settles its starting circles
                xai.attribute(name, model, images.pixels, images.labels, batch_size=64, steps=batch_size // 2)
            else:
                maps = xai.attribute(name, model, images.pixels, images.labels, **OPTIONS.get(name, {}))
                assert len(maps) == N
        counts.append(waits.count)
    assert counts[0] == counts[1]


def test_an_answer_that_is_no_number_is_found_in_any_chunk(model, images):
    calls, forward = itertools.count(), model.forward
    model.forward = lambda pixels: forward(pixels) * (torch.nan if next(calls) == 2 else 1)
    with engine.using(batch_size=1), pytest.raises(xai.InputError, match="model 'toy' answered NaN or infinity"):
        engine.logits(model, images.pixels)
    assert next(calls) == N, "looked at when the loop was over"


def test_a_model_that_never_answers_is_refused_after_the_first_chunk(model, images):
    calls = itertools.count()
    model.forward = lambda pixels: pixels.mean((2, 3)) * torch.inf * next(calls).bit_length() + torch.inf
    with engine.using(batch_size=1), pytest.raises(xai.InputError, match="model 'toy' answered NaN"):
        engine.scores(model, images.labels, 4, lambda i, s: images.pixels[i])
    assert next(calls) == 1


class Clock:
    """Stands for a GPU that finishes its passes some time after they are asked for, and for its events."""

    now, done = 0.0, 0.0

    def __init__(self, _device):
        Clock.now += 1.0
        self.at = Clock.now

    def query(self):
        return self.at <= Clock.done

    def synchronize(self):
        Clock.done = max(Clock.done, self.at)

    def elapsed_time(self, end):
        return 1000 * (end.at - self.at)


def test_seconds_on_a_gpu_are_the_devices_and_only_reading_them_waits(monkeypatch):
    monkeypatch.setattr(cost, "_recorded", Clock)
    Clock.now = Clock.done = 0.0
    inner, outer = engine.Cost(), engine.Cost()
    for _ in range(3):
        with inner.timed(torch.device("cuda")):
            Clock.now += 4.0  # between the events
    outer.add(inner)
    assert Clock.done == 0, "nothing has waited"
    assert inner.seconds == outer.seconds == 15.0 and Clock.done == Clock.now
    assert inner.seconds == 15.0, "reading twice adds nothing"


def test_events_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(cost, "_recorded", Clock)
    Clock.now, Clock.done = 0.0, 1e9
    one = engine.Cost()
    for _ in range(2 * cost.FOLDED + 3):
        with one.timed(torch.device("cuda")):
            pass
    assert len(one._events) < cost.FOLDED and one.seconds == 2 * cost.FOLDED + 3


def test_bf16_passes_are_counted_apart(model, images):
    with engine.using(precision="bf16") as run:
        xai.attribute("rise", model, images.pixels, images.labels, masks=5)
        xai.attribute("gradient", model, images.pixels, images.labels)
        xai.attribute("gradcam", model, images.pixels, images.labels)
    assert (run.cost.forward, run.cost.forward_bf16) == (7 * N, 6 * N)
    assert (run.cost.backward, run.cost.backward_bf16) == (2 * N, N)


def test_passes_are_heard_of_once_when_they_are_made_also_in_inner_blocks(model, images):
    heard = []
    with engine.using(cost=engine.Cost(hear=heard.append), batch_size=2) as run:
        xai.attribute("gradient", model, images, "predicted")
        with engine.using(batch_size=2):
            engine.logits(model, images.pixels)
    assert len(heard) > 2 and sum(heard) == run.cost.forward + run.cost.backward

    def stop(passes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), engine.using(cost=engine.Cost(hear=stop)):
        engine.logits(model, images.pixels)


def test_a_shape_is_prepared_when_it_is_met_again():
    calls = []

    def plain(x):
        calls.append(("plain", len(x)))
        return (x + 1,)

    def prepare(function, inputs):
        calls.append(("prepared", len(inputs[0])))
        return lambda x: (calls.append(("fast", len(x))), x + 1)[1:]

    loop = fixed_shape.FixedShape(plain, prepare)
    for size in (8, 8, 8, 3):  # the last chunk is smaller, once
        assert torch.equal(loop(torch.ones(size))[0], torch.full((size,), 2.0))
    assert calls == [("plain", 8), ("prepared", 8), ("fast", 8), ("fast", 8), ("plain", 3)]
    calls.clear()
    for size in (4, 4, 4):  # as after a halved chunk
        loop(torch.ones(size))
    assert calls == [("plain", 4), ("prepared", 4), ("fast", 4), ("fast", 4)]


def test_on_a_cpu_cuda_graphs_run_as_they_are_and_say_so(model, images, capsys):
    fixed_shape._say.cache_clear()
    for name in ("rise", "extremal_perturbation"):
        plain = xai.attribute(name, model, images.pixels, images.labels, **OPTIONS[name])
        with engine.using(compile="cuda_graphs"):
            assert torch.equal(plain, xai.attribute(name, model, images.pixels, images.labels, **OPTIONS[name]))
    assert capsys.readouterr().err == "compile: cuda_graphs is for GPUs; on 'cpu' passes run as they are\n"


def rise_of(model, images, mode, masks=40):
    with engine.using(compile=mode, batch_size=16):
        return xai.attribute("rise", model, images.pixels, images.labels, masks=masks)


def test_a_compiler_that_fails_is_said_once_and_passes_go_on(model, images, capsys, monkeypatch):
    def failing(*_, **__):
        raise OSError(28, "No space left on device")

    plain = rise_of(model, images, "none")
    fixed_shape._say.cache_clear()
    monkeypatch.setattr(fixed_shape, "_has_compiler", lambda: True)
    monkeypatch.setattr(fixed_shape, "_frozen", lambda model: "compiled")
    monkeypatch.setattr(engine, "answer", lambda m, *rest: failing() if m == "compiled" else answer(m, *rest))
    assert torch.equal(rise_of(model, images, "compile"), plain)
    said = "compile: the compiler failed (OSError: [Errno 28] No space left on device); passes run as they are\n"
    assert capsys.readouterr().err == said


def test_without_a_compiler_passes_run_as_they_are_without_a_word(model, images, capsys, monkeypatch):
    plain = rise_of(model, images, "none")
    monkeypatch.setattr(fixed_shape, "_has_compiler", lambda: False)
    monkeypatch.setattr(fixed_shape, "_frozen", None)
    assert torch.equal(rise_of(model, images, "compile"), plain)
    assert capsys.readouterr().err == ""


def test_auto_compiles_where_a_loop_is_long_enough_to_repay_it(model, images, monkeypatch):
    """The count decides, so the same slice runs the same way each time."""
    compiled_models = []
    monkeypatch.setattr(fixed_shape, "_has_compiler", lambda: True)
    monkeypatch.setattr(fixed_shape, "_frozen", lambda model: compiled_models.append(model) or model)
    rise_of(model, images, "auto", masks=400)
    assert not compiled_models, "a small network is not worth it"
    monkeypatch.setattr(fixed_shape, "WORTH", 1e6)
    rise_of(model, images, "auto", masks=400)
    assert len(compiled_models) == 1


def test_bf16_is_taken_where_it_is_computed(model, images, monkeypatch):
    for computed in (True, False):
        monkeypatch.setattr(passes, "computes_bf16", lambda kind, computed=computed: computed)
        with engine.using(precision="auto") as run:
            engine.logits(model, images.pixels)
        assert run.cost.forward_bf16 == (N if computed else 0)


def test_emulated_bf16_says_its_price_once(model, images, monkeypatch, capsys):
    monkeypatch.setattr(passes, "computes_bf16", lambda kind: False)
    passes._say_price.cache_clear()
    for _ in range(2):
        with engine.using(precision="bf16") as run:
            engine.logits(model, images.pixels)
        assert run.cost.forward_bf16 == N, "what was asked for is done"
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"precision: this CPU emulates bf16: a convolution takes [0-9.]+ times as long as in fp32; "
        "precision: auto takes the faster",
        line,
    )


def test_unknown_settings_are_refused():
    with pytest.raises(xai.InputError, match="compile: 'fast' is not known; use auto, none, compile, cuda_graphs"):
        engine.using(compile="fast").__enter__()


def test_fp32_is_exact_and_the_switches_are_put_back(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # the switches are there without a GPU too
    conv, matmul = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = conv.fp32_precision, matmul.fp32_precision
    with engine.using(precision="fp32"):
        assert conv.fp32_precision == matmul.fp32_precision == "ieee"
    assert (conv.fp32_precision, matmul.fp32_precision) == before
    with engine.using(precision="bf16"):
        assert (conv.fp32_precision, matmul.fp32_precision) == before
