"""Move a trained model to a new domain without losing the old one."""

from typing import TYPE_CHECKING

from tladapt.lazy import lazily

if TYPE_CHECKING:
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
else:  # torch is imported with the first name that is used: `tladapt --help` needs none
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "tladapt.data": ["Data"],
            "tladapt.display.progress": ["DivergedError"],
            "tladapt.domains": ["Domain"],
            "tladapt.evaluation": ["Evaluator"],
            "tladapt.method": ["Method"],
            "tladapt.methods": [
                "BSS", "CORAL", "DANN", "EWC", "L2SP", "LPFT", "MMD", "Adapter", "BitFit", "EarlyStopping",
                "GradualUnfreezing", "LayerwiseRate", "LinearProbe", "LoRA", "LwF", "Replay", "VICReg", "WiSEFT",
            ],
            "tladapt.model": ["Model", "Output"],
            "tladapt.report": ["Report"],
            "tladapt.stage": ["Batch", "Stage"],
            "tladapt.streams": ["adaptation"],
            "tladapt.task": ["Task"],
            "tladapt.tasks": [
                "Classification", "LanguageModelling", "MultiLabel", "Regression", "Representation", "Segmentation",
                "SequenceToSequence", "SpeechToText",
            ],
            "tladapt.training": ["cosine", "fit", "train"],
        },
    )  # fmt: skip

__version__ = "0.1.0"
__all__ = [
    "BSS", "CORAL", "DANN", "EWC", "L2SP", "LPFT", "MMD", "Adapter", "Batch", "BitFit", "Classification", "Data",
    "DivergedError", "Domain", "EarlyStopping", "Evaluator", "GradualUnfreezing", "LanguageModelling", "LayerwiseRate",
    "LinearProbe", "LoRA", "LwF", "Method", "Model", "MultiLabel", "Output", "Regression", "Replay", "Report",
    "Representation", "Segmentation", "SequenceToSequence", "SpeechToText", "Stage", "Task", "VICReg", "WiSEFT",
    "adaptation", "cosine", "fit", "train",
]  # fmt: skip
