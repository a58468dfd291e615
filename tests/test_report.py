"""The report: everything is in it, and words stay words."""

import base64
import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from maskpilot.agent.mllm.policy import MllmPolicy
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.images import from_picture
from maskpilot.report import render_report, write_report
from maskpilot.report.markup import Markup, tag, text
from maskpilot.runfolder import RunFolder
from maskpilot.testing.scripted_wire import ScriptedWire
from maskpilot.trajectory import Ending, Setup, Step, Trajectory
from maskpilot.types import (
    Box,
    Budget,
    Decision,
    Exemplar,
    ImageRef,
    PromptState,
    Stop,
    ToolCall,
    Usage,
    Verdict,
)
from tests.shapes import HEIGHT, WIDTH, instance

IMAGE = Image.new("RGB", (WIDTH, HEIGHT), "grey")
REF = ImageRef("0" * 64, ".png", "table.png", WIDTH, HEIGHT)

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "</bdi></blockquote></code><h1>gone</h1>",
    '"\' onmouseover=\'alert(1)" x="',
    "<!-- --><![CDATA[ ]]>&lt;b&gt;&amp;",
    "javascript:alert(1)",
    "الكوب الأحمر على اليسار",
    "左边第二个红色杯子",
    "first line\nsecond line\tand a tab",
    "null \x00 escape \x1b[31m bell \x07",
    "a lone surrogate \ud800 in between",
    "an override \u202e that turns text around",
    "word " * 5000,
    "x" * 30_000,
]


class Page(HTMLParser):
    """What a browser would see: tags with attributes, and text."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def setup(query: str = "the cups", **changes: object) -> Setup:
    plain = Setup(
        query=query,
        image=REF,
        tools=("finish",),
        budget=Budget(),
        policy=MllmPolicy(ScriptedWire([]), MllmSettings("scripted")).description,
        segmenter={"name": "sam3"},
        versions={"maskpilot": "0.1.0"},
        created="2026-01-02T03:04:05+00:00",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def step(index: int, **changes: object) -> Step:
    plain = Step(
        index=index,
        decision=Decision(calls=(ToolCall("set_text_prompt", {"text": "cup"}),)),
        rating=None,
        errors=(),
        notes=(),
        prompts=PromptState("cup"),
        instances=(instance(1, 5, 5, 25, 25),),
        seconds=0.5,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def session(
    *steps: Step, given: Setup | None = None, reason: str = "all found", error: str = ""
) -> Trajectory:
    best = len(steps) - 1 if steps else None
    ending = Ending(Stop.finished, Verdict.complete, reason, best, Usage(), 1.25, error)
    return Trajectory(given or setup(), steps, ending)


def page(*trajectories: Trajectory, image: Image.Image | None = IMAGE) -> Page:
    return Page(render_report(trajectories, lambda ref: image))


def picture(attributes: dict[str, str | None]) -> Image.Image:
    kind, _, data = (attributes["src"] or "").partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def everywhere(words: str) -> Trajectory:
    """A session that holds the same words in every place that a user or a model fills."""
    decision = Decision(calls=(ToolCall(words, {"text": words, words: [words]}, words),), thought=words)
    filled = replace(
        step(0, decision=decision, errors=(words,), notes=(words,), prompts=PromptState(words)),
        instances=(replace(instance(1, 5, 5, 25, 25), text=words),),
    )
    given = setup(
        words,
        image=replace(REF, name=words),
        policy={"name": words, "wire": {"model": words}, "simulated": True},
        segmenter={"name": words, words: words},
        versions={words: words},
        created=words,
        tools=(words,),
    )
    return session(filled, given=given, reason=words, error=words)


@pytest.mark.parametrize("words", HOSTILE)
def test_words_add_no_element_and_no_attribute(words: str) -> None:
    shown = page(everywhere(words), everywhere(words))
    harmless = page(everywhere("harmless"), everywhere("harmless"))

    def kinds(of: Page) -> set[tuple[str, tuple[str, ...]]]:
        return {(tag, tuple(attributes)) for tag, attributes in of.tags}

    folded = {("details", ()), ("summary", ())}
    assert kinds(shown) - folded <= kinds(harmless)
    assert not shown.open


@pytest.mark.parametrize("words", [words for words in HOSTILE[:9] if "\n" not in words])
def test_words_are_shown_as_they_are(words: str) -> None:
    assert page(everywhere(words)).words.count(words) >= 9


def test_long_words_are_folded_but_complete() -> None:
    assert "x" * 30_000 in page(session(step(0, notes=("x" * 30_000,)))).words


def test_the_page_is_valid_utf_8_whatever_was_said() -> None:
    for words in HOSTILE:
        render_report([everywhere(words)], lambda ref: None).encode("utf-8")


def test_control_characters_and_overrides_are_made_visible() -> None:
    assert text("a\x00\x1b\x7f\x85\u202e\ud800b\n") == "a␀␛␡[U+0085][U+202E][U+D800]b\n"


def test_only_markup_goes_in_as_it_is() -> None:
    assert tag("p", "<b>", Markup("<i></i>"), title='"') == '<p title="&quot;">&lt;b&gt;<i></i></p>'


def test_nothing_runs_and_nothing_loads() -> None:
    shown = page(session(step(0)))
    policy = next(meta["content"] for meta in shown.all("meta") if meta.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src 'none'" in policy
    assert "unsafe" not in policy
    assert not shown.all("script")
    assert not shown.all("link")
    assert not any(name.startswith("on") or name == "style" for _, found in shown.tags for name in found)
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in shown.all("img"))


def test_each_round_has_its_overlay_call_and_masks() -> None:
    other = instance(2, 30, 5, 50, 25)
    shown = page(session(step(0), step(1, instances=(instance(1, 5, 5, 25, 25), other), rating=40.0)))
    assert len(shown.all("img")) == 3  # two rounds and the result
    assert 'set_text_prompt(text="cup")' in shown.words
    assert "masks rated 40" in shown.words
    assert "2 new" in shown.words
    assert "2 masks after this round" in shown.words


def test_a_picture_is_an_overlay_of_reasonable_size() -> None:
    big = Image.new("RGB", (3000, 2000), "grey")
    given = setup(image=replace(REF, width=3000, height=2000))
    (result,) = page(session(given=given), image=big).all("img")
    assert picture(result).size == (1024, 683)


def test_a_round_that_changed_nothing_repeats_no_picture() -> None:
    shown = page(session(step(0), step(1, errors=("no such tool",))))
    assert len(shown.all("img")) == 2
    assert "same as after the round before" in shown.words


def test_prompt_boxes_and_zooms_are_shown() -> None:
    boxes = (Exemplar(Box(5, 5, 25, 25), positive=True), Exemplar(Box(40, 30, 60, 50), positive=False))
    with_boxes = step(0, prompts=PromptState("cup", boxes), zooms=(Box(0, 0, 30, 30),))
    shown = page(session(with_boxes))
    assert "+ 5, 5, 25, 25; − 40, 30, 60, 50" in shown.words
    assert len([one for one in shown.all("img") if one.get("class") == "zoom"]) == 1


def test_a_zoom_beside_the_image_is_left_out() -> None:
    shown = page(session(step(0, zooms=(Box(500, 500, 600, 600),))))
    assert not [one for one in shown.all("img") if one.get("class") == "zoom"]


def test_header_and_result_say_how_it_ended() -> None:
    shown = page(session(step(0)))
    for words in ("the cups", "complete", "finished", "mllm · scripted", "sam3", "all found", "1.2"):
        assert words in shown.words


def test_a_killed_session_is_shown_as_far_as_it_went() -> None:
    shown = page(Trajectory(setup(), (step(0),), None))
    assert "The session was killed before its end." in shown.words
    assert "Round 1" in shown.words


def test_a_session_without_rounds_has_an_empty_result() -> None:
    assert "The result is empty." in page(session()).words


def test_a_missing_image_leaves_a_report_without_pictures() -> None:
    shown = page(session(step(0)), image=None)
    assert not shown.all("img")
    assert "The image is missing" in shown.words


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (setup(segmenter={"name": "untrained"}), "Untrained segmenter"),
        (setup(segmenter={"name": "x", "weights": "untrained: random numbers"}), "Untrained segmenter"),
        (setup(segmenter={"name": "nano"}), "trained on drawn scenes alone"),
        (setup(policy={"name": "oracle", "simulated": True}), "Simulated policy: “oracle”"),
    ],
)
def test_what_was_simulated_or_untrained_is_said_first(given: Setup, words: str) -> None:
    shown = page(session(step(0), given=given))
    assert shown.words.index(words) < shown.words.index("Round 1")


def test_a_real_run_has_no_banner() -> None:
    assert not [found for found in page(session(step(0))).all("p") if found.get("class") == "banner"]


def test_several_sessions_are_listed_with_links() -> None:
    shown = page(session(step(0)), session(step(0)))
    targets = {found["id"] for found in shown.all("section")}
    assert {(link["href"] or "")[1:] for link in shown.all("a")} == targets


def test_no_session_is_a_report_too() -> None:
    assert "No sessions." in page().words


def test_provenance_can_be_read_back() -> None:
    source = render_report([session(step(0))], lambda ref: IMAGE)
    start = Page(source).words.index('{\n "policy"')
    record, _ = json.JSONDecoder().raw_decode(Page(source).words[start:])
    assert record["segmenter"] == {"name": "sam3"}


def test_the_report_is_written_into_the_run_folder(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    ref = folder.keep_image(from_picture(IMAGE, "table.png"))
    trajectory = session(step(0), given=setup(image=ref))
    path = write_report(folder, [trajectory])
    assert path == tmp_path / "run" / "report.html"
    assert len(Page(path.read_text(encoding="utf-8")).all("img")) == 2


def test_a_run_folder_without_its_image_still_gets_a_report(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    path = write_report(folder, [session(step(0))])
    assert "The image is missing" in path.read_text(encoding="utf-8")
