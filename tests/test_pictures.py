"""Reading image files: every kind reads right, or is refused in a sentence that names the file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from xailib.errors import InputError
from xailib.images.pictures import as_pixels, read_image

TURNED = 0x0112


def noise(width: int = 60, height: int = 40) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[TURNED] = orientation
    return found


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize(
    ("orientation", "turn"),
    [(1, None), (2, Image.Transpose.FLIP_LEFT_RIGHT), (3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_270),
     (7, Image.Transpose.TRANSVERSE), (8, Image.Transpose.ROTATE_90), (9, None)],
)  # fmt: skip
def test_pictures_are_turned_as_viewers_show_them(tmp_path: Path, suffix: str, orientation: int, turn) -> None:
    path = tmp_path / f"a.{suffix}"
    noise().save(path, exif=exif(orientation))
    lying = Image.open(path).convert("RGB")
    expected = np.asarray(lying if turn is None else lying.transpose(turn))
    assert np.array_equal(np.asarray(read_image(path)), expected)
    assert np.array_equal(np.asarray(read_image(path, turn=False)), np.asarray(lying))
    assert np.array_equal(as_pixels(Image.open(path))[0].movedim(0, -1).mul(255).round().numpy(), expected)


@pytest.mark.parametrize(
    ("orientation", "drawn_on", "size"),
    [(6, (400, 600), (40, 60)), (6, (600, 400), (60, 40)), (6, (500, 500), (60, 40)), (3, (600, 400), (60, 40)),
     (1, (400, 600), (60, 40))],
)  # fmt: skip
def test_the_size_of_an_annotation_tells_whether_it_was_drawn_on_the_turned_picture(
    tmp_path: Path, orientation: int, drawn_on: tuple[float, float], size: tuple[int, int]
) -> None:
    noise().save(tmp_path / "a.jpg", exif=exif(orientation))
    assert read_image(tmp_path / "a.jpg", turn=drawn_on).size == size


def test_exif_that_cannot_be_read_turns_nothing(tmp_path: Path) -> None:
    noise().save(tmp_path / "a.jpg", exif=b"Exif\0\0garbage, no TIFF header")
    assert read_image(tmp_path / "a.jpg").size == (60, 40)


RED = (255, 0, 0)


def saved(path: Path, image: Image.Image, **options) -> tuple[int, ...]:
    """Write an image of one colour and return the colour that is read."""
    image.save(path, **options)
    colours = np.unique(np.asarray(read_image(path)).reshape(-1, 3), axis=0)
    assert len(colours) == 1
    return tuple(int(value) for value in colours[0])


@pytest.mark.parametrize(
    ("name", "image", "colour"),
    [
        ("a.png", Image.new("RGB", (9, 9), RED), RED),
        ("a.png", Image.new("1", (9, 9), 1), (255,) * 3),
        ("a.png", Image.new("L", (9, 9), 7), (7,) * 3),
        ("a.png", Image.new("RGB", (9, 9), RED).quantize(), RED),
        ("a.png", Image.new("RGBA", (9, 9), (255, 0, 0, 128)), (255, 127, 127)),
        ("a.png", Image.new("RGBA", (9, 9), (255, 0, 0, 128)).quantize(), (255, 127, 127)),
        ("a.png", Image.new("LA", (9, 9), (0, 0)), (255,) * 3),
        ("a.jpg", Image.new("CMYK", (9, 9), (0, 255, 255, 0)), RED),
        ("a.tif", Image.new("CMYK", (9, 9), (0, 255, 255, 0)), RED),
        ("a.ppm", Image.new("RGB", (9, 9), RED), RED),
        ("a.png", Image.fromarray(np.full((9, 9), 200 * 257, np.uint16)), (200,) * 3),
        ("a.png", Image.fromarray(np.full((9, 9), 200, np.uint16)), (1,) * 3),  # nearly black, not 200
        ("a.tif", Image.fromarray(np.full((9, 9), 60000, np.int32)), (233,) * 3),
        ("a.tif", Image.fromarray(np.full((9, 9), 0.5, np.float32)), (128,) * 3),
        ("a.tif", Image.fromarray(np.full((9, 9), 1.0, np.float32)), (255,) * 3),
        ("a.tif", Image.fromarray(np.full((9, 9), 100.0, np.float32)), (100,) * 3),
    ],
)
def test_every_kind_of_file_keeps_its_colour(tmp_path: Path, name: str, image: Image.Image, colour) -> None:
    assert saved(tmp_path / name, image) == colour


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path, name: str) -> None:
    more = [Image.new("RGB", (9, 9), "blue")] * 2
    options = {"lossless": True} if name == "a.webp" else {}
    assert saved(tmp_path / name, Image.new("RGB", (9, 9), "red"), save_all=True, append_images=more, **options) == RED


def test_a_picture_too_large_to_be_one_is_named_and_half_of_it_is_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    noise(50, 41).save(tmp_path / "bomb.png")
    with pytest.raises(InputError, match=r"bomb\.png: more than .* megapixels"):
        read_image(tmp_path / "bomb.png")
    noise(50, 39).save(tmp_path / "large.png")
    assert read_image(tmp_path / "large.png").size == (50, 39)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "gif"])
def test_cut_off_files_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"whole.{suffix}"
    noise(80, 80).save(path)
    (tmp_path / f"part.{suffix}").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"part\.{suffix}: not a complete image file"):
        read_image(tmp_path / f"part.{suffix}")


@pytest.mark.parametrize(
    "content", [b"", b"<html>404</html>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"<svg/>"]
)
def test_files_that_are_no_images_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.jpg: not a complete image file"):
        read_image(tmp_path / "a.jpg")


def test_folders_missing_files_and_values_without_meaning_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a complete image file"):
        read_image(tmp_path)
    with pytest.raises(InputError, match=r"none\.png: no such image file"):
        read_image(tmp_path / "none.png")
    for value, kind in ((np.nan, np.float32), (-1, np.float32), (1e9, np.float32), (70000, np.int32)):
        Image.fromarray(np.full((9, 9), value, kind)).save(tmp_path / "a.tif")
        with pytest.raises(
            InputError, match=r"a\.tif: values from .* are no brightness; save them as floats in \[0, 1\]"
        ):
            read_image(tmp_path / "a.tif")


def test_truncated_files_are_refused_and_pillows_own_setting_stays(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "half.jpg"
    noise().save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(InputError, match=r"half\.jpg: not a complete image file"):
        read_image(path)
    with pytest.raises(InputError, match="the image: cannot be read"):
        as_pixels(Image.open(path))
    assert ImageFile.LOAD_TRUNCATED_IMAGES
