"""Runs the study: python -m benchmarks.study DATA [--folder FOLDER] [TASK...]

DATA is the folder of the labelled sets. What FOLDER holds already, models and reports, is not computed again.
"""

import argparse
import json
from pathlib import Path

from benchmarks.guides import serve
from benchmarks.study.page import write_page
from benchmarks.study.session import DONE, Session
from benchmarks.study.tasks import PRETRAININGS, TASKS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "study.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the labelled sets")
    parser.add_argument("tasks", nargs="*", help="names of tasks; all by default")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "study", help="folder of models and reports")
    parser.add_argument("--page", type=Path, default=PAGE, help="page that is written")
    given = parser.parse_intermixed_args()  # tasks may come after options
    results, files = given.folder / "results", given.folder / "files"
    for each in (results, files):
        each.mkdir(parents=True, exist_ok=True)
    link_shipped_models(given.folder / "store")
    with serve(given.folder, given.folder / "store") as environment:
        session = Session(environment["CLOZE_URL"], results)
        run(session, given.data, files, results, set(given.tasks) or {task.name for task in TASKS})
    write_page(results, given.page)


def run(session: Session, data: Path, files: Path, results: Path, names: set[str]) -> None:
    """Runs what is missing of the tasks that are named, and of the models that they evaluate."""
    tasks = [task for task in TASKS if task.name in names and not (results / task.name / DONE).exists()]
    for each in PRETRAININGS:
        if any(each.name in task.models for task in tasks) and not session.has_model(each.name):
            print(f"pretraining {each.name}", flush=True)
            job = session.pretrain(each.body, each.write(data, files))
            (results / f"{each.name}.json").write_text(json.dumps(job, indent=1), encoding="utf-8")
    for task in tasks:
        print(f"evaluating {task.name}", flush=True)
        session.evaluate(task.name, {"models": list(task.models), **task.request}, task.write(data, files))


def link_shipped_models(store: Path) -> None:
    """Puts the models of the repository into the store of the study."""
    store.mkdir(exist_ok=True)
    for model in (ROOT / "model_store").iterdir():
        if model.is_dir() and not (store / model.name).exists():
            (store / model.name).symlink_to(model, target_is_directory=True)


if __name__ == "__main__":
    main()
