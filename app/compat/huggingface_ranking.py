"""The pipeline of Hugging Face's dialect that ranks texts. Its parameters and answer are those of TEI's `/rerank`."""

from app.compat.huggingface_body import HubBody, Json, Pipeline
from app.compat.tei_bodies import TeiRanked, TeiRerankOptions
from app.inference.client import Client
from app.inference.comparing import rank_documents
from app.inference.service import OpenModel
from app.validation import validate

_NAMES = ("inputs.query", "inputs.texts")


class TextRankingBody(HubBody):
    inputs: TeiRanked
    parameters: TeiRerankOptions | None = None


async def rank_texts(model: OpenModel, raw: Json, client: Client) -> bytes:
    """Returns the texts in the order of their relevance to the query, the most relevant first."""
    body = validate(TextRankingBody, raw)
    parameters = body.parameters or TeiRerankOptions()
    query, texts = body.inputs.query, body.inputs.texts
    ranking = await rank_documents(
        model, query, texts, client, parameters.to_options(), top_n=parameters.top_n, names=_NAMES
    )
    return parameters.write_ranks(ranking, texts)


RANKING_PIPELINES: dict[str, Pipeline] = {"text-ranking": rank_texts}
