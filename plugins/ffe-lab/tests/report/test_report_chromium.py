"""The page of a backtest in a real Chromium: no complaint, no request, readable on a phone, in light and in dark."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ffe_lab.report.page import html_report

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.slow

SCREENS = [(width, scheme) for width in (390, 1280) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def report(make_sample: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    data, candles, decisions = make_sample(24 * 100)
    decisions[0]["votes"][0]["reasoning"] = "<script>document.title = 'taken'</script>" + "long" * 140
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(html_report({**data, "synthetic": True}, candles=candles, decisions=decisions), encoding="utf-8")
    return file


def written(browser: Chrome, log: str) -> list[dict[str, Any]]:
    """What the browser wrote down since it was last asked; it forgets it by telling."""
    entries: list[dict[str, Any]] = browser.get_log(log)  # type: ignore[no-untyped-call]
    return entries


def opened(browser: Chrome, report: Path, width: int, scheme: str, *, media: str = "") -> None:
    """Opens the page anew on such a screen; what was written down before is forgotten."""
    for log in ("browser", "performance"):
        written(browser, log)
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme_of_the_system = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme_of_the_system]})
    browser.get(report.as_uri())


def asked_for(browser: Chrome) -> set[str]:
    events = [json.loads(entry["message"])["message"] for entry in written(browser, "performance")]
    return {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_the_browser_complains_of_nothing_and_asks_for_nothing_else(
    browser: Chrome, report: Path, width: int, scheme: str
) -> None:
    opened(browser, report, width, scheme)
    browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    assert written(browser, "browser") == []
    assert asked_for(browser) == {report.as_uri()}
    assert browser.title == "Backtest of BTCUSD by sma cross"


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_nothing_is_wider_than_the_screen(browser: Chrome, report: Path, width: int, scheme: str) -> None:
    opened(browser, report, width, scheme)
    browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    wide, inner = browser.execute_script("return [document.documentElement.scrollWidth, document.body.clientWidth]")
    assert wide <= width
    assert inner <= width
    beyond = """
        return [...document.querySelectorAll('main *')]
            .filter((each) => each.getClientRects().length && !each.closest('.unseen, thead, .plot'))
            .filter((each) => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
            .map((each) => each.outerHTML.slice(0, 100))
    """
    assert browser.execute_script(beyond) == []


def test_on_a_phone_every_cell_says_what_it_is(browser: Chrome, report: Path) -> None:
    opened(browser, report, 390, "light")
    cell = browser.find_element("css selector", "#against td[data-label='Sharpe ratio']")
    before = browser.execute_script("return getComputedStyle(arguments[0], '::before').content", cell)
    assert before == '"Sharpe ratio"'
    heads = (
        "return [...document.querySelectorAll('.wide thead, .trades thead, .months thead')].map((e) => e.offsetHeight)"
    )
    assert set(browser.execute_script(heads)) == {1}


@pytest.mark.parametrize("width", [390, 1280])
def test_light_and_dark_are_what_the_system_asks_for(browser: Chrome, report: Path, width: int) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        opened(browser, report, width, scheme)
        colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        colours[scheme] = sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(", "))
    assert colours["light"] > 3 * 200
    assert colours["dark"] < 3 * 60


@pytest.mark.parametrize("width", [390, 1280])
def test_words_and_lines_are_seen(browser: Chrome, report: Path, width: int) -> None:
    opened(browser, report, width, "light")
    words = browser.execute_script("return document.body.innerText")
    for told in ("SYNTHETIC", "Total return", "95 % interval", "buy and hold", "Assumptions", "sha256:"):
        assert told in words.replace("\u00a0", " ")
    drawn = browser.execute_script("""
        return [...document.querySelectorAll('.plot')].map((plot) => {
            const boxes = [...plot.querySelectorAll('path.line')].map((line) => line.getBoundingClientRect().width);
            const small = [...plot.querySelectorAll('text')].map((text) => text.getBoundingClientRect().height);
            return [plot.getBoundingClientRect().width, Math.max(...boxes), Math.min(...small)];
        })
    """)
    assert len(drawn) == 4
    for plot, line, label in drawn:
        assert line > 0.8 * plot
        assert label >= 10


def test_the_decision_behind_a_trade_opens_and_stays_text(browser: Chrome, report: Path) -> None:
    opened(browser, report, 390, "light")
    summary = browser.find_element("css selector", "summary")
    behind = browser.find_element("css selector", "details q")
    assert not behind.is_displayed()
    browser.execute_script("arguments[0].click()", summary)
    assert behind.is_displayed()
    assert behind.text.startswith("<script>document.title = 'taken'</script>")
    assert browser.title == "Backtest of BTCUSD by sma cross"


def test_a_chart_tells_its_values_under_the_pointer(
    browser: Chrome, report: Path, make_sample: Callable[..., Any]
) -> None:
    from selenium.webdriver import ActionChains

    opened(browser, report, 1280, "light")
    plot = browser.find_element("css selector", "#equity .plot")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    ActionChains(browser).move_to_element(plot).perform()
    told = browser.find_element("css selector", "#equity .readout").text
    pointed, run, held = told.split(" · ")
    data, *_ = make_sample(24 * 100)
    rows = {row["time"][:13].replace("T", " "): row["value"] for row in data["equity"]}
    # the middle of a hundred days from the first of March, as exactly as a pixel is wide
    assert pointed[:10] in ("2021-04-19", "2021-04-20")
    assert float(run.removeprefix("this run ").replace(",", "")) == pytest.approx(rows[pointed[:13]], rel=0.002)
    assert held.startswith("buy and hold ")
    assert written(browser, "browser") == []


def test_the_page_can_be_read_without_its_script(browser: Chrome, report: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened(browser, report, 1280, "light")
        assert browser.find_element("css selector", "#equity .plot path.first").size["width"] > 900
        assert browser.find_element("css selector", "h1").text == "BTCUSD by sma cross"
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_paper_is_white_and_shows_what_its_reader_opened(browser: Chrome, report: Path) -> None:
    opened(browser, report, 800, "dark", media="print")
    first, second = browser.find_elements("css selector", "details")[:2]
    browser.execute_script("arguments[0].open = true", first)
    assert not browser.find_element("css selector", "nav").is_displayed()
    assert first.find_element("css selector", "q").is_displayed()
    assert not second.find_element("css selector", "q").is_displayed()
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_axe_finds_no_barrier(browser: Chrome, report: Path, width: int, scheme: str) -> None:
    from axe_selenium_python import Axe  # type: ignore[import-untyped]

    opened(browser, report, width, scheme)
    browser.set_script_timeout(90)
    # one open trade stands for all of them; contrast and names are the same in each
    browser.execute_script("""
        document.querySelector('details').open = true;
        for (const trade of [...document.querySelectorAll('.trades tbody')].slice(2)) trade.remove();
    """)
    axe = Axe(browser)
    axe.inject()
    found = axe.run()
    assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found["violations"]] == []
    assert len(found["passes"]) > 20
