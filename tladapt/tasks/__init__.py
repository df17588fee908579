"""The tasks, one per file."""

from tladapt.tasks.classification import Classification
from tladapt.tasks.multilabel import MultiLabel
from tladapt.tasks.regression import Regression
from tladapt.tasks.representation import Representation
from tladapt.tasks.segmentation import Segmentation
from tladapt.tasks.transcription import SpeechToText

__all__ = ["Classification", "MultiLabel", "Regression", "Representation", "Segmentation", "SpeechToText"]
