"""Renders the Helm chart with its default values to deploy/kubernetes/cloze.yaml: `python -m scripts.manifests`.

Needs the extra `deploy`.
"""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "helm" / "cloze"
MANIFESTS = ROOT / "deploy" / "kubernetes" / "cloze.yaml"

_HEAD = """\
# The chart deploy/helm/cloze with its default values, as `python -m scripts.manifests` renders it. Do not edit.
#   kubectl create namespace cloze
#   kubectl --namespace cloze create secret generic cloze-api-keys --from-literal=CLOZE_API_KEYS=$(openssl rand -hex 24)
#   kubectl --namespace cloze apply --filename deploy/kubernetes/cloze.yaml
"""


def render(values: dict[str, Any] | None = None) -> str:
    """Renders the chart as one YAML stream of manifests."""
    import helm_python

    with helm_python.Chart.load(str(CHART)) as chart:
        files = chart.render(values or {}, name="cloze", namespace="cloze")
    parts = [text.strip().removeprefix("---").strip() for _, text in sorted(files.items())]
    return "\n---\n".join(part for part in parts if part and not part.startswith("{{")) + "\n"


if __name__ == "__main__":
    MANIFESTS.write_text(_HEAD + render(), encoding="utf-8")
