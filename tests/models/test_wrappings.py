"""Weights inside wrappers, beside averages and counters, in other number types: the network that was saved, or one sentence."""

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.models.saved import IMAGENET, Holder, robustness
from xailib.errors import InputError
from xailib.models.checkpoints import lay_in
from xailib.models.layouts import network_state

State = dict[str, torch.Tensor]


def make(seed: int = 0, classes: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return Holder(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4), head=nn.Sequential(nn.Linear(4, classes)))


NETWORK = make()


def load(content: Any, **weights: Any) -> nn.Module:
    """What a record with these `weights` makes of a file's content."""
    network = make(seed=1)
    values = {"model": "mine", "mean": [0.5] * 3, "std": [0.5] * 3, "weights": weights}
    lay_in(network, network_state(content, values, "w.pth"), "w.pth", "mini")
    return network


def assert_is(found: nn.Module, wanted: nn.Module = NETWORK) -> None:
    assert all(torch.equal(value, wanted.state_dict()[key]) for key, value in found.state_dict().items())


def behind(prefix: str, network: nn.Module = NETWORK) -> State:
    return {prefix + key: value for key, value in network.state_dict().items()}


PREFIXES = ["", "module.", "_orig_mod.", "model.", "net.", "network.", "backbone.encoder.", "module._orig_mod.model."]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("key", [None, "state_dict"])
def test_any_prefix_of_all_names_comes_off(prefix: str, key: str | None) -> None:
    state = behind(prefix)
    assert_is(load({key: state, "epoch": 3} if key else state, layout="wrapped" if key or prefix else "plain"))


def test_the_wrappers_own_names() -> None:
    assert_is(load(nn.DataParallel(torch.compile(Holder(model=NETWORK))).state_dict()))


def test_a_robust_checkpoint_behind_more_prefixes() -> None:
    content = robustness(NETWORK, foreign=True, normal=((0.5,) * 3, (0.5,) * 3))
    content["model"] = {f"_orig_mod.{key}": value for key, value in content["model"].items()}
    assert_is(load(content, layout="robustness"))
    with pytest.raises(InputError, match=r"normalises with mean \[0\.485"):
        load(robustness(NETWORK, normal=IMAGENET))


def test_a_network_whose_own_names_begin_alike_keeps_them() -> None:
    inside, outside = Holder(model=make(1)), Holder(model=NETWORK)
    for content in (outside.state_dict(), nn.DataParallel(outside).state_dict()):
        lay_in(inside, network_state(content, {"model": "mine", "weights": {}}, "w"), "w")
        assert_is(inside.model)


def test_a_prefix_of_another_network_is_named_with_what_is_missing() -> None:
    state = {key: value for key, value in behind("model.").items() if "bn" not in key}
    with pytest.raises(
        InputError, match=r"not the weights of mini.*without the prefix 'model\.' of all its names, has no 'bn\.bias'$"
    ):
        load(state)
    with pytest.raises(InputError, match=r"without the prefix 'model\.' of all its names, has 'more', which"):
        load({**behind("model."), "model.more": torch.zeros(1)})
    with pytest.raises(InputError, match="weights tell 5 classes apart"):
        load(behind("model.", make(classes=5)))


def test_two_networks_in_one_dict_are_told() -> None:
    both = {**behind("student."), **behind("teacher.", make(2))}
    with pytest.raises(InputError, match=r"behind 'student\.' and 'teacher\.': save one network's weights alone"):
        load(both)


def test_counters_are_dropped_and_may_be_absent() -> None:
    state = {
        **behind(""),
        **{f"{at}total_{of}": torch.zeros(1, dtype=torch.float64) for at in ("", "conv.") for of in ("ops", "params")},
    }
    assert_is(load(state))
    averaged = AveragedModel(NETWORK)
    assert "n_averaged" in averaged.state_dict()
    assert_is(load(averaged.state_dict()))
    assert_is(load({key: value for key, value in behind("module.").items() if not key.endswith("num_batches_tracked")}))
    assert_is(load({**behind(""), "old.num_batches_tracked": torch.tensor(3)}))


@pytest.mark.parametrize("key", ["state_dict_ema", "ema_state_dict", "model_ema", "ema", "swa_model", "params_ema"])
def test_averaged_weights_are_preferred_and_said(key: str) -> None:
    average = AveragedModel(make(1), multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    average.update_parameters(NETWORK)
    average.update_parameters(make(2))
    content = {"epoch": 3, "state_dict": behind("module."), key: average.state_dict(), "ema_decay": 0.9}
    with pytest.warns(
        UserWarning, match=rf"w\.pth: its averaged weights '{key}' are used; weights.key takes 'state_dict'"
    ):
        assert_is(load(content), average.module)
    with warnings.catch_warnings(action="error"):
        assert_is(load(content, key="state_dict"))
        assert_is(load(content, key=key), average.module)
        assert_is(load({**content, key: None}))  # training without it
        assert_is(load({**content, "state_dict": None}), average.module)


def test_averages_inside_an_entry_and_without_names() -> None:
    raw, other = behind(""), make(2)
    with pytest.warns(UserWarning, match="averaged weights 'ema' are used"):
        assert_is(load({"model": raw, "ema": {"decay": 0.9, "shadow": other.state_dict()}}), other)
    with pytest.warns(UserWarning, match="averaged weights 'ema' have no names; 'model' is used"):
        assert_is(load({"model": raw, "ema": {"decay": 0.9, "shadow_params": list(raw.values())}}))


def test_a_key_that_holds_no_weights_is_refused() -> None:
    assert_is(load({"teacher": behind("module."), "student": behind("", make(2))}, key="teacher"))
    for content in ({"state_dict": behind(""), "epoch": 3}, behind("")):
        with pytest.raises(InputError, match=r"not a state dict under 'teachr' \(weights.key\): it holds"):
            load(content, key="teachr")
    with pytest.raises(InputError, match=r"it holds teacher, student; .*name their entry in weights.key"):
        load({"teacher": behind(""), "student": behind("")})


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_number_types(kind: torch.dtype) -> None:
    twin = copy.deepcopy(NETWORK).to(kind)
    found = load(twin.state_dict())
    assert found.conv.weight.dtype == torch.float32
    assert_is(found, twin.float())


def test_tensors_that_are_no_weights() -> None:
    for change, said in (
        (lambda value: value.to(torch.int8), r"'conv\.weight' holds torch.int8, not float weights"),
        (lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8), "holds torch.qint8, not float weights"),
        (lambda value: value / 0, r"'conv\.weight' holds NaN or infinite values"),
        (lambda value: value.double() * 1e300, "holds NaN or infinite values"),
        (lambda value: value[:, :2], r"'conv\.weight' has shape \(4, 2, 3, 3\), the network needs \(4, 3, 3, 3\)"),
    ):
        state = behind("module.")
        with pytest.raises(InputError, match=said):
            load({**state, "module.conv.weight": change(state["module.conv.weight"])})
