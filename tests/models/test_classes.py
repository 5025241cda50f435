"""Class names are a contract between a data set and a network."""

from pathlib import Path

import pytest

from xailib.errors import InputError
from xailib.models import classes

NAMES = ["tench", "goldfish", "great white shark"]


@pytest.mark.parametrize(
    ("data", "wanted", "labels"),
    [
        (NAMES, None, None),
        (["Tench", "GOLDFISH", "great_white-shark"], None, None),
        (["n01440764", "n01443537", "n01484850"], None, None),  # WordNet ids of the three
        (NAMES, "by_name", None),
        (["goldfish", "tench"], "by_name", [1, 0]),
        (["n01443537"], "by_name", [1]),
        (["gold", "tench"], {"gold": "goldfish"}, [1, 0]),
        (["x", "y"], "unknown", [-1, -1]),
    ],
)
def test_labels_become_the_outputs_of_the_network(data: list[str], wanted: object, labels: list[int] | None) -> None:
    assert classes.mapping(data, NAMES, wanted) == labels


@pytest.mark.parametrize(
    ("data", "network", "wanted", "labels"),
    [
        (list("ABab"), list("abAB"), "by_name", [2, 3, 0, 1]),
        (list("ABab"), list("ABab"), None, None),
        (["a", "b"], list("ABab"), "by_name", [2, 3]),  # one list has both
        (list("Aa"), ["a", "b", "A"], "by_name", [2, 0]),
        (["x_1", "x-1", "Owl"], ["owl", "x-1", "x_1"], "by_name", [2, 1, 0]),  # the owl alone has no twin
        (["up", "Up"], ["u", "U"], {"up": "u", "Up": "U"}, [0, 1]),
        (["cat", "dog"], ["Tabby cat", "tiger"], {"cat": "tabby_cat", "dog": "Tabby-Cat"}, [0, 0]),
    ],
)
def test_names_that_differ_in_case_or_dashes_alone_are_classes_of_their_own(
    data: list[str], network: list[str], wanted: object, labels: list[int] | None
) -> None:
    assert classes.mapping(data, network, wanted) == labels


@pytest.mark.parametrize(
    ("data", "network", "wanted", "said"),
    [
        (list("ABab"), list("abAB"), None, r"\(A, B, a, b\) are not the network's 4 \(a, b, A, B\)"),
        (["a b"], ["a_b", "a-b"], "by_name", "no class 'a b' for the data set's 'a b'"),
        (["a"], ["x", "y"], {"a": "x", "A": "y"}, "the data set has no class 'A'"),
    ],
)
def test_such_names_are_never_guessed(data: list[str], network: list[str], wanted: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        classes.mapping(data, network, wanted)


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
