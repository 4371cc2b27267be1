"""Pages in a browser: nothing is fetched, the network moves, the numbers come out as tables."""

import shutil

import pandas
import pytest

from graphtide.report import write_report

pytestmark = pytest.mark.browser

WIDE = {"width": 1100, "height": 900}
NARROW = {"width": 360, "height": 700}


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra `browser`")
    path = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if path is None:
        pytest.skip("no Chromium was found on the path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, runs):
    """Return a function that opens a run's page; what it fetched or complained of must be none."""
    complaints, contexts = [], []

    def go(kind, **options):
        context = chromium.new_context(offline=True, **{"viewport": WIDE, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda told: complaints.append(told.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url[:80]))
        address = write_report(runs[kind]).resolve().as_uri()
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "data:", "blob:"))
                or complaints.append(request.url[:80])
            ),
        )
        page.goto(address)
        return page

    yield go
    for context in contexts:
        context.close()
    assert complaints == []


def test_the_slider_moves_the_network_through_time(opened):
    page = opened("dynamics fit")
    canvas, slider = page.locator("canvas").first, page.get_by_role("slider").first
    moment = page.locator("output").first
    first = canvas.screenshot()
    assert moment.inner_text() == "0"
    slider.press("End")
    assert float(moment.inner_text()) == pytest.approx(3.0)
    assert canvas.screenshot() != first
    slider.press("Home")
    assert canvas.screenshot() == first
    slider.press("ArrowRight")
    assert 0 < float(moment.inner_text()) < 0.1


def test_play_runs_until_it_is_paused(opened):
    from playwright.sync_api import expect

    page = opened("dynamics fit")
    button, moment = page.locator("figure.network button").first, page.locator("output").first
    button.click()
    assert button.inner_text() == "Pause"
    expect(moment).not_to_have_text("0")
    button.click()
    assert button.inner_text() == "Play"
    stopped = moment.inner_text()
    page.wait_for_timeout(300)
    assert moment.inner_text() == stopped


def test_who_wants_no_motion_is_shown_the_end_at_once(opened):
    page = opened("dynamics fit", reduced_motion="reduce")
    page.locator("figure.network button").first.click()
    assert float(page.locator("output").first.inner_text()) == pytest.approx(3.0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["dynamics fit", "mechanisms equation"])
def test_pages_fit_a_telephone(opened, kind, scheme):
    page = opened(kind, viewport=NARROW, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    page.set_viewport_size(WIDE)
    for canvas in page.locator("canvas").all():
        assert canvas.evaluate("c => c.width") == canvas.evaluate("c => c.clientWidth")


@pytest.mark.parametrize("kind", ["dynamics fit", "mechanisms equation"])
def test_the_numbers_of_each_figure_are_saved_as_a_table(opened, kind, tmp_path):
    page = opened(kind)
    links = page.get_by_role("link", name="Data (CSV)").all()
    assert links
    for link in links:
        with page.expect_download() as waiting:
            link.click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        table = pandas.read_csv(path)
        assert path.suffix == ".csv"
        assert table.select_dtypes("number").notna().to_numpy().any()
