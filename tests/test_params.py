"""Parameter files: every fault is told, by file and key, with what would be right."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from xailib import params
from xailib.errors import InputError
from xailib.params import checks, schema
from xailib.params.records import CLASSES


@pytest.fixture
def root(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of params/ that tests may spoil."""
    shutil.copytree(repository / "params", tmp_path / "params")
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    return tmp_path


def write(root: Path, kind: str, id: str, text: str) -> Path:
    path = root / "params" / kind / f"{id}.yaml"
    path.write_text(text)
    return path


STUDY = "study: mine\ndataset: pictograms\nmodels: mini_resnet_vanilla\nmethods: all\nmetrics: all\n"


@pytest.mark.parametrize("kind", params.KINDS)
def test_every_shipped_file_is_without_fault(kind: str) -> None:
    assert params.ids(kind)
    for id in params.ids(kind):
        assert params.load_params(kind, id)[params.KINDS[kind]] == id


@pytest.mark.parametrize("id", params.ids("studies"))
def test_shipped_studies_resolve(id: str) -> None:
    study = params.load_study(id)
    kind = "estimators" if "estimators" in study else "methods"
    assert study[kind] and set(study[kind]) <= set(params.ids(kind))
    assert study["seed"] == 0 and study["precision"] in ("auto", "fp32", "bf16")


def test_a_key_belongs_to_one_kind() -> None:
    """Files are merged for a notebook, so a key of two kinds would silently override."""
    seen: dict[str, str] = {}
    for kind in params.KINDS.values():
        for key in CLASSES[kind].model_fields:
            # A study names its data set by the key that is the data set's identity: the values are the same.
            assert key not in seen or key == "dataset", f"{key} is a key of {seen[key]} and of {kind}"
            seen[key] = kind
    for key in CLASSES["roar_study"].model_fields:  # a ROAR study is one of the studies
        # Its notebooks take no model's file, so the architecture that it trains cannot meet another.
        free = ("dataset", "architecture")
        assert key in free or seen.get(key, "study") == "study", f"{key} is a key of {seen[key]} and of ROAR studies"


@pytest.mark.parametrize("kind", CLASSES)
def test_schemas_of_editors_are_those_of_the_records(kind: str, repository: Path) -> None:
    written = (repository / "params" / "schema" / f"{kind}.json").read_text(encoding="utf-8")
    assert written == schema.text(kind), "run python -m xailib.params.schema"
    facts = schema.schema(kind)
    for part in (facts, *facts.get("$defs", {}).values()):
        assert part["additionalProperties"] is False
        assert all("description" in value or "$ref" in value for value in part["properties"].values())


@pytest.mark.parametrize("record", CLASSES.values())
def test_defaults_are_what_a_file_could_say(record: type[checks.Record]) -> None:
    required = {key for key, field in record.model_fields.items() if field.is_required()}
    assert {fault.split(": ")[1] for fault in checks.faults(record, record.defaults())} <= {"missing"}
    assert required.isdisjoint(record.defaults())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("seeed: 3", "seeed: unknown key; did you mean 'seed'?"),
        ("attack_epsilon: 1e-5", "attack_epsilon: '1e-5' is text, not a number; write 1.0e-5"),
        ("attack_epsilon: 2E3", "attack_epsilon: '2E3' is text, not a number; write 2.0e+3"),
        ("limit: '32'", "limit: '32' is text, not a number; write 32 without quotes"),
        ("limit: 0", "limit: 0 is less than the minimum of 1"),
        ("limit: 3.5", "limit: 3.5 is not a whole number or null"),
        ("precision: fp23", "precision: 'fp23' is not one of auto, fp32, bf16; did you mean 'fp32'?"),
        ("only_correct: maybe", "only_correct: 'maybe' is not true or false"),
        ("exclude: [[mini_resnet_vanilla]]", "exclude.0: ['mini_resnet_vanilla'] has fewer than 2 values"),
        ("device: cuda0", "device: 'cuda0' is not of the form"),
        ("attack_epsilon: 0", "attack_epsilon: 0 is not above 0"),
        ("shifts: [a, a]", "shifts: ['a', 'a'] is not a list of different words"),
        ("shifts: [1]", "shifts.0: 1 is not text"),
        ("seed: 1\nseed: 2", "the key 'seed' is given twice"),
        ("seed: [1", "cannot be read as YAML"),
        ("description: 2024-02-30", "'2024-02-30' is no valid timestamp; if it is text, write it in quotes in"),
        ("seed: !!int x", "'x' is no valid int; if it is text, write it in quotes in"),
        ("split: 2024-02-03", "a timestamp is no value of a parameter file; if it is text, write it in quotes in"),
        ("shift_roots: {2024-02-03: x}", "a timestamp is no value of a parameter file"),
        ("shifts: !!set {a, b}", "a set is no value of a parameter file"),
        ("shift_roots: &a {x: *a}", "found unconstructable recursive node"),
        ("on: 1", "must be a list of 'key: value' lines"),
    ],
)
def test_one_fault_is_one_sentence(root: Path, line: str, said: str) -> None:
    path = write(root, "studies", "mine", f"{STUDY}{line}\n")
    with pytest.raises(InputError) as raised:
        params.load_study(path)
    assert said in str(raised.value) and "params/studies/mine.yaml" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("models: mini_resnet_vanilla", "models: mini_resnet_vanila", "did you mean 'mini_resnet_vanilla'?"),
        ("models: mini_resnet_vanilla", "models: [mini_resnet_vanilla, giant_*]", "models: unknown model 'giant_*'"),
        ("methods: all", "methods: [rize]", "unknown method 'rize'; did you mean 'rise'?"),
        ("metrics: all", "metrics: [delition]", "unknown metric 'delition'; did you mean 'deletion'?"),
        ("dataset: pictograms", "dataset: pictogram", "unknown data set 'pictogram'; did you mean 'pictograms'?"),
        ("methods: all\n", "", "methods: missing"),
        ("dataset: pictograms", "dataset: none", "dataset: 'none' is no choice here; name one; known: birdsnap"),
        ("dataset: pictograms", "dataset: all", "dataset: 'all' is no choice here; name one; known: birdsnap"),
        ("metrics: all", "metrics: none", "metrics: 'none' is no choice here; name one or more; known: "),
        ("study: mine", "study: yours", "study: 'yours' is not the file's name; write 'study: mine'"),
    ],
)
def test_unknown_names_suggest_the_nearest(root: Path, old: str, new: str, said: str) -> None:
    path = write(root, "studies", "mine", STUDY.replace(old, new))
    with pytest.raises(InputError, match=r"params/studies/mine\.yaml") as raised:
        params.load_study(path)
    assert said in str(raised.value)


def test_a_roar_study_needs_an_estimator(root: Path) -> None:
    text = params.path_of("studies", "roar_smoke").read_text().replace("study: roar_smoke", "study: mine")
    path = write(root, "studies", "mine", re.sub("(?m)^estimators: .*", "estimators: none", text))
    with pytest.raises(InputError, match="estimators: 'none' is no choice here; name one or more"):
        params.load_study(path)


def test_all_faults_of_all_files_come_in_one_message(root: Path) -> None:
    write(root, "methods", "rise", "method: rise\nmethod_options: {masks: 1e3}\nmethod_option: {}\n")
    write(root, "models", "mini_resnet_vanilla", "model: mini_resnet_vanilla\narchitecture: mini_resnet\n")
    path = write(root, "studies", "mine", f"{STUDY}sede: 1\n")
    with pytest.raises(InputError) as raised:
        params.load_study(path)
    for said in ("sede", "method_options.masks: '1e3'", "method_option: unknown key", "training_algorithm: missing"):
        assert said in str(raised.value)


MODEL = """model: m
architecture: a
training_algorithm: vanilla
model_dataset: d
input_size: 64
weights: {source: file, path: w}
"""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", None),
        ("mean: [0, 0.5, 1]\nstd: [0.003921569, 0.25, 1]", None),
        ("mean: [127.5, 127, 127]\nstd: [0.5, 0.5, 0.5]", "mean: [127.5, 127, 127] does not lie in [0, 1]; divide by 255?"),
        ("mean: [0.5, 0.5, 0.5]\nstd: [58, 57, 57]", "std: [58, 57, 57] does not lie in (0, 1]; divide by 255?"),
        ("mean: [0.5, 0.5, 0.5]\nstd: [0.5, 0, 0.5]", "std: [0.5, 0, 0.5] does not lie in (0, 1]"),
        ("mean: [0.5, -0.5, 1.5]\nstd: [1, 1, 1]", "mean: [0.5, -0.5, 1.5] does not lie in [0, 1]"),
        ("mean: [0.5, 0.5, 0.5]\nstd: [0.5, .nan, 0.5]", "std.1: nan is not a finite number"),
        ("mean: [.inf, 0.5, 0.5]\nstd: [0.5, 0.5, 0.5]", "mean.0: inf is not a finite number"),
        ("mean: [0.5, 0.5, 0.5]", "std: missing; mean is given, and neither goes without the other"),
        ("std: [0.5, 0.5, 0.5]", "mean: missing; std is given, and neither goes without the other"),
        ("mean: [0.5]\nstd: [1, 1, 1]", "mean: [0.5] has fewer than 3 values"),
        ("mean: [0.5, 0.5, 0.5, 0.5]\nstd: [1, 1, 1]", "mean: [0.5, 0.5, 0.5, 0.5] has more than 3 values"),
        ("mean: [true, 0.5, 0.5]\nstd: [1, 1, 1]", "mean.0: True is not a number"),
        ("mean: 0.5\nstd: [1, 1, 1]", "mean: 0.5 is not a list"),
        ("epsilon: 0", None),
        ("epsilon: 0.5", "epsilon: 0.5, but a vanilla network was trained against no attack; leave it out"),
        ("epsilon: 0\ntraining: {epsilon: 1.0}", "epsilon: 0, but training.epsilon is 1.0; leave one of them out"),
        ("training: {epsilon: 1.0}", "training.epsilon: 1.0, but a vanilla network was trained against no attack; leave it out"),
        ("epsilon: -1", "epsilon: -1 is less than the minimum of 0"),
        ("epsilon: .inf", "epsilon: inf is not a finite number"),
        ("epsilon: x", "epsilon: 'x' is not a number"),
        ("class_names: ['0', '1']", None),
        ("class_names: [0, '1']", "class_names.0: 0 is not text"),
        ("accuracy: {dataset: d, value: 76, source: s}", "accuracy.value: 76 is greater than the maximum of 1"),
        ("accuracy: {dataset: d, valu: 0.76, value: 0.8, source: s}", "accuracy.valu: unknown key; did you mean 'value'?"),
    ],
)  # fmt: skip
def test_values_of_a_model(lines: str, said: str | None, root: Path) -> None:
    faults = params.read(write(root, "models", "m", MODEL + lines), "models")[1]
    assert [fault.partition(": ")[2] for fault in faults] == ([said] if said else [])


@pytest.mark.parametrize("algorithm", ["robust", "advprop"])
@pytest.mark.parametrize("training", ["{}", "{steps: 10}", "{epsilon: 0}"])
def test_a_network_trained_on_attacks_needs_their_radius(algorithm: str, training: str, root: Path) -> None:
    text = MODEL.replace("vanilla", algorithm) + f"training: {training}"
    assert params.read(write(root, "models", "m", text), "models")[1] == [
        f"params/models/m.yaml: training.epsilon: missing; {algorithm} trains on attacked images, so give their radius above 0"
    ]


def test_a_shift_larger_than_the_images_is_refused() -> None:
    values = params.load_params("studies", "roar_pictograms")
    for shift, crop, fine in ((7, "shift", True), (8, "shift", False), (8, "none", True)):
        found = checks.faults(CLASSES["roar_study"], values | {"side": 8, "recipe": {"crop": crop, "shift": shift}})
        assert found == (
            [] if fine else ["recipe.shift: 8 moves images of 8 pixels out of sight; give less than the side"]
        )


def test_a_drop_of_the_learning_rate_comes_after_the_start() -> None:
    values = params.load_params("studies", "roar_pictograms") | {"recipe": {"drops": [0, 2.5]}}
    assert checks.faults(CLASSES["roar_study"], values) == ["recipe.drops.0: 0 is not above 0"]


@pytest.mark.parametrize("kind", params.KINDS)
def test_pydantic_takes_every_shipped_file_as_it_is(kind: str) -> None:
    """The records are ordinary classes: what the sentences let pass, their own validation does too."""
    for id in params.ids(kind):
        values = yaml.safe_load((params.find("params") / kind / f"{id}.yaml").read_text(encoding="utf-8"))
        record = CLASSES["roar_study" if "estimators" in values else params.KINDS[kind]]
        assert record(**values).model_dump(exclude_unset=True) == values
        for key in values:
            with pytest.raises(ValidationError):
                record(**values | {key: object()})


def test_numbers_written_as_text_are_refused_at_any_depth(root: Path) -> None:
    text = "method: rise\nmethod_options: {p: '0.5', deep: {x: [1, 1e5]}}\nmethod_scales: {small: {masks: 1e3}}\n"
    faults = params.read(write(root, "methods", "rise", text), "methods")[1]
    keys = {fault.split(": ")[1] for fault in faults}
    assert keys == {"method_options.p", "method_options.deep.x.1", "method_scales.small.masks"}


def test_defaults_are_filled_and_selections_resolved(root: Path) -> None:
    text = STUDY.replace("models: mini_resnet_vanilla", 'models: ["mini_resnet_*", mini_resnet_vanilla]')
    study = params.load_study(write(root, "studies", "mine", text))
    assert study["limit"] == 32 and study["target"] == "label" and study["exclude"] == []
    assert study["models"] == sorted(set(study["models"])) and "mini_resnet_advprop1" in study["models"]
    assert study["methods"] == params.resolve("methods", "all")


def test_extras_are_not_among_all(root: Path) -> None:
    """What other packages bring runs where a study names it: "all" is what it was before they came."""
    assert params.resolve("methods", "all") == [
        "cam", "centre_gaussian", "extremal_perturbation", "gradcam", "gradient", "guided_backprop", "integrated_gradients",
        "integrated_gradients_abs", "kernel_shap", "lime", "meaningful_perturbation", "random", "rise", "shap", "shap_abs",
        "sobel",
    ]  # fmt: skip
    assert params.resolve("metrics", "all") == [
        "average_precision", "deletion", "insertion", "localisation", "pointing_game", "relevance_mass", "relevance_rank",
    ]  # fmt: skip
    assert params.resolve("methods", ["all", "deeplift*"])[-2:] == ["deeplift", "deeplift_shap"]
    assert params.resolve("metrics", ["sparseness", "all"])[:2] == ["sparseness", "average_precision"]
    study = params.load_study(write(root, "studies", "mine", STUDY.replace("metrics: all", "metrics: [infidelity]")))
    assert set(study["methods"]) <= set(params.resolve("methods", "all"))


def test_a_model_without_a_label_is_called_by_its_id(root: Path) -> None:
    file = root / "params/models/mini_resnet_vanilla.yaml"
    file.write_text(file.read_text().replace("label: ResNet\n", "").replace("algorithm: vanilla", "algorithm: linf_2"))
    record = params.load_params("models", "mini_resnet_vanilla")
    assert record["label"] == "mini_resnet_vanilla" and record["training_algorithm"] == "linf_2"


def test_defaults_are_not_shared_between_files(root: Path) -> None:
    first = params.load_params("methods", "random")
    first["method_options"]["x"] = 1
    assert params.load_params("methods", "random")["method_options"] == {}


def test_scale_overrides_options() -> None:
    rise = {"method_options": {"masks": 8000, "p": 0.5}, "method_scales": {"small": {"masks": 1000}}}
    assert params.options(rise, "methods", "small") == {"masks": 1000, "p": 0.5}
    assert params.options(rise, "methods") == {"masks": 8000, "p": 0.5}


def test_select_none_and_patterns() -> None:
    assert params.select("none", ["a_1", "a_2", "b"], "shift") == []
    assert params.select(["b", "a_*"], ["a_1", "a_2", "b"], "shift") == ["b", "a_1", "a_2"]
    with pytest.raises(InputError, match="unknown shift 'c'"):
        params.select("c", ["a_1"], "shift")


@pytest.mark.parametrize(
    ("kind", "id", "said"),
    [
        ("models", "mini_resnet_vanila", "unknown model"),
        ("modles", "x", "did you mean 'models'"),
        ("studies", "p", "study"),
    ],
)
def test_unknown_ids_and_kinds(kind: str, id: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        params.load_params(kind, id)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text", "1: 2\n"])
def test_files_that_are_no_mapping(root: Path, text: str) -> None:
    assert "must be a list of 'key: value' lines" in params.read(write(root, "methods", "rise", text), "methods")[1][0]


def test_a_key_that_yaml_reads_as_true_or_as_a_number(root: Path) -> None:
    for key, hint in (("on", "; YAML reads on, off, yes and no as true and false"), ("1", "; known: ")):
        path = write(root, "models", "m", MODEL.replace("weights: {", f"weights: {{{key}: 1, "))
        name = "True" if key == "on" else key
        assert any(f"weights.{name}: unknown key{hint}" in fault for fault in params.read(path, "models")[1])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("dataset_classes: {ant: a, 1: b}", "dataset_classes.1: 1 is not text; write the key in quotes"),
        ("dataset_classes: {ant: a, no: b}", "dataset_classes.False: False is not text; write the key in quotes"),
        ("dataset_options: {classes: {ant: a, 1: b}}", "dataset_options.classes.1: 1 is not text"),
    ],
)
def test_keys_of_a_group_are_text(root: Path, line: str, said: str) -> None:
    faults = params.read(write(root, "datasets", "mine", f"dataset: mine\n{line}\n"))[1]
    assert len(faults) == 1 and said in faults[0]


def test_options_of_one_scale_are_merged_into_another(root: Path) -> None:
    scales = "  small: &few {masks: 9, p: 0.5}\n  quick: {<<: *few, masks: 5}\n"
    path = write(root, "methods", "mine", f"method: mine\nmethod_function: rise\nmethod_scales:\n{scales}")
    values, faults = params.read(path)
    assert not faults and values["method_scales"]["quick"] == {"masks": 5, "p": 0.5}
    path.write_text(path.read_text().replace("masks: 5", "masks: 5, masks: 6"))
    assert "the key 'masks' is given twice" in params.read(path)[1][0]


def test_a_missing_study_file_and_a_binary_one(root: Path) -> None:
    with pytest.raises(InputError, match="no such parameter file"):
        params.load_study(root / "absent.yaml")
    with pytest.raises(InputError, match="unknown study 'pictogram'; did you mean 'pictograms'"):
        params.load_study("pictogram")
    binary = root / "params" / "studies" / "binary.yaml"
    binary.write_bytes(b"\x80\x81\x00")
    assert "cannot be read as YAML" in params.read(binary)[1][0]


def test_words_of_a_command_line_are_checked_by_themselves() -> None:
    fine = {
        "estimator": "gradient",
        "model": "mine",
        "level": 50,
        "mask_levels": [],
        "seed": 0,
        "metrics": ["deletion"],
    }
    assert params.word_faults(fine) == []
    assert params.word_faults({"model": 7, "limit": 0}) == [
        "model: 7 is not text",
        "limit: 0 is less than the minimum of 1",
    ]


@pytest.mark.parametrize("kind", ["methods", "metrics", "estimators"])
def test_a_file_with_small_counts_has_quick_ones_that_are_no_larger(kind: str) -> None:
    counts = ("samples", "masks", "steps", "also", "segments", "noise_references")
    for id in params.ids(kind):
        scales = params.load_params(kind, id).get(f"{params.KINDS[kind]}_scales", {})
        if "small" in scales:
            small, quick = (scales[name].get("estimator_options", scales[name]) for name in ("small", "quick"))
            assert small.keys() == quick.keys(), id
            assert all(quick[name] <= small[name] for name in counts if name in small), id
