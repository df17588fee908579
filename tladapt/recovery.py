"""What a fit that failed leaves behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tladapt.layers.copying import copy_of
from tladapt.method import Method


@contextmanager
def forgotten_on_failure(method: Method, learned: Callable[[], bool]) -> Iterator[None]:
    """Context manager after whose failure the method is as before, unless `learned()` says that a stage is done.

    A method keeps what it builds and remembers. After an error in the first stage there is nothing worth keeping, and
    the same method can be used for the next try.
    """
    before = {term: _contents(term) for term in method.terms.values()}
    try:
        yield
    except (Exception, KeyboardInterrupt):
        if not learned():
            for term, contents in before.items():
                if contents is not None:
                    vars(term).clear()
                    vars(term).update(contents)
        raise


def _contents(term: Method) -> dict[str, Any] | None:
    try:
        return vars(copy_of(term))
    except (TypeError, RuntimeError, AttributeError):  # a method of the user's that holds a file or a lock
        return None
