"""The labelled tasks of the study, and the models that it pretrains."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.study import data

Write = Callable[[Path, Path], Path]  # from shared/data and a folder to a file in the folder

_FEW = [1, 2, 5, 10, 50, "all"]


@dataclass(frozen=True)
class Pretraining:
    """A model that a job pretrains on raw data. request: the body of the job without its file."""

    name: str
    about: str
    write: Write
    request: Mapping[str, Any]

    @property
    def body(self) -> dict[str, Any]:
        return {**self.request, "name": self.name}


@dataclass(frozen=True)
class StudyTask:
    """A labelled task. request: the body of the evaluation without its models and its file."""

    name: str
    title: str
    about: str
    write: Write
    models: tuple[str, ...]
    request: Mapping[str, Any] = field(default_factory=dict)


def _mlm(model: str, **hyperparameters: Any) -> dict[str, Any]:
    return {"model": model, "method": {"type": "mlm", "mlm": {"hyperparameters": hyperparameters}}, "seed": 1}


PRETRAININGS = (
    Pretraining(
        "study-wikipedia",
        "46 MB of English Wikipedia and random weights: a model that never saw a label or a pair of sentences",
        data.write_articles,
        _mlm("modernbert-mini", max_steps=1500, vocab_size=8000),
    ),
    Pretraining(
        "study-sst2",
        "cloze-text continued on the texts of the training part of SST-2, without labels",
        partial(data.write_training_texts, "sst2"),
        _mlm("cloze-text", max_steps=150),
    ),
    Pretraining(
        "study-proteins",
        "the letters of 45,036 proteins of eight proteomes, and random weights",
        data.write_proteomes,
        _mlm("esm-tiny", max_steps=1500, sequence_length=256),
    ),
    Pretraining(
        "study-molecules",
        "93,127 molecules of MUV as SMILES, and random weights",
        partial(data.copy_molecules, "muv.csv.gz"),
        _mlm("bert-mini", max_steps=800, text_column="smiles"),
    ),
)

TASKS = (
    StudyTask(
        "sst2",
        "SST-2: is a film review positive?",
        "6,920 training and 1,821 test sentences (Socher et al. 2013), two classes",
        partial(data.write_texts, "sst2"),
        ("cloze-text", "study-sst2", "study-wikipedia"),
        {"split_column": "split", "labels_per_class": [1, 2, 5, 10, 50, 200, 1000, "all"]},
    ),
    StudyTask(
        "trec6",
        "TREC-6: what does a question ask for?",
        "5,452 training and 500 test questions (Li and Roth 2002), six classes",
        partial(data.write_texts, "trec6"),
        ("cloze-text", "study-wikipedia"),
        {"split_column": "split", "labels_per_class": _FEW},
    ),
    StudyTask(
        "subj",
        "Subj: does a sentence state an opinion?",
        "10,000 sentences (Pang and Lee 2004), two classes",
        partial(data.write_texts, "subj"),
        ("cloze-text", "study-wikipedia"),
        {"labels_per_class": _FEW},
    ),
    StudyTask(
        "caltech20",
        "Caltech-101: photographs of 20 kinds of things",
        "the 20 most common classes of Caltech-101 (Fei-Fei et al. 2004) at 96 pixels",
        partial(data.write_caltech, 20),
        ("cloze-image",),
        {"split_column": "split", "labels_per_class": _FEW},
    ),
    StudyTask(
        "caltech101",
        "Caltech-101: photographs of 101 kinds of things",
        "all classes of Caltech-101 at 96 pixels",
        partial(data.write_caltech, None),
        ("cloze-image",),
        {"split_column": "split", "labels_per_class": [1, 2, 5, 10, "all"], "seeds": 3},
    ),
    StudyTask(
        "esc10",
        "ESC-10: environmental sounds",
        "400 sounds of 5 s (Piczak 2015), ten classes; the fifth fold is the test part",
        data.write_esc10,
        ("cloze-audio",),
        {"split_column": "split", "labels_per_class": [1, 2, 5, 10, "all"]},
    ),
    StudyTask(
        "digits",
        "Spoken digits",
        "2,700 training and 300 test recordings of six speakers (FSDD), ten classes",
        partial(data.copy_archive, "fsdd_flac.zip"),
        ("cloze-audio",),
        {"label_column": "digit", "split_column": "split", "labels_per_class": _FEW},
    ),
    StudyTask(
        "sprites",
        "Sprites: what does a figure do, and in which direction?",
        "3,510 clips of 8 frames (Li and Mandt 2018), nine classes; test figures are others than those for training."
        " All figures stand at one place and have one size, so random weights tell the classes apart as well",
        data.write_sprites,
        ("cloze-video",),
        {"labels_per_class": _FEW},
    ),
    StudyTask(
        "organisms",
        "Proteins: which organism is it from?",
        "4,000 proteins of eight proteomes (UniProt); the headers name the organism",
        data.write_organisms,
        ("study-proteins",),
        {"label_column": "organism", "labels_per_class": _FEW},
    ),
    StudyTask(
        "fitness",
        "Proteins: how well does a mutant of a beta-lactamase work?",
        "5,397 variants of one protein with a measured fitness; a rank correlation. The protein has 286 letters, of"
        " which the model reads 254: of 5,199 different variants, it sees 4,630",
        data.write_variants,
        ("study-proteins",),
        {"label_type": "numbers", "labels_per_class": [5, 20, 100, 500, "all"]},
    ),
    StudyTask(
        "tox21",
        "Molecules: are they active in an assay of Tox21?",
        "the assay SR-MMP of Tox21; molecules without a result are left out",
        partial(data.copy_molecules, "tox21.csv.gz"),
        ("study-molecules",),
        {"text_column": "smiles", "label_column": "SR-MMP", "labels_per_class": _FEW},
    ),
)
