"""A multi-vector model behind the routes, against sentence-transformers."""

from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from app.store.manifest import Manifest
from app.store.store import ModelStore
from app.types import ModalityName, Task
from tests.fakes.colbert import CLASSIC, build_colbert
from tests.fakes.tiny_models import CORPUS


def test_a_colbert_model_is_served(tmp_path: Path) -> None:
    theirs, folder = build_colbert(tmp_path, query_expansion=CLASSIC, document_length=12)
    query, documents = CORPUS[0], CORPUS[1:6]
    vectors = theirs.encode_query([query], convert_to_numpy=True), theirs.encode_document(documents)
    expected = theirs.similarity(*vectors).numpy()[0]
    models = ModelStore(tmp_path / "models")
    manifest = Manifest(modality=ModalityName.TEXT, architecture="bert", tasks=(Task.EMBED,), parameters=1)
    models.publish(folder, manifest, name="colbert")

    settings = Settings(var_dir=tmp_path / "var", device="cpu", dtype="float32", threads=1, cache="memory")
    with TestClient(create_app(settings, store=models)) as client:

        def ask(path: str, body: object) -> Any:
            answer = client.post(path, json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        body = {"input": query, "output": "multi_vector", "input_type": "query"}
        for _ in range(2):  # computed, and then cached
            (entry,) = ask("/v1/embeddings", body)["data"]
            np.testing.assert_allclose(entry["embedding"], vectors[0][0], atol=1e-5)
        (typed,) = ask("/v1/embeddings", body | {"embedding_types": ["float", "ubinary"]})["data"]
        assert [each["float"] for each in typed["embedding"]] == entry["embedding"]
        (as_document,) = ask("/v1/embeddings", body | {"input_type": "document"})["data"]
        assert len(as_document["embedding"]) != len(entry["embedding"])

        ranking = ask("/v1/rerank", {"query": query, "documents": documents})
        assert ranking["method"] == "multi_vector"
        order = np.argsort(-expected)
        assert [each["index"] for each in ranking["results"]] == order.tolist()
        np.testing.assert_allclose([each["relevance_score"] for each in ranking["results"]], expected[order], rtol=1e-5)
        assert ask("/v2/rerank", {"query": query, "documents": documents, "top_n": 1})["results"] == [
            ranking["results"][0]
        ]
        assert ask("/v1/similarity", {"source": query, "targets": documents})["function"] == "maxsim"
        refused = client.post("/v1/embeddings", json={"input": query})
        assert refused.status_code == 422 and refused.json()["error"]["param"] == "output"
