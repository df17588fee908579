"""The tasks, one per file."""

from tladapt.tasks.classification import Classification
from tladapt.tasks.language import LanguageModelling
from tladapt.tasks.multilabel import MultiLabel
from tladapt.tasks.regression import Regression
from tladapt.tasks.representation import Representation
from tladapt.tasks.segmentation import Segmentation
from tladapt.tasks.transcription import SpeechToText
from tladapt.tasks.translation import SequenceToSequence

__all__ = [
    "Classification", "LanguageModelling", "MultiLabel", "Regression", "Representation", "Segmentation",
    "SequenceToSequence", "SpeechToText",
]  # fmt: skip
