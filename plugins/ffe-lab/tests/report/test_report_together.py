"""The page of several assets on one account: what it says, and how it looks in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from ffe_lab.commands.together import report_of
from ffe_lab.lab import Lab
from ffe_lab.portfolio import Portfolio, portfolio
from ffe_lab.shared_run import Sharing

from ffe_core.settings import load_settings

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

NAMES = ("BTCUSD", "ETHUSD", "SOLUSD")


@pytest.fixture(scope="module")
def made(walk: Callable[..., pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Portfolio:
    lab = Lab.from_settings(load_settings(env={"FFE_HOME": str(tmp_path_factory.mktemp("home"))}))
    frames = {name: walk(2200, seed=place) for place, name in enumerate(NAMES)}
    return portfolio(frames, "sma_cross", sharing=Sharing(stop=0.04), lab=lab)


@pytest.fixture(scope="module")
def page(made: Portfolio) -> str:
    return report_of(made, made.data())


def words_of(page: str) -> str:
    body = page.rpartition("</style>")[2].partition("<script>")[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_the_page_tells_of_the_account_and_of_each_asset(made: Portfolio, page: str) -> None:
    words = words_of(page)
    assert "BTCUSD, ETHUSD, SOLUSD by" in words
    for name, row in made.attribution().items():
        assert f"Trades of {name}" in words
        assert f"{name} {row['pnl']:+,.2f} {row['trades']}" in words
        assert f"{name} {made.data(full=False)['fingerprints'][name]}" in words
    for line in made.assumptions:
        assert " ".join(line.split()) in words
    assert "break-even cost" in words and "Buying at the start and holding would have made" in words
    assert ("PORTFOLIO STOP" in words) is made.stopped is True


def test_each_trade_has_its_own_assets_decision_behind_it(made: Portfolio, page: str) -> None:
    bodies = re.findall(r"<tbody>.*?</tbody>", page.split('id="list"')[1], re.DOTALL)
    assert len(bodies) == len(made.trades) > 20
    rulings = {(one["asset_pair"], one["time"]): one for one in made.decisions()}
    assert {name for name, _ in rulings} == set(NAMES)
    for body, row in zip(bodies, made.data(full=False)["trades"], strict=True):
        assert f'data-label="Asset">{row["asset_pair"]}<' in body
        assert "<details>" in body and "sma_cross" in words_of(body)


def test_a_chart_of_an_asset_ends_where_the_run_does(made: Portfolio) -> None:
    for columns in made.columns().values():
        assert columns["time"][-1] < made.closes[-1] < made.markets[0].closes[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")])
def test_the_page_is_sound_in_a_browser(browser: Chrome, page: str, tmp_path: Path, width: int, scheme: str) -> None:
    from axe_selenium_python import Axe  # type: ignore[import-untyped]

    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
    browser.get(file.as_uri())
    log: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert log == []
    assert browser.title == "Backtest of BTCUSD, ETHUSD, SOLUSD by sma cross"
    browser.execute_script("""
        document.querySelector('details').open = true;
        for (const trade of [...document.querySelectorAll('.trades tbody')].slice(2)) trade.remove();
    """)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    plots = browser.execute_script("return document.querySelectorAll('#trades .plot path.line').length")
    assert plots == len(NAMES)
    axe = Axe(browser)
    browser.set_script_timeout(90)
    axe.inject()
    found = axe.run()
    assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found["violations"]] == []
