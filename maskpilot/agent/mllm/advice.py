"""From a failed attempt to an error that says what to do."""

from __future__ import annotations

from maskpilot.agent.mllm.failures import (
    EndpointError,
    Failure,
    Feature,
    OutOfTime,
    Trouble,
    Unreadable,
    Unsupported,
)
from maskpilot.agent.mllm.refusals import NO_MONEY
from maskpilot.types import Usage

__all__ = ["endpoint_error"]

WITHOUT = {
    Feature.tools: "it does not take native tool calls; use --call-style schema or text",
    Feature.schema: "it does not take a JSON schema for the reply; use --call-style native or text",
    Feature.images: "it does not take pictures; choose a model that sees, or load its vision part",
    Feature.context: "the conversation is too long for it, or holds too many pictures; choose a model or a "
    "server setting with more room",
}


def endpoint_error(
    failure: Failure,
    *,
    model: str,
    base_url: str,
    key_name: str,
    attempts: int = 1,
    out_of_time: bool = False,
    impatient: bool = False,
    usage: Usage | None = None,
) -> EndpointError:
    """The error for the last of `attempts` failed attempts; the caller raises it from `failure`.

    `key_name` is the environment variable that holds the key.
    """
    where = f"{model} at {base_url}"
    tried = f" ({attempts} attempts)" if attempts > 1 else ""
    if failure.feature is not None:
        message = f"{where}: {WITHOUT[failure.feature]}. It says: {failure}"
        return Unsupported(message, failure.feature, status=failure.status, usage=usage)
    if out_of_time:
        asked = "" if failure.asked is None else f", which asks to wait {failure.asked:.0f} s"
        message = f"{where}: no usable reply in the time given{tried}{asked}. The last attempt: {failure}"
        return OutOfTime(message, impatient=impatient, status=failure.status, usage=usage)
    message = f"{where}: {_what_to_do(failure, base_url, key_name)}{tried}. It says: {failure}"
    kind = Unreadable if failure.trouble is Trouble.broken else EndpointError
    return kind(message, status=failure.status, usage=usage)


def _what_to_do(failure: Failure, base_url: str, key_name: str) -> str:
    if failure.trouble is Trouble.no_connection:
        return "cannot be reached; see that the server runs and that --base-url (OPENAI_BASE_URL) is right"
    if failure.trouble is Trouble.timed_out:
        return "does not answer in time; the server may be overloaded, or needs a longer timeout in [mllm]"
    if failure.trouble is Trouble.broken:
        unparsed = "cannot read the calls that the model writes; use --call-style schema or text"
        no_api = "answers what is no reply; see that --base-url (OPENAI_BASE_URL) is that of the API (…/v1)"
        return no_api if failure.status == 200 else unparsed
    if failure.trouble in (Trouble.server_error, Trouble.overloaded):
        return "fails with every attempt; see the server's log, or its status page"
    if failure.code in NO_MONEY or failure.status == 402:
        return (
            "there is no credit left; see the plan and the billing of the account, or choose another endpoint"
        )
    return _by_status(failure.status or 0, base_url, key_name)


def _by_status(status: int, base_url: str, key_name: str) -> str:
    if status == 401:
        return f"does not accept the key; set {key_name} (or what --api-key-env names) to a key of its own"
    if status == 403:
        return "this key may not use it; see the rights of the key, or choose another model"
    if status in (404, 405):
        listing = f'curl -H "Authorization: Bearer ${key_name}" {base_url}/models'
        return (
            f"no such model or no such API there; see --model and --base-url, and list the models: {listing}"
        )
    if 300 <= status < 400:
        return "is not there any more; set --base-url (OPENAI_BASE_URL) to where it has moved"
    return "refuses the request; see what it says, and leave out the setting that it names"
