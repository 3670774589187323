"""Bodies of jobs that evaluate models."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from app.api.schemas.common import MAX_ID, MAX_MODEL_ID, JsonBody
from app.api.schemas.job_record import JobRecord, record_fields
from app.api.schemas.job_watch import WebhookRequest
from app.api.schemas.jobs import LONGEST, FileId, Metadata, Priority
from app.datasets.labelled import LabelledColumns
from app.datasets.text_rows import DEFAULT_COLUMNS, find_text_method
from app.jobs.kinds import EvaluationSpec
from app.jobs.spec import Job, Verdict
from app.store.names import MAX_NAME_LENGTH
from app.submission.evaluations import EvaluationSubmission
from app.types import EvaluationMethod, LabelType

_MAX_MODELS = 20
_MAX_COUNTS = 30
_MAX_SEEDS = 100
_MOST_LABELS = 1_000_000
_SEPARATOR = ","
_OF_LABELS = (
    *("validation_file", "sequence_file", "split_column", "label_type", "label_separator"),
    *("labels_per_class", "seeds", "publish"),
)
# Without those that train the whole network, which takes minutes where these take seconds.
_DEFAULT: tuple[EvaluationMethod, ...] = ("linear_probe", "knn", "kmeans", "random_encoder", "baseline")

Column = Annotated[str, Field(min_length=1, max_length=200)]
ModelId = Annotated[str, Field(min_length=1, max_length=MAX_MODEL_ID)]


def _check_publish(value: object) -> object:
    if not isinstance(value, bool | str) or value == "":
        raise ValueError("expected true, false or the name of a model")
    return value


Publish = Annotated[bool | Annotated[str, Field(max_length=MAX_NAME_LENGTH)], BeforeValidator(_check_publish)]
LabelCount = Annotated[int, Field(ge=1, le=_MOST_LABELS)] | Literal["all"]


class EvaluationRequest(JsonBody):
    models: list[ModelId] = Field(min_length=1, max_length=_MAX_MODELS, description="Stored models that give vectors")
    file: FileId = Field(
        description="Id of an uploaded table of texts (.csv, .jsonl, …) or archive of media (.zip, .tar, …)"
    )
    validation_file: FileId | None = Field(
        None, description="Another table or archive, for scores; then `file` is for training alone"
    )
    sequence_file: FileId | None = Field(
        None, description="A FASTA file; then `text_column` of the table has the names of its records"
    )
    text_column: Column = Field(
        "text",
        description="Column of texts; in an archive's labels.csv, of names of files; of good texts for minimal_pairs,"
        " where it is `good` by default",
    )
    label_column: Column = Field("label", description="Column of the labels")
    split_column: Column | None = Field(
        None, description="Column with train, validation or test; without it, each seed draws 30 % for scores"
    )
    pair_column: Column | None = Field(
        None,
        description="For sts and minimal_pairs, column of the second text of a pair; by default `pair`, and `bad` for"
        " minimal_pairs",
    )
    group_column: Column | None = Field(
        None, description="For sts and minimal_pairs, column of names; each group of rows has a figure of its own"
    )
    label_type: LabelType = Field(
        "auto",
        description="With labels, an item has any number of them; numbers are a regression. auto finds labels in lists,"
        " and numbers if most labels are numbers, with over 20 values",
    )
    label_separator: Annotated[str, Field(min_length=1, max_length=8)] | None = Field(
        None, description="Separates the labels of a cell, such as ; then label_type is labels; with labels, a comma"
    )
    labels_per_class: list[LabelCount] = Field(
        [1, 2, 5, 10, 50, "all"],
        min_length=1,
        max_length=_MAX_COUNTS,
        description="Numbers of training labels; for numbers, labels altogether",
    )
    seeds: int = Field(5, ge=1, le=_MAX_SEEDS, description="Number of draws of the training labels")
    methods: list[EvaluationMethod] = Field(
        list(_DEFAULT),
        min_length=1,
        max_length=len(get_args(EvaluationMethod)),
        description="Methods that are compared; fine_tune and from_scratch train the whole network. sts, minimal_pairs"
        " and masked_accuracy use no training labels, and each is the only method of its evaluation",
    )
    publish: Publish = Field(
        False,
        description="Publish the linear probe of the best model as a classifier: true, or the name of the classifier;"
        " with true, it has the name of the evaluation",
    )
    name: str | None = Field(
        None, min_length=1, max_length=MAX_ID, description="Name of the evaluation; by default that of the file"
    )
    metadata: Metadata | None = None
    webhook: WebhookRequest | None = None
    priority: Priority = 0
    max_wall_minutes: float | None = Field(
        None, gt=0, le=LONGEST, description="Minutes from now after which the evaluation fails if it is not done"
    )

    @model_validator(mode="after")
    def _check_columns(self) -> "EvaluationRequest":
        if find_text_method(self.methods):
            self._check_text_method()
            return self
        if self.pair_column or self.group_column:
            raise ValueError("`pair_column` and `group_column` are for the methods sts and minimal_pairs")
        columns = [name for name in (self.text_column, self.label_column, self.split_column) if name]
        if len(set(columns)) < len(columns):
            raise ValueError("`text_column`, `label_column` and `split_column` must differ")
        if self.split_column and self.validation_file:
            raise ValueError("give either `split_column` or `validation_file`")
        if self.label_separator and self.label_type not in ("auto", "labels"):
            raise ValueError(f"`label_separator` is for the label_type labels, not {self.label_type}")
        if self.publish and "linear_probe" not in self.methods:
            raise ValueError("`publish` needs the method linear_probe")
        return self

    def _check_text_method(self) -> None:
        method = self.methods[0]
        if len(set(self.methods)) > 1:
            raise ValueError("`methods`: sts, minimal_pairs and masked_accuracy are each the only method")
        unused = [
            name for name in _OF_LABELS if name in self.model_fields_set and getattr(self, name) not in (None, False)
        ]
        if method == "masked_accuracy":
            unused += [name for name in ("pair_column", "group_column") if getattr(self, name) is not None]
        if unused:
            raise ValueError(f"the method {method} does not use `{'`, `'.join(unused)}`")
        columns = list(self._columns().values())
        if len(set(columns)) < len(columns):
            raise ValueError("the columns must differ")

    def _columns(self) -> dict[str, str]:
        """The columns of the method by the names of their fields, with its defaults."""
        method = find_text_method(self.methods)
        names = ("text_column", "pair_column", "label_column", "group_column")
        given = {name: getattr(self, name) for name in names if name in self.model_fields_set}
        defaults = DEFAULT_COLUMNS[method] if method else {}
        return {**defaults, **{name: column for name, column in given.items() if column}}

    def to_submission(self) -> EvaluationSubmission:
        columns = self._columns()
        return EvaluationSubmission(
            models=tuple(self.models),
            file=self.file,
            validation_file=self.validation_file,
            sequence_file=self.sequence_file,
            columns=LabelledColumns(
                columns.get("text_column", self.text_column),
                self.label_column,
                self.split_column,
                self.label_separator or (_SEPARATOR if self.label_type == "labels" else None),
            ),
            pair_column=columns.get("pair_column"),
            group_column=self.group_column,
            label_type=self.label_type,
            labels_per_class=tuple(self.labels_per_class),
            methods=tuple(dict.fromkeys(self.methods)),
            seeds=self.seeds,
            publish=self.publish,
            name=self.name,
            metadata=self.metadata or {},
            webhook=self.webhook.to_webhook() if self.webhook else None,
            max_wall_minutes=self.max_wall_minutes,
            sent=self.model_dump(exclude_unset=True),
        )


class EvaluationObject(JobRecord):
    """A job that evaluates models. Its artifact report.json has the results, also while it runs."""

    kind: Literal["evaluation"] = "evaluation"
    object: Literal["evaluation"] = "evaluation"
    pause_requested: bool = Field(description="True while a running job stops to pause")
    models: list[str] = Field(description="Evaluated models, as name@version")
    file: str = Field(description="Id of the labelled table or archive")
    validation_file: str | None = Field(description="Id of the one for scores; null if there is none")
    sequence_file: str | None = Field(description="Id of the FASTA file whose records the table names")
    text_column: str = Field(description="Column of the texts")
    label_column: str = Field(description="Column of the labels")
    split_column: str | None = Field(description="Column of the parts; null if there is none")
    pair_column: str | None = Field(description="Column of the second texts of pairs; null if there is none")
    group_column: str | None = Field(description="Column of the groups of pairs; null if there is none")
    label_type: LabelType = Field(description="Kind of the labels, as requested")
    label_separator: str | None = Field(description="Separates the labels of a cell; null if a cell has one")
    labels_per_class: list[int | Literal["all"]] = Field(description="Numbers of training labels")
    seeds: int = Field(description="Number of draws of the training labels")
    methods: list[EvaluationMethod] = Field(description="Methods that are compared")
    publish: str | None = Field(description="Name of the classifier that is published; null if none is")
    result_model: str | None = Field(description="The published classifier, as name@version, once it exists")
    verdict: Verdict | None = Field(description="The findings in words, once it has ended")


class EvaluationList(BaseModel):
    object: Literal["list"] = "list"
    data: list[EvaluationObject]
    has_more: bool


def evaluation_object(job: Job, queue_reason: str | None = None) -> EvaluationObject:
    spec = job.spec
    assert isinstance(spec, EvaluationSpec)
    return EvaluationObject(
        **record_fields(job, queue_reason),
        pause_requested=job.pause_requested,
        models=list(spec.models),
        file=spec.file,
        validation_file=spec.validation_file,
        sequence_file=spec.sequence_file,
        text_column=spec.text_column,
        label_column=spec.label_column,
        split_column=spec.split_column,
        pair_column=spec.pair_column,
        group_column=spec.group_column,
        label_type=spec.label_type,
        label_separator=spec.label_separator,
        labels_per_class=list(spec.labels_per_class),
        seeds=spec.seeds,
        methods=list(spec.methods),
        publish=spec.publish,
        result_model=job.result_model,
        verdict=job.verdict,
    )


EXAMPLES = {
    "texts": {
        "summary": "A table with the columns text and label (upload it first, and put its id here)",
        "value": {"models": ["cloze-text"], "file": "file-…", "labels_per_class": [1, 5, 10, "all"]},
    },
    "classifier": {
        "summary": "An evaluation that publishes a classifier for /v1/classify",
        "value": {"models": ["cloze-text"], "file": "file-…", "publish": "reviews"},
    },
    "pairs": {
        "summary": "Pairs of sentences with a score: columns sentence1, sentence2 and score",
        "value": {
            "models": ["cloze-text"],
            "file": "file-…",
            "methods": ["sts"],
            "text_column": "sentence1",
            "pair_column": "sentence2",
            "label_column": "score",
        },
    },
}
