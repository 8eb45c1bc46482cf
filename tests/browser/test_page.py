"""The page in a real browser that has no network."""

import csv
import io
import shutil
from itertools import product
from pathlib import Path
from threading import Thread

import pytest
from msgspec.structs import replace
from playwright.sync_api import sync_playwright

from harness.core.per_example import kept
from harness.core.record import Partial
from harness.report import write
from harness.report.live import server
from harness.results.store import Store
from tests.unit.report.made_records import lost, scored, sweep

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
HOSTILE = "</script><img src=x onerror=alert(1)>"
MODELS = [f"model-{n}[state={n}]" for n in range(14)]
VISITS = [
    (width, scheme, media)
    for width, (scheme, media) in product(
        (400, 800, 1440, 1920), (("light", "screen"), ("dark", "screen"), ("light", "print"))
    )
]
# What is cut off at the right, is no box to be scrolled, and is inside none.
HIDDEN = """() => [...document.querySelectorAll('main *')].filter(each => {
  const scrolls = node => node && (['auto', 'scroll'].includes(getComputedStyle(node).overflowX)
    || scrolls(node.parentElement));
  return each.getBoundingClientRect().right > innerWidth + 1 && !scrolls(each);
}).map(each => each.outerHTML.slice(0, 80))"""
# Boxes of which only a part is seen, without a word or a shade that says so.
SILENT = """() => [...document.querySelectorAll('.scroll, .wide')].filter(box => {
  if (box.scrollWidth <= box.clientWidth + 1) return false;
  const cue = box.nextElementSibling;
  return !(cue && cue.matches('.cue') && cue.checkVisibility())
    && !getComputedStyle(box).backgroundImage.includes('gradient');
}).length"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


class Visit:
    """The page, and what it asked for and complained of while it opened."""

    def __init__(self, page, address):
        self.page, self.asked, self.complaints = page, [], []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.route("**/*", self._only(address))
        page.goto(address)

    def _only(self, address):
        def decide(route):
            self.asked.append(route.request.url)
            route.continue_() if route.request.url == address else route.abort()

        return decide

    def table(self, title):
        """Return what surrounds a table."""
        heading = self.page.get_by_role("heading", name=title, exact=True)
        return self.page.locator(".table").filter(has=heading)

    def column(self, title, place):
        """Return what stands in a column of a table, of the rows that are shown."""
        rows = self.table(title).locator("tbody tr:not([hidden])")
        return rows.evaluate_all(f"all => all.map(row => row.cells[{place}].textContent)")

    def saved(self, name):
        """Press a button and return what it saves, with the file's name."""
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=name, exact=True).click()
        return download.value.suggested_filename, Path(download.value.path()).read_text()


def erring(score, **fields):
    """Make a record that says on which of 100 test examples it errs: the last ones."""
    made = scored(score, **fields)
    errors = kept([float(n > 100 * score) for n in range(100)], "abc")
    return replace(made, learned=replace(made.learned, per_example=errors))


def records():
    """Make a sweep, and a task that more models ran than have room side by side."""
    partial = Partial(step=3, steps=9, traceback=["Traceback", HOSTILE])
    many = [
        erring(0.3 + n / 30 + seed / 500, task="a/many", model=model, seed=seed)
        for n, model in enumerate(MODELS)
        for seed in range(3)
    ]
    return [*sweep(), *many, lost("a/lost", "s4d", "failed", HOSTILE, partial=partial)]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write(records(), folder)
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    visit = Visit(page, address)
    yield visit
    page.close()
    assert visit.complaints == []


@pytest.mark.parametrize(("width", "scheme", "media"), VISITS)
def test_nothing_is_hidden_without_a_cue_and_nothing_is_asked_of_others(
    browser, address, width, scheme, media
):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.emulate_media(media=media, color_scheme=scheme)
    visit = Visit(page, address)
    assert [url for url in visit.asked if not url.startswith("data:")] == [address]
    assert page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    assert page.evaluate(HIDDEN) == []
    assert page.evaluate(SILENT) == 0
    images = page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")
    assert len(images) == 6
    assert min(images) > 300
    shown = page.get_by_role("searchbox").count()
    assert shown == 0 if media == "print" else shown > 5
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light" or media == "print")
    page.close()
    assert visit.complaints == []


def test_the_tables_hold_their_cells(visit):
    row = visit.table("Test scores").locator("tr", has_text="images/smnist")
    assert "(n=3)" in row.locator("td").last.inner_text()
    assert visit.page.locator("td.missing", has_text="timed-out").count() >= 1
    assert visit.page.locator("td.best").count() >= 1


def test_a_table_whose_models_have_no_room_goes_down_and_names_its_cells(visit):
    box = visit.table("Test scores: a/many").locator(".wide")
    assert "stacked" in box.get_attribute("class")
    cell = box.locator("td", has_text="0.30").first
    assert cell.evaluate("cell => getComputedStyle(cell, '::before').content") == f'"{MODELS[0]}"'
    visit.page.set_viewport_size({"width": 6000, "height": 900})
    box.locator("xpath=self::*[not(contains(@class, 'stacked'))]").wait_for()


def test_a_heading_sorts_by_mouse_and_by_keyboard_and_what_is_missing_comes_last(visit):
    before = visit.column("Score and cost of training", 1)
    head = visit.table("Score and cost of training").get_by_role("columnheader", name="Parameters")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"

    model = visit.table("Score and cost of training").get_by_role("columnheader", name="Model")
    model.get_by_role("button").focus()
    for order in ("ascending", "descending"):
        visit.page.keyboard.press("Enter")
        assert model.get_attribute("aria-sort") == order
    assert head.get_attribute("aria-sort") == "none"
    found = visit.column("Score and cost of training", 1)
    assert found[0] == "transformer"
    assert found.index("model-10[state=10]") < found.index("model-9[state=9]")
    visit.page.keyboard.press("Enter")
    assert visit.column("Score and cost of training", 1) == before

    call = visit.table("scaling/forward").get_by_role("columnheader", name="Call")
    for _ in range(2):
        call.get_by_role("button").click()
        times = visit.column("scaling/forward", 2)
        assert times[-1].startswith("not-run")
    assert times[0].endswith(" s")
    assert times[-2].endswith(" ms")


def test_a_filter_keeps_the_rows_with_all_of_its_words_and_says_how_many(visit):
    table = visit.table("Score and cost of training")
    rows = len(visit.column("Score and cost of training", 1))
    table.get_by_role("searchbox").fill("SMNIST lstm")
    assert visit.column("Score and cost of training", 1) == ["lstm"]
    assert table.get_by_role("status").inner_text() == f"1 of {rows} rows"
    name, text = visit.saved("Download Score and cost of training as CSV")
    assert name == "score-and-cost-of-training.csv"
    header, row = csv.reader(io.StringIO(text))
    assert header[:3] == ["Task", "Model", "Score"]
    assert row[:2] == ["images/smnist", "lstm"]
    table.get_by_role("searchbox").fill("")
    assert table.get_by_role("status").inner_text() == f"{rows} rows"


def test_a_figure_is_saved_as_svg_and_as_its_numbers(visit):
    name, text = visit.saved("Download the figure scores as SVG")
    assert name == "scores.svg"
    assert text.startswith("<?xml")
    assert text.rstrip().endswith("</svg>")
    name, text = visit.saved("Download what the figure time shows as CSV")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["panel"] for row in rows} == {"scaling/forward", "scaling/train"}
    assert {float(row["x"]) for row in rows} >= {1024.0, 262_144.0}


def test_a_cell_opens_the_runs_behind_it_and_what_others_wrote_is_text(visit):
    lines = visit.table("Runs without a result").locator("tr", has_text="a/lost")
    lines.get_by_role("button").focus()
    visit.page.keyboard.press("Enter")
    dialog = visit.page.get_by_role("dialog")
    assert HOSTILE in dialog.locator("dd", has_text="onerror").inner_text()
    assert HOSTILE in dialog.locator("pre").inner_text()
    assert dialog.locator("img").count() == 0
    visit.page.keyboard.press("Escape")
    assert not dialog.is_visible()

    cell = visit.table("Test scores").locator("td.best").first
    cell.get_by_role("button").click()
    assert dialog.locator("section").count() == 3
    assert dialog.locator("polyline").count() == 6
    dialog.get_by_role("button", name="Close").click()
    assert not dialog.is_visible()


def test_the_errors_of_single_examples_stand_behind_a_cell(visit):
    row = visit.table("Test scores: a/many").locator("tbody tr", has_text="a/many")
    row.locator("td[data-runs]").first.get_by_role("button").click()
    strips = visit.page.get_by_role("dialog").locator("svg.strip")
    assert strips.count() == 3
    heights = strips.first.locator("rect").evaluate_all(
        "all => all.map(each => +each.getAttribute('height'))"
    )
    assert len(heights) == 50
    assert heights[0] == 0
    assert heights[-1] == 20


def test_contents_lead_to_every_section(visit):
    links = visit.page.get_by_role("navigation").get_by_role("link")
    targets = links.evaluate_all("all => all.map(one => one.hash)")
    assert {"#protocol", "#scores", "#scores-1", "#origin"} <= set(targets)
    assert all(visit.page.locator(target).count() == 1 for target in targets)


def test_without_script_all_stands_there_and_no_button_does_nothing(browser, address):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 400, "height": 900})
    page = context.new_page()
    page.goto(address)
    assert page.get_by_role("button").count() == 0
    assert page.get_by_role("cell", name="0.30").count() > 0
    context.close()


def test_a_served_page_follows_what_is_added_but_not_while_somebody_reads_a_run(browser, tmp_path):
    store = Store(tmp_path)
    store.append(scored(0.5))
    with server(store) as serving:
        Thread(target=serving.serve_forever, daemon=True).start()
        page = browser.new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(f"http://127.0.0.1:{serving.server_port}/")
        page.locator("td button").first.click()
        store.append(scored(0.6, seed=1))
        page.wait_for_timeout(1500)
        assert page.get_by_text("1 of 1 runs").count() == 1
        page.keyboard.press("Escape")
        page.get_by_text("2 of 2 runs").wait_for(timeout=20_000)
        page.close()
        serving.shutdown()
    assert complaints == []
