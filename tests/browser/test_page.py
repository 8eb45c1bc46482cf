"""The page in a real browser that has no network."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

from harness.report import write
from tests.unit.report.made_records import sweep

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

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


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write(sweep(), folder)
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(params=[(1200, "light"), (390, "dark")], ids=["desk", "phone-in-the-dark"])
def visit(browser, address, request):
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    yield Visit(page, address)
    page.close()


def test_the_page_asks_for_itself_and_nothing_else(visit, address):
    assert [url for url in visit.asked if not url.startswith("data:")] == [address]
    assert visit.complaints == []


def test_every_figure_is_drawn(visit):
    widths = visit.page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)")
    assert len(widths) == 7
    assert min(widths) > 300


def test_the_tables_hold_their_cells(visit):
    row = visit.page.locator("tr", has=visit.page.get_by_role("rowheader", name="images/smnist"))
    assert "(n=3)" in row.first.locator("td").last.inner_text()
    assert visit.page.locator("td.missing", has_text="timed-out").count() >= 1
    assert visit.page.locator("td.best").count() >= 1


def test_the_page_itself_never_scrolls_sideways(visit):
    assert visit.page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
