import json

from app.jobs.kinds import Estimate, JobState, PretrainingSpec
from app.jobs.spec import Job, Progress
from app.publishing.card import render
from app.store.manifest import DataSource, Manifest
from app.types import ModalityName, Task

REQUEST = {"model": "minilm", "training_file": "file-1", "method": {"type": "mlm"}}


def make_card(**changes: object) -> str:
    spec = PretrainingSpec(
        model="minilm@2",
        method="mlm",
        hyperparameters={},
        training_files=("file-1",),
        name="lions",
        request=REQUEST,
        estimate=Estimate(read_as={"lines": 1, "rows": 2}),
    )
    progress = Progress(step=1200, tokens=9_830_400, epoch=1.5)
    job = Job(id="ftjob-1", spec=spec, state=JobState.RUNNING, created_at=0, progress=progress)
    values: dict[str, object] = {
        "modality": ModalityName.TEXT,
        "architecture": "bert",
        "tasks": (Task.FILL_MASK, Task.EMBED),
        "parameters": 22_000_000,
        "license": "apache-2.0",
        "parents": ("minilm@2", "teacher@1"),
        "request": REQUEST,
        "data": (DataSource(filename="a|b.txt", bytes=1234, sha256="ab" * 32),),
        "metrics": {"eval_loss": 2.34567},
    }
    return render(job, Manifest.model_validate({**values, **changes}), "lions")


def test_a_card_says_what_the_model_is_made_of() -> None:
    card = make_card()
    assert card.startswith("---\nlicense: apache-2.0\n")
    for said in (
        "# lions\n",
        "minilm@2, teacher@1",
        f"| a\\|b.txt | 1,234 | `{'ab' * 32}` |",
        "| Steps | 1,200 |",
        "| One document is | a line (in 1 files), a row (in 2 files) |",
        "| Tokens | 9,830,400 |",
        "| eval_loss | 2.346 |",
        "/v1/fill-mask -H",
        '"model": "lions"',
    ):
        assert said in card
    block = card.split("```json\n")[1].split("\n```")[0]
    assert json.loads(block) == REQUEST


def test_a_card_shows_a_call_that_suits_the_model() -> None:
    card = make_card(modality=ModalityName.IMAGE, architecture="vit_mae", tasks=(Task.EMBED, Task.RECONSTRUCT))
    assert "/v1/reconstruct -F model=lions -F file=@photo.jpg -H 'Accept: image/png'" in card
    assert '{"model": "lions", "input": "data:image/jpeg;base64,…"}' in card


def test_a_card_says_what_transformers_cannot_load() -> None:
    card = make_card(modality=ModalityName.AUDIO, architecture="vit_mae", tasks=(Task.EMBED,))
    assert "## Limitations\n\n- Transformers loads the encoder with" in card
    assert "## Limitations" not in make_card()


def test_a_card_gives_the_verdict_and_what_was_chosen() -> None:
    verdict = {"learnt": False, "summary": "Not learnt yet: ….", "advice": "Train longer."}
    card = make_card(chosen={"learning_rate": 0.0005, "vocab_size": 16384}, verdict=verdict)
    assert "## Verdict\n\n> **Warning:** Not learnt yet: ….\n\nTrain longer." in card
    assert "| Learning rate | 0.0005 |" in card and "| Vocab size | 16,384 |" in card
    assert "Warning" not in make_card(verdict={**verdict, "learnt": True})


def test_a_card_leaves_out_what_there_is_not() -> None:
    card = make_card(license=None, parents=(), data=(), metrics={})
    assert "## Verdict" not in card
    assert "license:" not in card and "## Data" not in card and "## Metrics" not in card
    assert "scratch" in card and "not stated" in card
