"""The tasks, one per file."""

from tladapt.tasks.classification import Classification
from tladapt.tasks.transcription import SpeechToText

__all__ = ["Classification", "SpeechToText"]
