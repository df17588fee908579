"""The tasks, one per file."""

from tladapt.tasks.classification import Classification

__all__ = ["Classification"]
