"""A report on disk, as JSON."""

import json
from pathlib import Path

from tladapt.report import SCHEMA, Report


def save_report(report: Report, folder: str | Path) -> Path:
    """Write `report.json` into `folder`; returns its path."""
    path = Path(folder) / "report.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.to_dict(), indent=1, allow_nan=False) + "\n")
    return path


def load_report(folder: str | Path) -> Report:
    """The report in `folder`.

    Raises
    ------
    ValueError
        If there is none, or the file is no report of this schema.
    """
    path = Path(folder) / "report.json"
    try:
        stored = json.loads(path.read_text())
        if stored["schema"] != SCHEMA:
            raise ValueError(f"schema {stored['schema']}, expected {SCHEMA}")
        return Report(**{name: stored[name] for name in Report.__dataclass_fields__ if name in stored})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: no report of tladapt ({error})") from error
