"""Base images kept on the local disk, so that a warm package needs no download."""

import contextlib
import shutil
from pathlib import Path
from uuid import UUID, uuid4


class ImageCache:
    """A folder of replica files by base image id, at most `limit` bytes together; who was not used longest goes first.

    Several processes may share it: files come and go whole, and a copy under way survives its file's removal.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        folder.mkdir(parents=True, exist_ok=True)

    def copy(self, image: UUID, target: Path) -> bool:
        """Write the image to `target`; False when it is not here."""
        try:
            shutil.copyfile(self._file(image), target)
            self._file(image).touch()
        except FileNotFoundError:
            return False
        return True

    def keep(self, image: UUID, file: Path) -> None:
        """Take a copy of `file` as the image, then drop what is too much."""
        coming = self._folder / f"{image}.{uuid4().hex}.coming"
        try:
            shutil.copyfile(file, coming)
            coming.replace(self._file(image))
        finally:
            coming.unlink(missing_ok=True)
        self._shrink()

    def drop(self, image: UUID) -> None:
        self._file(image).unlink(missing_ok=True)

    def _shrink(self) -> None:
        kept = 0
        for _, size, file in sorted(self._files(), reverse=True):
            kept += size
            if kept > self._limit:
                file.unlink(missing_ok=True)

    def _files(self) -> list[tuple[float, int, Path]]:
        found = []
        for file in self._folder.glob("*.db"):
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                stat = file.stat()
                found.append((stat.st_mtime, stat.st_size, file))
        return found

    def _file(self, image: UUID) -> Path:
        return self._folder / f"{image}.db"
