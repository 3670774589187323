"""The labelled files of an evaluation, as the readers of `app.datasets` take them."""

from app.datasets.labelled import LabelledColumns, LabelledFile, Part
from app.jobs.kinds import EvaluationSpec
from app.worker.attempt import AttemptServices


def name_labelled_columns(spec: EvaluationSpec) -> LabelledColumns:
    return LabelledColumns(spec.text_column, spec.label_column, spec.split_column, spec.label_separator)


def find_labelled_files(spec: EvaluationSpec, services: AttemptServices) -> dict[str, LabelledFile]:
    """The files by field, with the part that each is. A validation file makes the other one the training part."""
    parts = {"file": Part.TRAIN if spec.validation_file else Part.EITHER, "validation_file": Part.TEST}
    return {
        field: LabelledFile(
            services.files.path(file_id), services.files.get(file_id).filename, parts.get(field, Part.EITHER), field
        )
        for field, file_id in spec.files
    }
