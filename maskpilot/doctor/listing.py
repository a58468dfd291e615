"""Whether there is an endpoint, and whether it lists the model."""

from __future__ import annotations

from difflib import get_close_matches

from maskpilot.agent.mllm.endpoint import shown_url
from maskpilot.agent.mllm.failures import EndpointError, plain
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.doctor.asking import Examined
from maskpilot.doctor.rows import Health, Row

__all__ = ["listing_rows"]

REACHED = "see that the server runs and that --base-url is right"


def listing_rows(settings: MllmSettings, wire: Examined) -> tuple[Row, ...]:
    """Rows on the endpoint and on the model's name; the first alone where there is no endpoint."""
    where = shown_url(settings.base_url) if settings.base_url else "OpenAI"
    try:
        models = tuple(wire.models())
    except EndpointError as error:
        if error.status in (None, 401):
            said = plain(str(error.__cause__ or error))
            return (Row("endpoint", Health.failed, f"{where}: {said}", _fix_of(error)),)
        said = f"{where} answers (with {error.status} to a request for its models)"
        return (
            Row("endpoint", Health.ok, said),
            Row("model", Health.note, f"{settings.model}: the endpoint does not list its models"),
        )
    endpoint = Row("endpoint", Health.ok, f"{where} answers")
    if _plain_name(settings.model) in {_plain_name(name) for name in models}:
        return (endpoint, Row("model", Health.ok, f"{settings.model}, one of {len(models)}"))
    near = get_close_matches(settings.model, models, n=3, cutoff=0.3) or list(models[:3])
    names = plain(", ".join(near)) or "none"
    detail = f"{settings.model} is not among the {len(models)} that are listed (some endpoints know more)"
    return (endpoint, Row("model", Health.note, detail, f"see --model; there are for example: {names}"))


def _plain_name(name: str) -> str:
    """Without a provider before it or the tag that stands for none."""
    return name.lower().removesuffix(":latest").rpartition("/")[2]


def _fix_of(error: EndpointError) -> str:
    if error.status == 401:
        return "set OPENAI_API_KEY, or the variable that --api-key-env names, to a key of this endpoint"
    return REACHED
