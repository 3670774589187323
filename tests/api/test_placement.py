from app.api.placement import ModelPlacement
from tests.api.conftest import FULL, SLASHED, MakeClient
from tests.fakes.objective import MASK

PEERS = tuple(f"http://cloze-{number}:8000" for number in range(4))


def test_answers_name_the_servers_of_their_model(make_client: MakeClient) -> None:
    client = make_client(peers=PEERS, model_servers=2)
    placed = ModelPlacement(PEERS, 2)
    for path, model in [("/v1/fill-mask", SLASHED), ("/v1/embeddings", FULL), (f"/models/{SLASHED}", None)]:
        body = {"inputs": MASK} if model is None else {"model": model, "input": MASK}
        answer = client.post(path, json=body)
        assert answer.status_code == 200  # whichever server this is
        assert answer.headers["x-model-servers"] == ", ".join(placed.servers_of(model or SLASHED))
    models = client.get("/v1/models").json()["data"]
    assert {model["name"]: model["servers"] for model in models}[FULL] == list(placed.servers_of(FULL))
    assert "x-model-servers" not in client.get("/v1/models").headers


def test_nothing_is_told_by_a_server_without_peers(make_client: MakeClient) -> None:
    client = make_client()
    answer = client.post("/v1/fill-mask", json={"model": SLASHED, "input": MASK})
    assert "x-model-servers" not in answer.headers
    assert client.get(f"/v1/models/{SLASHED}").json()["servers"] is None
