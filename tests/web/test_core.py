"""Modules of the page by themselves, in the browser: streams, words of a text, code to copy."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, Route

from tests.fakes.browser import Visit


@pytest.fixture(scope="module")
def page(context: BrowserContext, origin: str) -> Iterator[Page]:
    visit = Visit(context, origin)
    yield visit.go()
    visit.page.close()
    visit.check()


def call(page: Page, module: str, expression: str, argument: Any = None) -> Any:
    """Evaluates `(m, a) => expression` with a module of the page and an argument."""
    code = f"""async (a) => {{
        const folder = document.querySelector("script[type=module]").src.replace("main.js", "");
        const m = await import(folder + "{module}");
        return {expression};
    }}"""
    return page.evaluate(code, argument)


def test_streams_are_parsed_however_they_are_cut(page: Page) -> None:
    text = 'retry: 250\n\n: nothing new\n\nid: 1\nevent: metrics\ndata: {"a":\ndata: 1}\n\n'
    text += "id:2\r\ndata: 3\r\n\r\nevent: x\n\n"
    whole = call(page, "core/events.js", "m.parser({id: null})(a)", text)
    pieces = call(page, "core/events.js", "(p => [...a].flatMap(each => p(each)))(m.parser({id: null}))", text)
    assert whole == [{"event": "metrics", "data": {"a": 1}, "id": "1"}, {"event": "message", "data": 3, "id": "2"}]
    assert pieces == whole


def test_a_stream_goes_on_behind_its_last_event(page: Page) -> None:
    seen: list[str | None] = []
    bodies = ["retry: 1\n\nid: 1\ndata: 1\n\nid: 2\ndata: 2\n\n", "id: 3\ndata: 3\n\nevent: end\nid: 4\ndata: {}\n\n"]

    def answer(route: Route) -> None:
        seen.append(route.request.headers.get("last-event-id"))
        route.fulfill(body=bodies[len(seen) - 1], content_type="text/event-stream")

    page.route("**/v1/stream", answer)
    expression = "(async got => (await m.follow('/v1/stream', {onEvent: each => got.push(each.id)}), got))([])"
    assert call(page, "core/events.js", expression) == ["1", "2", "3", "4"]
    assert seen == [None, "2"]


def test_texts_are_rewritten_with_their_masks(page: Page) -> None:
    text = "It's a “well-known” [MASK], isn't it? Zürich’s 3.5 km."
    words = [word["text"] for word in call(page, "views/fill/words.js", "m.split(a)", text)]
    assert words == ["It's", "a", "well-known", "[MASK]", "isn't", "it", "Zürich’s", "3.5", "km"]
    rewritten = "m.rewrite(a, m.split(a), {0: true, 8: true}, w => ({3: '##s', 8: 'miles'})[w.index] ?? null)"
    assert call(page, "views/fill/words.js", rewritten, text) == "[MASK] a “well-known”s, isn't it? Zürich’s 3.5 miles."


def test_marks_follow_their_words_through_an_edit(page: Page) -> None:
    moved = "m.follow(m.split('one two three four'), m.split(a), {0: 'a', 1: 'b', 2: 'c', 3: 'd'})"
    assert call(page, "views/fill/words.js", moved, "one two and four") == {"0": "a", "1": "b", "3": "d"}
    assert call(page, "views/fill/words.js", moved, "zero one two three four") == {
        "1": "a",
        "2": "b",
        "3": "c",
        "4": "d",
    }
    assert call(page, "views/fill/words.js", moved, "one four") == {"0": "a", "1": "d"}
    assert call(page, "views/fill/words.js", moved, "") == {}


def test_an_address_may_name_an_older_version(page: Page) -> None:
    models = [{"id": name, "name": name, "version": 3, "versions": [3, 1]} for name in ("a", "b")]
    chosen = "Object.fromEntries(['b', 'b@3', 'b@1', 'b@2', null].map(id => [id, m.choose(a, id)]))"
    found = {
        asked: (model["id"], model["version"]) for asked, model in call(page, "core/models.js", chosen, models).items()
    }
    assert found == {"b": ("b", 3), "b@3": ("b", 3), "b@1": ("b@1", 1), "b@2": ("a", 3), "null": ("a", 3)}


def test_marks_survive_an_address(page: Page) -> None:
    marks = {"1": "a,b:c%", "12": "##s"}
    assert call(page, "views/fill/words.js", "m.readMarks(m.writeMarks(a))", marks) == marks
    assert call(page, "views/fill/words.js", "m.readMarks('x,1:%,2:b')") == {"2": "b"}


def test_code_to_copy_is_quoted(page: Page) -> None:
    body = {"input": 'it\'s "so"', "flag": True, "none": None}
    curl = call(page, "ui/snippets.js", "m.curl({path: '/v1/x', body: a})", body)
    assert r"""it'\''s""" in curl
    python = call(page, "ui/snippets.js", "m.python({path: '/v1/x', body: a})", body)
    assert eval(python.split("json=")[1].split(",\n")[0]) == body


def test_the_projection_is_that_of_principal_components(page: Page) -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 5)) * [5, 3, 1, 0.5, 0.1]
    found = call(page, "views/embed/vectors.js", "m.project(a)", vectors.tolist())
    u, s, _ = np.linalg.svd(vectors - vectors.mean(0))
    np.testing.assert_allclose(found["shares"], (s**2 / (s**2).sum())[:2], rtol=1e-6)
    np.testing.assert_allclose(np.abs(found["points"]), np.abs(u[:, :2] * s[:2]), atol=1e-4)
    same = call(page, "views/embed/vectors.js", "m.project([[1, 2], [1, 2], [1, 2]])")
    assert same["shares"] == [0, 0] and np.isfinite(same["points"]).all()


STROKE = """(async () => {
    location.hash = "#/nowhere";  // a view that writes no address of its own
    await new Promise((resolve) => addEventListener("hashchange", resolve, { once: true }));
    const [replace, written] = [history.replaceState, []];
    let refusals = 1;
    history.replaceState = (...args) => {
        if (refusals-- > 0) throw new DOMException("too often", "SecurityError");
        written.push(args[2]);
        replace.apply(history, args);
    };
    for (let cell = 0; cell < 200; cell++) m.setParams({ cell });
    while (!written.length) await new Promise((resolve) => setTimeout(resolve, 5));
    m.setParams({ cell: "left" });
    location.hash = a;
    // Timers of one length come in order: this one after that which would write the address that was left.
    await new Promise((resolve) => setTimeout(resolve, 400));
    history.replaceState = replace;
    return [written, location.hash];
})()"""


def test_addresses_are_written_now_and_then_and_only_where_they_belong(page: Page) -> None:
    assert call(page, "core/router.js", STROKE, "#/elsewhere") == [["#/nowhere?cell=199"], "#/elsewhere"]
