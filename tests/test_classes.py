"""Class names are a contract between a data set and a network."""

from pathlib import Path

import pytest

from xailib import classes
from xailib.errors import InputError

NAMES = ["tench", "goldfish", "great white shark"]


@pytest.mark.parametrize(
    ("data", "wanted", "labels"),
    [
        (NAMES, None, None),
        (["Tench", "GOLDFISH", "great_white-shark"], None, None),
        (["n01440764", "n01443537", "n01484850"], None, None),  # WordNet ids of the three
        (["goldfish", "tench"], "by_name", [1, 0]),
        (["n01443537"], "by_name", [1]),
        (["gold", "tench"], {"gold": "goldfish"}, [1, 0]),
        (["x", "y"], "unknown", [-1, -1]),
    ],
)
def test_labels_become_the_outputs_of_the_network(data: list[str], wanted: object, labels: list[int] | None) -> None:
    assert classes.mapping(data, NAMES, wanted) == labels


@pytest.mark.parametrize(
    ("data", "wanted", "said"),
    [
        (
            ["ant", "bee"],
            None,
            r"m: the 2 classes of the data set \(ant, bee\) are not the network's 3 \(tench, goldfish, great",
        ),
        (NAMES[:2], None, "dataset_classes: by_name"),  # the first two of three: the count differs
        (NAMES[::-1], None, "are not the network's 3"),  # the same in another order
        (list("abcdefgh"), None, r"\(a, b, c, d, e, \.\.\.\)"),
        (["goldfisch"], "by_name", "no class 'goldfisch' for the data set's 'goldfisch'; .*did you mean 'goldfish'"),
        (["gold"], {"gold": "silver"}, "no class 'silver' for the data set's 'gold'"),
        (["gold"], {"golt": "goldfish"}, "the data set has no class 'golt'; did you mean 'gold'"),
    ],
)
def test_a_mismatch_names_both_sides(data: list[str], wanted: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        classes.mapping(data, NAMES, wanted, "m: ")


def test_a_record_gives_names_as_a_list_a_file_or_a_data_set(tmp_path: Path) -> None:
    assert classes.of_model({"model": "m", "class_names": ["a", "b"], "model_dataset": "pictograms"}) == ["a", "b"]
    (tmp_path / "names.txt").write_text("\ufeffa b\n\nä\n", encoding="utf-8")
    assert classes.of_model({"model": "m", "class_names": str(tmp_path / "names.txt")}) == ["a b", "ä"]
    imagenet = classes.of_model({"model": "m", "class_names": "imagenet"})
    assert len(imagenet) == 1000 and imagenet[:3] == NAMES
    assert classes.of_model({"model": "m", "model_dataset": "pictograms"})[0] == "chess knight"


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({}, "params/models/m.yaml: class_names: missing; give a list"),
        ({"class_names": "absent.txt"}, "class_names.*absent.txt: cannot be read as a list of class names"),
        ({"class_names": "imagenett"}, "class_names: .*unknown data set 'imagenett'; did you mean 'imagenet"),
        ({"class_names": ["a", "b", "a"]}, "'a' is named twice, at outputs 0 and later"),
        ({"model_dataset": "folder"}, "class_names: class names of data set 'folder' need 'root'"),
    ],
)
def test_names_that_cannot_be_had(record: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        classes.of_model({"model": "m", **record})
