"""Move a trained model to a new domain without losing the old one."""

from tladapt.data import Data
from tladapt.display.progress import DivergedError
from tladapt.domains import Domain
from tladapt.evaluation import Evaluator
from tladapt.method import Method
from tladapt.methods import (
    BSS,
    CORAL,
    DANN,
    EWC,
    L2SP,
    LPFT,
    MMD,
    Adapter,
    BitFit,
    EarlyStopping,
    GradualUnfreezing,
    LayerwiseRate,
    LinearProbe,
    LoRA,
    LwF,
    Replay,
    VICReg,
    WiSEFT,
)  # fmt: skip
from tladapt.model import Model, Output
from tladapt.report import Report
from tladapt.stage import Batch, Stage
from tladapt.streams import adaptation
from tladapt.task import Task
from tladapt.tasks import (
    Classification,
    LanguageModelling,
    MultiLabel,
    Regression,
    Representation,
    Segmentation,
    SequenceToSequence,
    SpeechToText,
)  # fmt: skip
from tladapt.training import cosine, fit, train

__version__ = "0.1.0"
__all__ = [
    "BSS", "CORAL", "DANN", "EWC", "L2SP", "LPFT", "MMD", "Adapter", "Batch", "BitFit", "Classification", "Data",
    "DivergedError", "Domain", "EarlyStopping", "Evaluator", "GradualUnfreezing", "LanguageModelling", "LayerwiseRate",
    "LinearProbe", "LoRA", "LwF", "Method", "Model", "MultiLabel", "Output", "Regression", "Replay", "Report",
    "Representation", "Segmentation", "SequenceToSequence", "SpeechToText", "Stage", "Task", "VICReg", "WiSEFT",
    "adaptation", "cosine", "fit", "train",
]  # fmt: skip
