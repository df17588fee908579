"""Which files of a folder are read, and the class of each: the name of the folder that it lies in."""

from pathlib import Path

# What operating systems and programs leave in folders; names that begin with a dot are left out, too.
SYSTEM = {
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin",
    "system volume information", "lost+found", "__pycache__",
}  # fmt: skip


def files_in(path: Path, what: str) -> tuple[list[Path], list[str] | None]:
    """List the files of a folder, and the name of each one's class; None for a folder without class folders.

    A folder that contains nothing but one folder of class folders, such as `web/train/cup/1.png`, is read from there.

    Parameters
    ----------
    path
        A folder of class folders or of files; a file stands for itself.
    what : str
        What the files should be, for messages.

    Raises
    ------
    ValueError
        If there are no files, files lie both beside and within class folders, class folders contain folders, or a link
        leads out of the folder; the message says what to move.
    """
    if path.is_file():
        return [path], None
    inside = path.resolve()
    entries = _visible(path, inside)
    folders = [entry for entry in entries if entry.is_dir()]
    while len(entries) == 1 and folders and _only_folders(folders[0], inside):
        path, entries = folders[0], _visible(folders[0], inside)
        folders = [entry for entry in entries if entry.is_dir()]
    if not folders:
        return _some(entries, path, what), None
    if stray := [entry for entry in entries if not entry.is_dir()]:
        raise ValueError(
            f"{stray[0]}: lies beside class folders; move it into the folder of its class or, if it is not one of the "
            f"{what}, out of {path.name}"
        )
    files = [file for folder in folders for file in _files_of_class(folder, inside, what)]
    return _some(files, path, what), [file.parent.name for file in files]


def _some(files: list[Path], path: Path, what: str) -> list[Path]:
    if not files:
        raise ValueError(f"{path}: no {what} in it")
    return files


def _only_folders(folder: Path, inside: Path) -> bool:
    entries = _visible(folder, inside)
    return bool(entries) and all(entry.is_dir() for entry in entries)


def _files_of_class(folder: Path, inside: Path, what: str) -> list[Path]:
    entries = _visible(folder, inside)
    deeper = [entry for entry in entries if entry.is_dir()]
    if deeper and len(deeper) == len(entries):
        raise ValueError(
            f"{folder}: contains folders, not {what}; give the folder whose folders are the classes, such as {folder}, "
            f"or move the {what} up"
        )
    if deeper:
        raise ValueError(f"{deeper[0]}: a folder within a class folder; move its {what} up, or move it out of there")
    return entries


def _visible(folder: Path, inside: Path) -> list[Path]:
    named = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    found = sorted(entry for entry in named if entry.name.lower() not in SYSTEM)
    for entry in found:
        if entry.is_symlink() and not _resolved(entry).is_relative_to(inside):
            raise ValueError(f"{entry}: a link that leads out of {inside}; put what it leads to in its place")
    return found


def _resolved(link: Path) -> Path:
    try:
        return link.resolve()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{link}: a link that leads nowhere ({error})") from error


def require_file(path: Path) -> None:
    """Refuse what is not a regular file: a pipe, or a device, would be read without an end.

    Raises
    ------
    OSError
        If it is a folder, a pipe, a device, or does not exist.
    """
    if not path.is_file():
        raise OSError("no file" if path.exists() else "no such file")
