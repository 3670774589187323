"""Bodies of jobs that import a model."""

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from app.api.schemas.common import MAX_ID, MAX_MODEL_ID, JsonBody
from app.api.schemas.job_record import JobRecord, record_fields
from app.api.schemas.job_watch import WebhookRequest
from app.api.schemas.jobs import LONGEST, Metadata, Priority, ResultName
from app.jobs.kinds import ImportSpec
from app.jobs.spec import Job
from app.methods.patterns import MAX_PATTERN
from app.submission.imports import ImportSubmission


class ImportRequest(JsonBody):
    source: str | None = Field(
        None, min_length=1, max_length=MAX_MODEL_ID, description="Hub id of the model: org/name or org/name@revision"
    )
    file: str | None = Field(
        None, min_length=1, max_length=MAX_ID, description="Id of an uploaded archive (.tar, .tar.gz, .tar.zst, .zip)"
    )
    name: ResultName | None = Field(
        None,
        description="Name of the model in this store; by default that of the source, without the organization if no"
        " preset has that name",
    )
    architecture: str | None = Field(
        None, min_length=1, max_length=100, description="The model_type, such as bert, if config.json names none"
    )
    tokenizer_regex: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_PATTERN,
        description="Regular expression of the tokenizer, or `smiles`, for a vocab.txt that came with code",
    )
    base: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_MODEL_ID,
        description="Stored model that a LoRA adapter changes; by default the one that the adapter names",
    )
    metadata: Metadata | None = None
    webhook: WebhookRequest | None = None
    priority: Priority = 0
    max_wall_minutes: float | None = Field(
        None, gt=0, le=LONGEST, description="Minutes from now after which an unfinished import fails"
    )

    @model_validator(mode="after")
    def _check_source(self) -> "ImportRequest":
        if (self.source is None) == (self.file is None):
            raise ValueError("give either `source` or `file`")
        return self

    def to_submission(self) -> ImportSubmission:
        return ImportSubmission(
            hub_id=self.source,
            file=self.file,
            name=self.name,
            architecture=self.architecture,
            tokenizer_regex=self.tokenizer_regex,
            base=self.base,
            metadata=self.metadata or {},
            webhook=self.webhook.to_webhook() if self.webhook else None,
            max_wall_minutes=self.max_wall_minutes,
            sent=self.model_dump(exclude_unset=True),
        )


class ImportObject(JobRecord):
    """A job that imports a model."""

    kind: Literal["import"] = "import"
    object: Literal["model.import"] = "model.import"
    source: str | None = Field(description="Hub id that the model is downloaded from")
    file: str | None = Field(description="Id of the archive that the model is unpacked from")
    architecture: str | None = Field(description="The model_type that the request names")
    tokenizer_regex: str | None = Field(description="Regular expression of the tokenizer that the request names")
    base: str | None = Field(description="Stored model that the adapter changes, as name@version")
    model: str | None = Field(description="The imported model, as name@version; null until it is published")


class ImportList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ImportObject]
    has_more: bool


def import_object(job: Job, queue_reason: str | None = None) -> ImportObject:
    spec = job.spec
    assert isinstance(spec, ImportSpec)
    return ImportObject(
        **record_fields(job, queue_reason),
        source=spec.hub_id,
        file=spec.file,
        architecture=spec.architecture,
        tokenizer_regex=spec.tokenizer_regex,
        base=spec.base,
        model=job.result_model,
    )


EXAMPLES = {
    "hub": {
        "summary": "A model of the Hugging Face hub (needs CLOZE_ALLOW_HUB=1)",
        "value": {"source": "sentence-transformers/all-MiniLM-L6-v2", "name": "minilm"},
    },
    "archive": {
        "summary": "An uploaded archive (upload it first, and put its id here)",
        "value": {"file": "file-…", "name": "my-model"},
    },
}
