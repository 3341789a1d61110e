import os
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from services.snapshot_builder.image_cache import ImageCache


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path / "cache", limit=2_500)


def kept(cache: ImageCache, tmp_path: Path, used: float) -> UUID:
    image = uuid4()
    source = tmp_path / "source.db"
    source.write_bytes(image.bytes.ljust(1_000, b"."))
    cache.keep(image, source)
    os.utime(tmp_path / "cache" / f"{image}.db", (used, used))
    return image


def test_what_was_kept_is_copied_whole(cache: ImageCache, tmp_path: Path) -> None:
    image = kept(cache, tmp_path, used=1)
    assert cache.copy(image, tmp_path / "target.db")
    assert (tmp_path / "target.db").read_bytes() == image.bytes.ljust(1_000, b".")


def test_what_is_not_there_is_not_copied(cache: ImageCache, tmp_path: Path) -> None:
    assert not cache.copy(uuid4(), tmp_path / "target.db")


def test_what_was_not_used_longest_goes_when_the_limit_is_reached(cache: ImageCache, tmp_path: Path) -> None:
    first, second = kept(cache, tmp_path, used=1), kept(cache, tmp_path, used=2)
    assert cache.copy(first, tmp_path / "used.db")
    third = kept(cache, tmp_path, used=3)
    there = {image for image in (first, second, third) if cache.copy(image, tmp_path / "target.db")}
    assert there == {first, third}


def test_nothing_but_images_is_left_in_the_folder(cache: ImageCache, tmp_path: Path) -> None:
    image = kept(cache, tmp_path, used=1)
    cache.drop(image)
    cache.drop(image)
    assert list((tmp_path / "cache").iterdir()) == []
