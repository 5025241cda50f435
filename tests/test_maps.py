"""The calling side: images and classes in any form, `Maps` that know what they explain, scores of the class explained."""

import copy
import functools
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import xailib as xai
from xailib import params, results
from xailib.attribution.pooling import pooled
from xailib.metrics import curves
from xailib.metrics.accuracy import accuracy_table, predictions
from xailib.models.model import Model
from xailib.models.targets import as_targets

NAMES = ["red", "green", "light blue"]
SIDE = 16


class Colours(nn.Module):
    """Class k is the share of colour k; what is explained of an image is where this colour is."""

    def forward(self, pixels):
        return 20 * pixels.mean(dim=(2, 3))


@pytest.fixture
def model():
    facts = dict(architecture="toy", training_algorithm="vanilla", input_size=SIDE)
    return Model(Colours(), id="colours", class_names=NAMES, **facts)


def pixels(*classes):
    """Images with a patch of the colour of their class, top left, and a smaller patch of the next one, bottom right."""
    found = torch.zeros(len(classes), 3, SIDE, SIDE)
    for i, colour in enumerate(classes):
        found[i, colour, :8, :8] = 1
        found[i, (colour + 1) % 3, 12:, 12:] = 1
    return found


@pytest.fixture
def images():
    return xai.ImageBatch(pixels(0, 1, 2, 0), ids=list("abcd"))


def corner(map):
    row, column = divmod(int(map.argmax()), SIDE)
    return row < 8 and column < 8


def test_the_predicted_class_is_explained_unless_told(model, images):
    maps = xai.attribute("gradient", model, images, pooling="signed_sum")
    assert maps.targets.tolist() == [0, 1, 2, 0] and maps.target_names == ["red", "green", "light blue", "red"]
    assert maps.ids == list("abcd") and (maps.method, maps.label, maps.model) == ("gradient", "Gradient", "colours")
    assert maps.options == {"seed": 0, "pooling": "signed_sum", "output": "logit"}


@pytest.mark.parametrize(
    ("targets", "found"),
    [
        (None, [0, 1, 2, 0]), ("predicted", [0, 1, 2, 0]), ("label", [2, 2, 1, 0]), (1, [1, 1, 1, 1]), ("green", [1, 1, 1, 1]),
        ("Light_Blue", [2, 2, 2, 2]), (np.int64(2), [2, 2, 2, 2]), (torch.tensor(2), [2, 2, 2, 2]),
        (["red", 1, np.int32(2), "red"], [0, 1, 2, 0]), (torch.tensor([2, 1, 0, 0], dtype=torch.uint8), [2, 1, 0, 0]),
        (np.array([2, 1, 0, 0]), [2, 1, 0, 0]), (range(4), None), (4 * [True], None), ({0, 1, 2, 3}, None),
        (dict.fromkeys(NAMES), None), ("", None), (torch.zeros(4, 3, dtype=torch.long), None), ([0.0] * 4, None),
        (3, None), (-1, None),
    ],
)  # fmt: skip
def test_targets_are_words_names_and_numbers(model, images, targets, found):
    images = images.with_labels([2, 2, 1, 0])
    if found is None:
        with pytest.raises(xai.InputError, match=r"^targets: "):
            xai.attribute("gradient", model, images, targets)
    else:
        assert xai.attribute("gradient", model, images, targets).targets.tolist() == found


def test_images_come_in_any_form(model, images, tmp_path):
    whole = xai.attribute("sobel", model, images)
    arrays = (images.pixels.movedim(1, -1) * 255).byte().numpy()
    pictures = [Image.fromarray(array) for array in arrays]
    for name, picture in zip("abcd", pictures, strict=True):
        picture.resize((2 * SIDE, 2 * SIDE), Image.Resampling.NEAREST).save(tmp_path / f"{name}.png")
    forms = [
        images.pixels,
        images.pixels.double(),
        images.pixels.clone().requires_grad_(),
        arrays,
        pictures,
        list(arrays),
    ]
    for form in forms:
        assert torch.equal(xai.attribute("sobel", model, form), whole)
    for form in (str(tmp_path) + "/", sorted(tmp_path.iterdir())):  # photographs get the network's side
        maps = xai.attribute("sobel", model, form)
        assert maps.shape == whole.shape and sorted(name[0] for name in maps.ids) == list("abcd")


def test_maps_are_a_tensor_that_remembers(model, images):
    maps = xai.attribute("gradient", model, images)
    assert isinstance(maps, torch.Tensor) and maps.dtype == torch.float32 and type(maps.values) is torch.Tensor
    assert np.array_equal(np.asarray(maps), maps.values.numpy()) and torch.equal(torch.as_tensor(maps), maps.values)
    for plain in (2 * maps, maps.abs(), maps[0], maps[0, 0], torch.cat([maps, maps]), next(iter(maps))):
        assert type(plain) is torch.Tensor
    for rows in (slice(1, 3), [1, 2], torch.tensor([1, 2]), np.array([False, True, True, False])):
        part = maps[rows]
        assert part.ids == ["b", "c"] and part.targets.tolist() == [1, 2] and part.target_names == NAMES[1:]
        assert torch.equal(part, maps.values[1:3]) and part.method == "gradient"
    for twin in (copy.deepcopy(maps), pickle.loads(pickle.dumps(maps))):
        assert torch.equal(twin, maps) and vars(twin).keys() == vars(maps).keys() and twin.ids == maps.ids
    assert repr(maps) == (
        "Maps 4 x 16 x 16: Gradient on model 'colours', explaining red, green, light blue, ...; .values is the tensor"
    )


@pytest.mark.parametrize("name", ["deletion", "insertion"])
def test_the_class_that_was_explained_is_scored(name, model, images):
    """By hand: the same numbers as with the explained class for a label, and others than with another label."""
    images = images.with_labels([1, 1, 1, 1])
    maps = xai.attribute("sobel", model, images, "green")
    other = xai.attribute("sobel", model, images, "light blue")
    assert torch.equal(maps, other)

    def value(*arguments, **options):
        return xai.evaluate(name, *arguments, steps=8, **options)["value"].tolist()

    assert value(maps, model, images) == value(maps.values, model, images)  # a plain tensor is scored for the labels
    assert (
        value(other, model, images)
        == value(maps.values, model, images.with_labels([2] * 4))
        != value(maps, model, images)
    )
    assert value(other, model, images) == value(maps.numpy(), model, images, targets="light blue")
    lines = curves(name, other, model, images, steps=8)
    assert torch.equal(lines, curves(name, maps.values, model, images, targets=2, steps=8))


def test_several_metrics_make_one_table(model):
    images = xai.ImageBatch(pixels(0, 1), boxes=[[[0, 0, 8, 8]]] * 2)
    maps = xai.attribute("gradient", model, images)
    table = xai.evaluate(["Deletion", "pointing game"], maps, model, images, steps=8, tolerance=0.0)
    assert table["metric"].tolist() == 2 * ["deletion"] + 2 * ["pointing_game"]
    for name, options in (("deletion", {"steps": 8}), ("pointing_game", {"tolerance": 0.0})):
        alone = xai.evaluate(name, maps, model, images, **options)
        both = table[table["metric"] == name].reset_index(drop=True)[alone.columns]
        pd.testing.assert_frame_equal(both, alone, check_dtype=False)
    with pytest.raises(xai.InputError, match=r"has no option 'stepz'; did you mean 'steps'"):
        xai.evaluate(["deletion", "pointing_game"], maps, model, images, stepz=8)
    with pytest.raises(xai.InputError, match=r"metric: a name is needed, not NoneType"):
        xai.evaluate(None, maps, model, images)
    with pytest.raises(xai.InputError, match=r"list of metrics is empty"):
        xai.evaluate([], maps, model, images)


def test_maps_of_other_images_are_refused(model, images):
    maps = xai.attribute("gradient", model, images)
    assert len(xai.evaluate("deletion", maps[1:], model, images.select([1, 2, 3]), steps=4)) == 3
    for wrong in (images.select([1, 0, 2, 3]), xai.ImageBatch(images.pixels)):
        with pytest.raises(xai.InputError, match=r"maps: they explain other images .'a' where the images have"):
            xai.evaluate("deletion", maps, model, wrong, steps=4)
        with pytest.raises(xai.InputError, match=r"maps: they explain other images"):
            xai.show(wrong, maps)
    with pytest.raises(
        xai.InputError, match=r"maps: the shape \(4, 16, 16\) does not fit the images; use \(4, 24, 24\)"
    ):
        xai.evaluate("deletion", maps, model, torch.rand(4, 3, 24, 24), steps=4)
    with pytest.raises(xai.InputError, match=r"maps: a tensor or array .n, h, w. is needed, not str"):
        xai.evaluate("deletion", "maps", model, images)
    # Maps of a tensor have no ids, and go with the same images by any name.
    assert len(xai.evaluate("deletion", xai.attribute("gradient", model, images.pixels), model, images, steps=4)) == 4


def test_what_evaluate_refuses_of_images_is_what_attribute_refuses(model, images):
    maps = torch.rand(4, SIDE, SIDE)
    cases = [
        (images.pixels * 255, "divide by 255"), (images.pixels.movedim(1, -1), "channels last"), ([], "the list is empty"),
        ("no_such_folder/", "there is no such file or folder"), (None, "not NoneType"),
    ]  # fmt: skip
    for wrong, said in cases:
        calls = (
            lambda w=wrong: xai.attribute("gradient", model, w), lambda w=wrong: predictions(model, w),
            lambda w=wrong: xai.evaluate("deletion", maps, model, w, targets=0), lambda w=wrong: xai.explore(model, w),
        )  # fmt: skip
        for call in calls:
            with pytest.raises(xai.InputError, match=said):
                call()
    images.pixels.mul_(255)  # behind the batch's back
    with pytest.raises(xai.InputError, match=r"divide by 255"):
        xai.evaluate("deletion", maps, model, images, targets=0)
    with pytest.raises(xai.InputError, match=r"targets: these maps do not say which class they explain"):
        xai.evaluate("deletion", maps, model, pixels(0, 1, 2, 0))
    for call in (
        lambda: xai.evaluate("deletion", maps, nn.Identity(), images),
        lambda: predictions(nn.Identity(), images),
    ):
        with pytest.raises(xai.InputError, match=r"a xailib Model is needed, not Identity"):
            call()


def test_references_of_shap_are_pictures(model, images):
    def explain(references):
        return xai.attribute("shap", model, images, samples=4, references=references)

    grey = torch.full((2, 3, SIDE, SIDE), 0.2)
    assert torch.equal(explain(grey), explain(grey.double().requires_grad_()))
    assert torch.equal(explain(grey), explain((grey * 255).byte()))
    with pytest.raises(xai.InputError, match=r"method 'shap': references: .*divide by 255"):
        explain(grey * 255)


def test_labels_are_the_classes_of_the_network_by_name(model, images):
    mine = xai.ImageBatch(images.pixels, labels=[1, 0, 1, 0], class_names=["Light-Blue", "red"])
    assert xai.attribute("gradient", model, mine, "label").targets.tolist() == [0, 2, 0, 2]
    assert predictions(model, mine)["label"].tolist() == [0, 2, 0, 2]
    other = xai.ImageBatch(images.pixels, labels=[1, 0, 1, 0], class_names=["cat", "dog"])
    for call in (
        lambda: xai.attribute("gradient", model, other, "label"),
        lambda: xai.evaluate("deletion", torch.rand(4, SIDE, SIDE), model, other),
        lambda: predictions(model, other),
    ):
        with pytest.raises(
            xai.InputError, match=r"'cat' is none of model 'colours': .* cat, dog, .* red, green, light blue"
        ):
            call()
    maps = xai.attribute("gradient", model, other)  # what the network predicts needs no names in common
    assert len(xai.evaluate("deletion", maps, model, other, steps=4)) == 4
    twins = Model(
        Colours(), id="twins", architecture="", training_algorithm="", input_size=SIDE, class_names=["a", "a", "b"]
    )
    with pytest.raises(xai.InputError, match=r"0 and 1 have this name, so give the index"):
        xai.attribute("gradient", twins, images, "a")


def test_names_that_differ_in_case_alone_are_classes_of_their_own():
    facts = dict(
        id="cases", architecture="", training_algorithm="", input_size=SIDE, class_names=["r", "R", "Blue_Sky"]
    )
    model = Model(Colours(), **facts)
    pixels = torch.rand(3, 3, SIDE, SIDE)
    images = xai.ImageBatch(pixels, labels=[0, 1, 2], class_names=["R", "r", "blue sky"])
    assert as_targets("label", model, images).tolist() == [1, 0, 2]
    assert as_targets(["r", "R", "blue-sky"], model, images).tolist() == [0, 1, 2]


def test_predictions_of_images_without_labels(model, images):
    table = predictions(model, images)
    assert table["predicted"].tolist() == [0, 1, 2, 0] and (table["label"] == -1).all()
    assert table[["label_probability", "correct"]].isna().all(axis=None)
    row = accuracy_table(model, {"clean": images}).iloc[0]
    assert row["n"] == 4 and np.isnan(row["accuracy"]) and row["mean_confidence"] > 0.5


@pytest.mark.parametrize("name", ["gradcam", "GradCAM", "Grad-CAM", "Grad CAM", "grad_cam"])
def test_a_method_by_any_spelling(name, model, images):
    model.offers, cam = (
        frozenset({"cam_layer"}),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )
    facts = dict(architecture="toy", training_algorithm="", input_size=SIDE, class_names=list("abcd"), cam_layer="0")
    assert xai.attribute(name, Model(cam, id="cam", **facts), images).method == "gradcam"


def test_a_function_is_a_method(model, images):
    def patch(model, pixels, targets, *, seed: int, power: float = 1.0):
        return pixels[torch.arange(len(pixels)), targets] ** power + 0 * seed

    maps = xai.attribute(patch, model, images, power=2.0)
    assert maps.method == "patch" and maps.options == {"seed": 0, "power": 2.0} and all(corner(map) for map in maps)
    assert (
        xai.attribute(lambda model, pixels, targets: pixels.mean(1), model, images).shape == maps.shape
    )  # draws nothing
    with pytest.raises(xai.InputError, match=r"method 'patch' has no option 'powr'; did you mean 'power'"):
        xai.attribute(patch, model, images, powr=2)
    for wrong, said in (
        (lambda m, x, t: x, r"the shape \(4, 3, 16, 16\); @pooled"),
        (lambda m, x, t: None, "NoneType"),
    ):
        with pytest.raises(xai.InputError, match=rf"must return maps, a tensor of the shape .4, 16, 16., not {said}"):
            xai.attribute(wrong, model, images)
    part = functools.partial(patch, power=3.0)
    assert torch.equal(xai.attribute(part, model, images), xai.attribute(patch, model, images, power=3.0))
    with pytest.raises(xai.InputError, match=r"model: a xailib Model is needed, not str"):
        xai.attribute(model, "gradient", images)


def test_a_function_of_channels_is_pooled_by_a_named_option(model, images):
    mine = pooled("signed_mean")(lambda model, pixels, targets: pixels)
    pixels = images.pixels
    maps = xai.attribute(mine, model, images)
    assert torch.equal(maps, pixels.mean(1)) and maps.options == {"seed": 0, "pooling": "signed_mean"}
    assert torch.equal(xai.attribute(mine, model, images, pooling="abs_max"), pixels.amax(1))
    with pytest.raises(xai.InputError, match="option pooling must be one of abs_max, abs_sum, signed_mean, signed_sum"):
        xai.attribute(mine, model, images, pooling="max")
    assert torch.equal(mine.channels(model, pixels, images.labels), pixels), "what ROAR ranks"


CELL = """
@method('mine', family='control', label='Mine', paper='')
def {0}(model, pixels, targets, *, seed):
    return pixels[:, {1}]
"""


def test_a_cell_may_run_again_and_files_may_not_share_a_name(monkeypatch, model, images):
    from xailib.registry import method, metric

    monkeypatch.setattr(method, "entries", dict(method.entries))
    cell = {"__name__": "__main__", "method": method}
    exec(CELL.format("mine", 0), cell)
    first = xai.attribute("mine", model, images)
    exec(CELL.format("mine_too", 1), cell)
    assert not torch.equal(first, xai.attribute("Mine", model, images)) and xai.list_methods("mine") == ["mine"]
    with pytest.raises(TypeError, match=r"method 'mine' is registered twice, by __main__.mine_too and other.mine"):
        exec(CELL.format("mine", 1), {"__name__": "other", "method": method})
    with pytest.raises(TypeError, match=r"method 'Grad-CAM' is registered twice"):
        exec(CELL.format("mine", 1).replace("'mine'", "'Grad-CAM'"), cell)
    assert metric.get("Pointing-Game").name == "pointing_game"
    with pytest.raises(xai.InputError, match=r"metric: a name is needed, not int"):
        xai.evaluate([3], first, model, images)


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, torch.tensor])
def test_a_seed_of_any_integer_type_is_one_stream(kind, model, images):
    whole = xai.attribute("rise", model, images, masks=8, seed=3)
    assert torch.equal(xai.attribute("rise", model, images, masks=8, seed=kind(3)), whole)
    given = [
        xai.load_images("pictograms", limit=kind(2) if kind is not torch.tensor else 2, seed=s) for s in (3, kind(3))
    ]
    assert given[0].ids == given[1].ids and torch.equal(given[0].pixels, given[1].pixels)
    constant = torch.zeros(4, SIDE, SIDE)
    if kind is not torch.tensor:  # an option of a metric is a plain or NumPy number
        scores = [xai.evaluate("deletion", constant, model, images, targets=0, seed=s, steps=4) for s in (3, kind(3))]
        assert scores[0].equals(scores[1])


NO_SEEDS = [True, np.True_, torch.tensor(True), 1.5, np.float32(1), None, "0", -1, [0], torch.tensor([0, 1])]


@pytest.mark.parametrize("seed", NO_SEEDS, ids=repr)
def test_what_is_no_seed(seed, model, images):
    for call in (
        lambda: xai.attribute("gradient", model, images, seed=seed),
        lambda: xai.load_images("pictograms", limit=1, seed=seed),
        lambda: xai.load_images(images.pixels, seed=seed),
        lambda: xai.evaluate("deletion", torch.zeros(4, SIDE, SIDE), model, images, targets=0, seed=seed),
    ):
        with pytest.raises(xai.InputError, match=r"seed.*whole number"):
            call()


@pytest.mark.parametrize("method", xai.list_methods())
def test_scores_of_a_file_are_scores_of_memory(method, tmp_path):
    """To the last bit, for every method: the file holds the maps themselves."""
    quick = {
        "integrated_gradients": {"steps": 3}, "shap": {"samples": 3}, "rise": {"masks": 60, "p": 0.9}, "lime": {"samples": 60},
        "kernel_shap": {"samples": 60}, "extremal_perturbation": {"steps": 3, "areas": [0.2]},
        "meaningful_perturbation": {"steps": 3}, "smoothgrad": {"samples": 3}, "deeplift_shap": {"noise_references": 2},
        "occlusion": {"window": 64.0, "stride": 64.0}, "feature_ablation": {"segments": 9}, "ss_cam": {"samples": 1},
        "shapley_value_sampling": {"samples": 1, "segments": 9}, "is_cam": {"samples": 2},
    }  # fmt: skip
    network = (
        "mini_alexnet_vanilla" if method == "lrp" else "mini_resnet_vanilla"
    )  # whose sums of branches have no rule
    model, images = xai.load_model(network), xai.load_images("pictograms", limit=2)
    maps = xai.attribute(method, model, images, **quick.get(method, {}))
    results.write_maps(tmp_path / "m.npz", maps, images.ids, maps.targets, repeats=maps[:1])
    saved = results.read_maps(tmp_path / "m.npz", ids=images.ids)
    assert saved["maps"].dtype == torch.float32 and torch.equal(saved["maps"], maps)
    assert torch.equal(saved["repeats"], maps[:1]) and torch.equal(saved["targets"], maps.targets)
    names = params.resolve("metrics", "all")
    table = xai.evaluate(names, saved["maps"], model, images, targets=saved["targets"])
    assert table.equals(xai.evaluate(names, maps, model, images))


def test_maps_that_were_rounded_are_refused(tmp_path):
    old = {"maps": np.ones((1, 2, 2), np.float16), "peaks": np.ones(1, np.float32), "ids": np.array(["a"])}
    np.savez_compressed(tmp_path / "m.npz", targets=np.zeros(1, np.int64), **old)
    with pytest.raises(
        xai.InputError, match=r"m\.npz: its maps are rounded to float16, .* run the attribute slice again"
    ):
        results.read_maps(tmp_path / "m.npz")


def test_show_draws_images_and_a_row_of_maps_a_method(model, images):
    maps, other = xai.attribute("gradient", model, images), xai.attribute("random", model, images, "green")
    figure = xai.show(images, [maps, other])
    axes = np.array(figure.axes).reshape(3, 4)
    assert [ax.get_title() for ax in axes[0]] == list("abcd") and axes[2, 0].get_ylabel() == "Random"
    assert [ax.get_title() for ax in axes[1]] == ["red", "green", "light blue", "red"] and axes[
        1, 0
    ].get_ylabel() == "Gradient"
    assert {ax.get_title() for ax in axes[2]} == {"green"}
    assert np.array_equal(axes[1, 2].images[0].get_array(), maps[2].numpy())
    assert len(xai.show(images.pixels, maps.values, limit=2).axes) == 4
    with pytest.raises(xai.InputError, match=r"maps: what attribute.. returned is needed"):
        xai.show(images, maps[0])


def test_no_rows_are_maps_too(model, images):
    none = xai.attribute("gradient", model, images)[[]]
    assert none.shape[0] == 0 and none.ids == [] and none.target_names == []
