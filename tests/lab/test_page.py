"""The page in a browser: settings in its address, a whole run, what it says and keeps."""

import json

import pytest
from page_cases import PAGE

from cbnlib.book.predictions import merge_predictions
from tools.browser import keyboard, layout, training
from tools.browser.chromium import PATIENCE, Visit, visit
from tools.lab import bundle
from tools.pages import Page
from tools.project import ROOT
from tools.sphinx_ext.lab import widget

LAB = ROOT / "book" / "lab"
SMALL = "#depth=2&width=2&steps=500"
OVER = "() => document.querySelector('[data-do=run]').textContent === 'Run again'"
WORDS = "[data-part=words]"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("lab") / "page.html"
    path.write_text(PAGE.format(content=widget(LAB, "lab")), encoding="utf-8")
    return Page(path.parent, path)


@pytest.fixture
def opened(tab, page):
    """A function that opens the page with a fragment, in a tab of its own."""
    tabs = []

    def go(fragment="", path=page.path):
        tabs.append(tab.context.browser.new_page())
        tabs[-1].set_default_timeout(PATIENCE)
        tabs[-1].goto(path.as_uri() + fragment)
        tabs[-1].wait_for_function("() => document.querySelector('[data-part=words]').textContent")
        return tabs[-1]

    yield go
    for each in tabs:
        each.close()


GOOD = [
    {"target": "product", "depth": 12, "width": 2, "ridge": 0, "rate": 1, "seed": 77},
    {"budget": [2, 1, 0, 0, 0, 0, 0, 0, 1]},
    {"budget": [0] * 9, "gain": 0.25, "steps": 500},
    {"target": "own", "shape": [10, *[0] * 15]},
    {},
]


def test_an_address_says_all_settings(tab, run):
    script = """changed => {
      const settings = {...$settings.DEFAULTS, ...changed};
      return [settings, $settings.readFragment($settings.writeFragment(settings))];
    }"""
    for changed in GOOD:
        wanted, read = tab.evaluate(script, changed)
        assert read == {"settings": wanted, "problems": []}


BAD = {
    "#depth=99": "depth must be one of 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, not “99”",
    "#depth=": "depth must be one of",
    "#ridge=-1": "ridge must be one of 0, 0.0001",
    "#rate=0x1": "rate must be one of",
    "#seed=1.5": "seed must be a whole number from 0 to 9999, not “1.5”",
    "#target=cat": "target must be one of bump, pass-1, pass-2, product, own, not “cat”",
    "#budget=9:1": "budget must be a list like",
    "#budget=1:1,1:2": "budget must be a list like",
    "#shape=1.2": "shape must be 16 whole numbers",
    "#colour=red&depth=4": "“colour” is no setting; there are target",
    "#depth=%E0%A4%A": "depth must be one of",
    "#toString=1": "“toString” is no setting",
}


def test_a_bad_address_says_what_is_wrong_and_keeps_the_defaults(tab, run):
    script = "texts => [$settings.DEFAULTS, texts.map($settings.readFragment)]"
    defaults, found = tab.evaluate(script, list(BAD))
    for told, read in zip(BAD.values(), found, strict=True):
        assert len(read["problems"]) == 1
        assert told in read["problems"][0]
        assert {**read["settings"], "depth": 8} == defaults
    assert tab.evaluate(script, ["#a-section"])[1] == [{"settings": defaults, "problems": []}]


def test_a_run_meets_its_prediction_and_the_export_is_read_by_the_library(opened, tmp_path):
    tab = opened(SMALL)
    tab.fill("#lab-prediction", "7")
    tab.click("[data-do=step]")
    tab.wait_for_function("() => document.querySelector('#lab-prediction').disabled")
    tab.click("[data-do=run]")
    tab.wait_for_function(OVER)
    assert "After 500 steps. Real dimensions kept by layer: " in tab.inner_text(WORDS)
    assert "You predicted 7, layer 1 keeps " in tab.inner_text("[data-part=result]")
    with tab.expect_download() as download:
        tab.click("[data-do=exportAll]")
    download.value.save_as(tmp_path / "predictions.json")
    merged = merge_predictions([tmp_path / "predictions.json"])
    assert merged.refused == {}
    assert [(p["predicted"], p["depth"], p["layer"]) for p in merged.predictions] == [(7, 2, 1)]
    tab.reload()
    tab.wait_for_selector("[data-part=record]:has-text('Right in ')")
    tab.click("[data-do=clearAll]")
    assert tab.inner_text("[data-part=record]") == "No predictions yet."


def processor_time(trace, thread):
    """Seconds that each task of a thread took of the processor."""
    events = json.loads(trace)["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    mine = [e for e in events if names.get((e["pid"], e["tid"]), "").startswith(thread)]
    task = "ThreadControllerImpl::RunTask"
    return [e["tdur"] / 1e6 for e in mine if e["name"] == task and "tdur" in e]


def test_the_default_run_soon_finds_a_bottleneck_and_blocks_no_frame(opened):
    tab = opened()
    tab.context.browser.start_tracing(page=tab, categories=["toplevel"])
    tab.click("[data-do=run]")
    tab.wait_for_selector(f"{WORDS}:has-text('Bottleneck: layers ')")
    tab.click("[data-do=run]")
    tab.wait_for_function(training.PAUSED)
    trace, steps = tab.context.browser.stop_tracing(), tab.evaluate(training.STEP)
    assert max(processor_time(trace, "CrRendererMain")) < 0.2
    trained = sum(processor_time(trace, "DedicatedWorker"))
    assert trained < 30
    assert steps / trained > 150


def test_a_run_that_diverges_is_a_state_with_a_sentence(opened, page):
    loss = "const data = pass.backward(this.target);"
    spoiled = page.path.with_name("spoiled.html")
    text = page.path.read_text(encoding="utf-8")
    spoiled.write_text(text.replace(loss, f"{loss} network.parameters[3] = NaN;"), encoding="utf-8")
    tab = opened(path=spoiled)
    tab.fill("#lab-prediction", "7")
    tab.click("[data-do=run]")
    tab.wait_for_function(OVER)
    assert "Training diverged by step 1:" in tab.inner_text(WORDS)
    assert "You predicted 7; the run diverged." in tab.inner_text("[data-part=result]")
    assert tab.inner_text("[data-part=record]") == "Right in 0 of 0 runs. 1 more diverged."
    tab.click("[data-do=clearAll]")


def test_share_writes_the_address_and_a_bad_one_is_told(opened):
    tab = opened("#depth=1&width=2&steps=500")
    assert "depth must be one of" in tab.inner_text("[data-part=problem]")
    tab.select_option("#lab-target", "pass-2")
    tab.check("#lab-hold")
    tab.fill("#lab-rank-3", "2")
    tab.click("[data-do=share]")
    wanted = "#target=pass-2&width=2&steps=500&budget=0:1,1:1,3:2"
    tab.wait_for_function("wanted => location.hash === wanted", arg=wanted)
    tab.evaluate("() => { location.hash = '#target=own'; }")
    tab.wait_for_selector(".lab-pad input >> nth=3")
    tab.focus(".lab-pad input >> nth=3")
    tab.keyboard.press("ArrowUp")
    tab.click("[data-do=share]")
    tab.wait_for_function("() => location.hash.includes('shape=0.0.1.5.8.')")


def test_what_is_typed_becomes_what_is_used(opened):
    tab = opened("#target=own")
    tab.fill("#lab-seed", "12345")
    tab.check("#lab-hold")
    tab.fill("#lab-rank-0", "99")
    tab.keyboard.press("Tab")
    assert [tab.input_value(f"#lab-{name}") for name in ("seed", "rank-0")] == ["9999", "12"]
    for pixel in range(16):
        tab.focus(f".lab-pad input >> nth={pixel}")
        tab.keyboard.press("Home")
    assert tab.evaluate(
        "() => [...document.querySelectorAll('.lab-pad input')].some(i => +i.value)"
    )


@pytest.mark.parametrize("typed", ["500", "-1", "2.5", "e"])
def test_a_prediction_that_no_layer_can_meet_is_refused(opened, typed):
    tab = opened(SMALL)
    tab.focus("#lab-prediction")
    tab.keyboard.type(typed)
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    assert tab.evaluate("() => document.activeElement.id") == "lab-prediction"
    assert tab.inner_text("[data-do=run]") == "Run"


def test_an_old_run_does_not_answer_for_new_settings(tab, page):
    late = tab.context.browser.new_page()
    late.set_default_timeout(PATIENCE)
    # The settings change when the last picture of a run is on its way.
    late.add_init_script("""
      const { prototype } = Worker;
      const { set } = Object.getOwnPropertyDescriptor(prototype, 'onmessage');
      Object.defineProperty(prototype, 'onmessage', { set(read) {
        set.call(this, event => {
          if (event.data.over) location.hash = '#depth=3&width=2&steps=500';
          if (!event.data.over) return read(event);
          addEventListener('hashchange', () => { read(event); window.late = true; });
        });
      }});""")
    late.goto(page.path.as_uri() + SMALL)
    late.fill("#lab-prediction", "7")
    late.click("[data-do=run]")
    late.wait_for_function("() => window.late")
    assert late.inner_text("[data-part=record]") == "No predictions yet."
    assert late.inner_text("[data-do=run]") != "Run again"
    late.close()


def test_blocked_storage_costs_the_memory_only(tab, page):
    blocked = tab.context.browser.new_page()
    blocked.set_default_timeout(PATIENCE)
    blocked.add_init_script("""Object.defineProperty(window, 'localStorage', {
      get() { throw new DOMException('denied', 'SecurityError'); } });""")
    blocked.goto(page.path.as_uri())
    blocked.wait_for_selector("[data-part=record]:has-text('does not store them')")
    blocked.close()


def test_without_javascript_the_recorded_run_is_shown(tab, page):
    context = tab.context.browser.new_context(java_script_enabled=False)
    silent = context.new_page()
    silent.set_content(f"{widget(LAB, 'lab')}<div class='lab-recorded'>A recorded run.</div>")
    assert silent.is_visible(".lab-recorded")
    assert not silent.is_visible(".lab")
    context.close()


def test_the_page_is_small_and_works_by_keyboard_and_at_all_widths(tab, page):
    assert page.path.stat().st_size < 200_000
    with visit(tab.context.browser, page) as seen:
        found = [*layout.check(seen), *keyboard.check(seen), *training.check(seen)]
        assert [*found, *seen.problems] == []


def test_training_that_does_not_start_is_told(tab, page):
    broken = Page(page.site, page.site / "broken.html")
    text = page.path.read_text(encoding="utf-8").replace("do: this.seen?.running", "undo: ")
    broken.path.write_text(text, encoding="utf-8")
    with visit(tab.context.browser, broken) as seen:
        seen.tab.set_default_timeout(1000)
        assert "Enter does not start" in training.check(Visit(broken, seen.tab))[0]


def test_modules_that_cannot_be_bundled_are_named(tmp_path):
    for text, told in {
        "import x from './x.js';": "cannot bundle",
        "export default 3;": "cannot bundle",
        "const a = '</script>';": "cannot stand in a page",
    }.items():
        (tmp_path / "a.js").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=told):
            bundle(tmp_path / "a.js")
