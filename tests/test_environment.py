"""pyproject.toml, environment.yml and requirements.lock name the same set."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

# Import name -> package, where they differ.
PACKAGES = {
    "IPython": "ipython",
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "pytorch_grad_cam": "grad-cam",
    "scikit_posthocs": "scikit-posthocs",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
OPTIONAL = {"transformers", "zarr"}  # used where a user has them
CONDA_NAMES = {"pytorch": "torch", "snakemake-minimal": "snakemake"}


# Lock -> the extras that it pins, beside the core.
LOCKS = {
    "requirements-core.lock": (),
    "requirements.lock": ("suite", "photos", "slurm"),
    "requirements-dev.lock": ("suite", "photos", "slurm", "torchcam", "quantus", "docs", "dev"),
}
NON_COMMERCIAL = {"torchray"}  # licences that forbid commercial use


def project(repository: Path, *extras: str) -> dict[str, str]:
    """Name -> bounds of the core and of extras."""
    table = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    words = [*table["dependencies"], *[word for extra in extras for word in table["optional-dependencies"][extra]]]
    return {requirement.name.lower(): str(requirement.specifier) for requirement in map(Requirement, words)}


def locked(path: Path) -> dict[str, list[Requirement]]:
    found: dict[str, list[Requirement]] = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            found.setdefault(requirement.name.lower(), []).append(requirement)
    return found


def test_conda_and_pip_name_the_same_set(repository: Path) -> None:
    lines = yaml.safe_load((repository / "environment.yml").read_text())["dependencies"]
    pip = next(line["pip"] for line in lines if isinstance(line, dict))
    conda = [line for line in lines if isinstance(line, str) and not re.match(r"(python|pip)\b", line)]
    named = {CONDA_NAMES.get(r.name, r.name): str(r.specifier) for r in map(Requirement, [*conda, *pip])}
    assert named == project(repository, "suite", "photos", "slurm", "torchcam", "dev")


def test_conda_environment_installs_nothing_editable(repository: Path) -> None:
    """Snakemake copies the file before it makes the environment, so a relative path would point nowhere."""
    assert "-e" not in [
        word for line in (repository / "environment.yml").read_text().splitlines() for word in line[2:].split()[:1]
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_one_version_of_everything(repository: Path, lock: str) -> None:
    versions = locked(repository / lock)
    for name, bounds in project(repository, *LOCKS[lock]).items():
        (requirement,) = versions[name]
        (pin,) = requirement.specifier
        assert pin.operator == "==", name
        assert Version(pin.version) in Requirement(f"{name}{bounds}").specifier, name
    assert str(versions["torch"][0]) == "torch==2.12.1"
    assert str(versions["torchvision"][0]) == "torchvision==0.27.1"


def test_locks_agree_and_only_the_developers_holds_packages_that_forbid_commercial_use(repository: Path) -> None:
    core, suite, developer = (
        {(name, str(one.specifier)) for name, some in locked(repository / lock).items() for one in some}
        for lock in LOCKS
    )
    assert core < suite < developer
    assert {name for name, _ in developer - suite} >= NON_COMMERCIAL


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_free_of_places(repository: Path, lock: str) -> None:
    assert not re.search(r"https?://|file:|--index-url|--hash|/", (repository / lock).read_text())


def test_what_is_installed_meets_the_bounds(repository: Path) -> None:
    from importlib.metadata import version

    table = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    for requirement in map(Requirement, [*table["dependencies"], *table["optional-dependencies"]["suite"]]):
        assert version(requirement.name) in requirement.specifier, requirement


def test_importing_the_package_is_light(repository: Path) -> None:
    """A notebook starts fast only if nothing heavy is imported before it is needed."""
    import subprocess

    heavy = ["torch", "captum", "pandas", "matplotlib", "timm", "scipy", "skimage", "sklearn", "seaborn", "papermill"]
    code = "import sys, xailib, xailib.params, xailib.workflow.run, xailib.workflow.__main__\n"
    code += f"print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_import_is_declared(repository: Path) -> None:
    """What only happens to be installed with something else may be gone tomorrow."""
    declared = {name.replace("-", "_") for name in project(repository, *LOCKS["requirements-dev.lock"])} | {"packaging"}
    files = [path for folder in ("xailib", "tests", "benchmarks") for path in (repository / folder).rglob("*.py")]
    known = {*declared, *OPTIONAL, *sys.stdlib_module_names, "xailib", "tests"}
    known |= {name for path in files for name in (path.stem, path.parent.name)}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            for name in {name.partition(".")[0] for name in names}:
                assert PACKAGES.get(name, name).replace("-", "_") in known, f"{path}: {name}"
