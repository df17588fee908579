"""What a setting is, in JSON: equal in two processes if, and only if, the setting is known to be the same."""

from typing import Any

from tladapt.storage.callables import FUNCTIONS
from tladapt.storage.describing import Describer
from tladapt.storage.kinds import PLAIN
from tladapt.storage.objects import OBJECTS

RULES = [*PLAIN, *FUNCTIONS, *OBJECTS]


def describer(*, lenient: bool = False) -> Describer:
    """Return what describes the settings of one run."""
    return Describer(RULES, lenient)


def identity(value: Any, *, lenient: bool = False) -> Any:
    """Describe a setting in JSON.

    Functions and classes are described by qualified name and source, with the values that they use; tensors and arrays
    by a digest of their bytes; other objects by their class and attributes.

    Parameters
    ----------
    lenient : bool
        Whether an object of an unknown kind is described by its type only.

    Raises
    ------
    UnknownKindError
        If it contains an object of a kind that cannot be compared, and is not `lenient`.

    Examples
    --------
    >>> identity([1, lambda x: 2 * x]) == identity([1, lambda x: 3 * x])
    False
    >>> import math
    >>> identity(math.cos), identity((1.5, {2}))
    ({'builtin': 'math.cos'}, {'tuple': [1.5, {'set': [2]}]})
    """
    return describer(lenient=lenient).of(value)
