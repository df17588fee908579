"""Libraries that not every user has."""

import importlib
from types import ModuleType


def needed(library: str, extra: str) -> ModuleType:
    """The library.

    Raises
    ------
    ValueError
        If it is not installed; names the extra that brings it.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise ValueError(f'{library} is missing ({error}): pip install "tladapt[{extra}]"') from error
