"""Fetching: whole or not at all, resumed, checked by size and hash, against a server that misbehaves in known ways."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import yaml
from torchvision import models

import xailib as xai
from xailib import params
from xailib.errors import InputError
from xailib.models import fetch, sources
from xailib.models.fetch import download
from xailib.workflow import rules as workflow

CONTENT = torch.rand(200_000, generator=torch.Generator().manual_seed(0)).numpy().tobytes()
HASH = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `files`; `faults` says what goes wrong with the next answers, `asked` what was requested."""

    files: ClassVar[dict[str, bytes]] = {}
    faults: ClassVar[list[Any]] = []
    asked: ClassVar[list[tuple[str, str | None]]] = []
    ranges: ClassVar[bool] = True
    tag: ClassVar[str] = '"1"'

    def do_GET(self) -> None:
        span = self.headers.get("Range")
        self.asked.append((self.path, span))
        fault = self.faults.pop(0) if self.faults else None
        body = self.files.get(self.path)
        if body is None or isinstance(fault, int):
            self.send_error(fault or 404)
            return
        start = int(span.removeprefix("bytes=").rstrip("-")) if span and self.ranges else 0
        if self.headers.get("If-Range", self.tag) != self.tag:
            start = 0
        if start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("ETag", self.tag)
        if fault != "no length":
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : start + 300_000] if fault == "cut" else body[start:])

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a fresh server that holds `/w-HASH.bin`."""
    Server.files, Server.faults, Server.asked, Server.ranges, Server.tag = {"/w.bin": CONTENT}, [], [], True, '"1"'
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def get(server: str, folder: Path, **options: Any) -> Path:
    return download(
        f"{server}/w.bin", folder / "x" / "w.bin", **{"sha256": HASH, "pause": 0.01, "timeout": 5, **options}
    )


def whole(path: Path) -> bool:
    """The file is there and nothing else."""
    return path.read_bytes() == CONTENT and [file.name for file in path.parent.iterdir()] == ["w.bin"]


def test_a_download_and_none_the_second_time(server: str, tmp_path: Path) -> None:
    assert whole(get(server, tmp_path)) and whole(get(server, tmp_path, sha256=HASH[:8]))
    assert Server.asked == [("/w.bin", None)]


def test_an_interrupted_download_goes_on_where_it_was_cut_off(server: str, tmp_path: Path) -> None:
    Server.faults = ["cut", "cut", 503]
    assert whole(get(server, tmp_path, tries=3))
    assert [span for _, span in Server.asked] == [None, "bytes=300000-", "bytes=600000-", "bytes=600000-"]


def test_what_came_is_kept_for_the_next_run(server: str, tmp_path: Path) -> None:
    Server.faults = ["cut", 503, 503]
    with pytest.raises(
        InputError, match=r"3 tries in a row brought nothing \(503 .*\); 300000 bytes are kept, run the same"
    ):
        get(server, tmp_path, tries=3)
    assert not (tmp_path / "x" / "w.bin").exists()
    assert whole(get(server, tmp_path)) and Server.asked[-1] == ("/w.bin", "bytes=300000-")


def test_another_version_of_the_file_is_not_appended(server: str, tmp_path: Path) -> None:
    Server.faults = ["cut", 503, 503]
    with pytest.raises(InputError):
        get(server, tmp_path, tries=3)
    Server.tag, Server.files = '"2"', {"/w.bin": CONTENT[::-1]}
    path = get(server, tmp_path, sha256="")
    assert path.read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_sends_it_all_again(server: str, tmp_path: Path) -> None:
    Server.faults, Server.ranges = ["cut"], False
    assert whole(get(server, tmp_path)) and len(Server.asked) == 2


def test_a_partial_file_that_is_complete_already(server: str, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "w.bin.partial").write_bytes(CONTENT)
    assert whole(get(server, tmp_path)) and len(Server.asked) == 1
    (tmp_path / "x" / "w.bin").unlink()
    (tmp_path / "x" / "w.bin.partial").write_bytes(CONTENT + b"more")  # longer than the file there: not its beginning
    assert whole(get(server, tmp_path))


def test_always_truncated_is_never_taken_for_whole(server: str, tmp_path: Path) -> None:
    Server.files["/w.bin"], Server.ranges, Server.faults = CONTENT, False, ["cut"] * 9
    with pytest.raises(InputError, match=r"tries in a row brought nothing \(cut off after 300000 of 800000 bytes\)"):
        get(server, tmp_path, tries=2)
    Server.faults = ["no length"]
    assert whole(get(server, tmp_path))


def test_another_hash_is_refused_and_thrown_away(server: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"the sha256 of what came is {HASH[:12]}\.\.\., not 0000000000"):
        get(server, tmp_path, sha256="0" * 64)
    assert list((tmp_path / "x").glob("w.bin*")) == []


def test_what_is_not_there_is_not_tried_again(server: str, tmp_path: Path) -> None:
    del Server.files["/w.bin"]
    with pytest.raises(
        InputError, match=r"w\.bin: the server answers 404 Not Found; correct the address in the record"
    ):
        get(server, tmp_path)
    assert len(Server.asked) == 1
    with pytest.raises(InputError, match="tries in a row brought nothing"):
        download("http://127.0.0.1:1/w.bin", tmp_path / "w.bin", tries=2, pause=0.01)


# ---- By a model's record


@pytest.fixture
def world(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one model, `tiny`, whose weights lie on the server."""
    network = models.shufflenet_v2_x0_5(num_classes=12)
    torch.save(network.state_dict(), tmp_path / "saved.pth")
    digits = hashlib.sha256((tmp_path / "saved.pth").read_bytes()).hexdigest()
    Server.files[f"/tiny-{digits[:8]}.pth"] = (tmp_path / "saved.pth").read_bytes()
    record = {"model": "tiny", "architecture": "torchvision", "model_options": {"name": "shufflenet_v2_x0_5"}}
    record |= {"training_algorithm": "vanilla", "model_dataset": "pictograms", "input_size": 64}
    record["weights"] = {"source": "url", "url": f"{server}/tiny-{digits[:8]}.pth"}
    (tmp_path / "params" / "models").mkdir(parents=True)
    (tmp_path / "params" / "models" / "tiny.yaml").write_text(yaml.safe_dump(record))
    monkeypatch.setenv("XAILIB_WORKSPACE", str(tmp_path))
    return tmp_path


def test_fetched_once_then_offline(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        InputError, match=r"'tiny' are not on this machine yet; run: python -m xailib\.models\.fetch tiny"
    ):
        xai.load_model("tiny", device="cpu")
    assert fetch.main(["tiny"]) == 0 and "resources/weights/tiny/tiny-" in capsys.readouterr().out
    Server.files.clear()
    assert fetch.main(["tiny"]) == 0 and xai.load_model("tiny", device="cpu").id == "tiny"
    assert len(Server.asked) == 1
    facts = json.loads((world / workflow.fetched("tiny")[0]).read_text())
    path = world / "resources/weights/tiny" / facts["name"]
    path.write_bytes(path.read_bytes()[:-1] + b"x")  # the record has no sha256: the one of the download counts
    with pytest.raises(InputError, match=r"sha256 is .*; delete it and run: python -m xailib\.models\.fetch tiny"):
        xai.load_model("tiny", device="cpu")
    path.write_bytes(b"")
    with pytest.raises(InputError, match="0 bytes, not the"):
        xai.load_model("tiny", device="cpu")


def test_the_digits_in_a_file_name_are_checked(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = next(name for name in Server.files if name.startswith("/tiny-"))
    Server.files[name] = CONTENT
    assert fetch.main(["tiny"]) == 2
    assert f"not {name[6:14]}..." in capsys.readouterr().err
    assert fetch.main(["tinny"]) == 2 and "did you mean 'tiny'" in capsys.readouterr().err


def test_addresses_of_the_papers_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made without asking anyone; what needs no network has none."""
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    found = {id: sources.remote(params.load_params("models", id)) for id in params.ids("models")}
    assert found["alexnet_vanilla"] == sources.Remote(
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "alexnet-owt-7be5be79.pth", "7be5be79"
    )
    home = "https://huggingface.co/madrylab/robust-imagenet-models/resolve/main"
    assert found["mobilenet_v2_robust"] == sources.Remote(f"{home}/mobilenet_l2_eps3.ckpt", "mobilenet_l2_eps3.ckpt")
    assert found["resnet50_robust"].sha256.startswith("380b14e6") and len(found["resnet50_robust"].sha256) == 64
    advprop = found["efficientnet_b0_advprop"].url
    assert advprop == "https://huggingface.co/timm/tf_efficientnet_b0.ap_in1k/resolve/main/model.safetensors"
    for id, remote in found.items():
        assert bool(remote) == bool(workflow.fetched(id)), id
    assert set(workflow.REMOTE) == {name for name, address in sources.SOURCES.items() if address}


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"source": "torchvision", "enum": "AlexNet_Weigths.V1"}, "no 'AlexNet_Weigths.V1'; did you mean 'AlexNet_W"),
        ({"source": "torchvision", "enum": "AlexNet_Weights.V3"}, "torchvision has no 'AlexNet_Weights.V3'"),
        ({"source": "timm", "name": "resnet50.ap_in1k"}, "timm has no weights 'resnet50.ap_in1k'"),
        ({"source": "timm", "name": "resnet5O"}, "timm has no weights 'resnet5O'"),
        ({"source": "huggingface", "repo": "a/b"}, r"weights.source 'huggingface' needs weights.file"),
    ],
)  # fmt: skip
def test_names_that_libraries_do_not_know(weights: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        sources.remote({"model": "mine", "weights": weights})
