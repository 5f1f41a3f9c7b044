"""The page in a real browser: Chromium without a window, Debian's `chromium` and `chromium-driver`.

axe-core, which looks for what keeps people from reading it, is npm's.

The page of a real run of config/test.yaml is opened, and that of a larger made-up run whose texts
are hostile. `SCREENSHOTS=<folder>` keeps pictures of both, light and dark, wide and narrow.
"""

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import synthetic
from project_copy import ROOT, copy_of_the_project
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from reasonmaxxer import __main__

SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
AXE = "axe-core@4.14.1"
TIMEOUT = 60.0  # seconds for a page to be drawn; a loaded machine is slow


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with seeds, a sweep, a footprint, timings and hostile text."""
    folder = tmp_path_factory.mktemp("run")
    manifest = synthetic.write_footprint(folder, synthetic.make_run(folder), "grpo")
    timing = folder / "benchmarks/train_adapter/reasonmaxxer.tsv"
    timing.parent.mkdir(parents=True)
    timing.write_text("s\tmax_rss\n12.5\t700\n", encoding="utf-8")
    metrics_of(folder, manifest)
    return page_of(folder, title="A made-up run", price_per_hour=1.89)


def metrics_of(folder: Path, manifest: dict[str, Any]) -> None:
    __main__.main(
        [
            *("metrics", "--manifest", json.dumps(manifest)),
            *("--out", str(folder / "metrics.json"), "--figures", str(folder / "figures.json")),
            *("--table", str(folder / "metrics.parquet")),
            *("--differences", str(folder / "differences.parquet")),
        ]
    )


def page_of(folder: Path, **config: Any) -> Path:
    __main__.main(
        [
            *("report", "--metrics", str(folder / "metrics.json")),
            *("--figures", str(folder / "figures.json"), "--config", json.dumps(config)),
            *("--template", str(ROOT / "workflow/reasonmaxxer/report/template")),
            *("--benchmarks-dir", str(folder / "benchmarks")),
            *("--out", str(folder / "report.html")),
        ]
    )
    return folder / "report.html"


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with a finished real run of config/test.yaml in it."""
    folder = copy_of_the_project(tmp_path_factory.mktemp("project"))
    snakemake(folder)
    return folder


def snakemake(folder: Path) -> str:
    """Run config/test.yaml in a copy of the project; what Snakemake prints."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "results/report.html"]
    command += ["--configfile", "config/test.yaml", "--config", "memorization={check: true}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def pages(project: Path, made_up: Path) -> dict[str, Path]:
    return {"made up": made_up, "real": project / "results/report.html"}


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *(
            "--disable-background-networking",
            f"--user-data-dir={tmp_path_factory.mktemp('chrome')}",
        ),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of the accessibility checker."""
    folder = tmp_path_factory.mktemp("axe")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), AXE]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(params=["made up", "real"])
def page(
    request: pytest.FixtureRequest, browser: webdriver.Chrome, pages: dict[str, Path]
) -> webdriver.Chrome:
    """The browser with the page open and drawn, light, wide."""
    show(browser, pages[request.param])
    return browser


def show(browser: webdriver.Chrome, path: Path, scheme: str = "light", size: str = "wide") -> None:
    width, height = SIZES[size]
    emulate = browser.execute_cdp_cmd
    features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    named = [{"name": name, "value": value} for name, value in features.items()]
    emulate("Emulation.setEmulatedMedia", {"features": named})
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    emulate("Emulation.setDeviceMetricsOverride", metrics)
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # what earlier pages left
    browser.get(path.as_uri())
    wait(lambda: browser.execute_script("return document.documentElement.dataset.drawn") == "yes")


def wait(done: Callable[[], Any]) -> None:
    end = time.monotonic() + TIMEOUT
    while not done():
        assert time.monotonic() < end, "the page did not get there in time"
        time.sleep(0.05)


def find(page: webdriver.Chrome, selector: str) -> list[Any]:
    return page.find_elements(By.CSS_SELECTOR, selector)


# --- what every page must do --------------------------------------------------------------------


def test_nothing_is_logged_and_no_request_leaves_the_page(page: webdriver.Chrome) -> None:
    assert page.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    requested = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert requested
    assert all(url.startswith(("file:", "data:")) for url in requested)
    assert len([url for url in requested if url.startswith("file:")]) == 1


def test_every_figure_is_drawn(page: webdriver.Chrome) -> None:
    places = find(page, ".vega")
    assert places
    for place in places:
        marks = place.find_elements(By.CSS_SELECTOR, "svg path, svg rect, svg line")
        assert len(marks) > 3, place.get_attribute("data-chart")
        assert place.size["height"] > 60


def test_the_verdict_and_the_table_stand_on_the_first_screen(page: webdriver.Chrome) -> None:
    height = SIZES["wide"][1]
    (verdict,) = find(page, ".verdict")
    first = find(page, ".results tbody tr")[0]
    assert verdict.location["y"] + verdict.size["height"] < height
    assert first.location["y"] + first.size["height"] < height


def test_hover_and_focus_show_what_else_the_base_might_have_written(
    page: webdriver.Chrome,
) -> None:
    gated = find(page, ".token.gated")
    assert gated, "a decision among the rollouts shown"
    (card,) = find(page, "#card")
    assert not card.is_displayed()
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", gated[0])
    webdriver.ActionChains(page).move_to_element(gated[0]).perform()
    wait(card.is_displayed)
    assert "entropy" in card.text and "decision" in card.text
    assert len(card.find_elements(By.CSS_SELECTOR, ".choice")) >= 1
    gated[0].send_keys(Keys.ESCAPE)
    assert not card.is_displayed()


def test_the_keyboard_walks_from_token_to_token_and_from_decision_to_decision(
    page: webdriver.Chrome,
) -> None:
    tokens = find(page, ".tokens")[0].find_elements(By.CSS_SELECTOR, ".token")
    page.execute_script("arguments[0].focus()", tokens[0])
    webdriver.ActionChains(page).send_keys(Keys.ARROW_RIGHT).perform()
    assert page.switch_to.active_element == tokens[1]
    webdriver.ActionChains(page).send_keys("n").perform()
    reached = page.switch_to.active_element
    later = [token for token in tokens[2:] if "gated" in token.get_attribute("class").split()]
    assert reached == (later[0] if later else tokens[1])
    (card,) = find(page, "#card")
    assert card.is_displayed()


def test_filters_leave_only_what_they_name(page: webdriver.Chrome) -> None:
    for verdict in ("correct", "incorrect"):
        (button,) = find(page, f"#reader button[data-value='{verdict}']")
        button.click()
        shown = {outcome.text for outcome in find(page, "#reader .outcome")}
        assert {text.split()[-1] for text in shown} == {verdict}
        (pressed,) = find(page, f"#reader button[data-value='{verdict}']")
        assert pressed.get_attribute("aria-pressed") == "true"
        assert page.switch_to.active_element == pressed  # focus stays where it was


def test_base_and_trained_stand_side_by_side(page: webdriver.Chrome) -> None:
    find(page, "#reader button[data-value='pairs']")[0].click()
    sides = find(page, "#reader article")
    assert len(sides) == 2
    assert sides[0].location["y"] == sides[1].location["y"]
    following = find(page, "#reader button[data-step='next']")
    if following and following[0].is_enabled():
        before = find(page, "#reader .problem")[0].text
        following[0].click()
        assert find(page, "#reader .problem")[0].text != before


def test_a_fork_opens_by_click_and_by_key_and_counts_the_rollouts_from_there(
    page: webdriver.Chrome,
) -> None:
    while not (forks := find(page, "#reader .token.fork")):
        find(page, "#reader button[data-step='next']")[0].click()
    fork = forks[0]
    ways = page.execute_script(
        "const { side, i } = arguments[0].reader; return side.forks[i]", fork
    )
    assert len(ways) > 1
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", fork)
    for act in (fork.click, lambda: fork.send_keys(Keys.ENTER)):
        act()
        assert fork.get_attribute("aria-expanded") == "true"
        said = [term.text for term in find(page, "#reader .ways dt")]
        for text, way in zip(said, ways, strict=True):
            count = way["rollouts"]
            assert f"{count} rollout{'s' * (count > 1)}, {way['correct']} correct" in text
        act()
        assert fork.get_attribute("aria-expanded") == "false"
        assert find(page, "#reader .ways dt") == []


def test_a_mark_opens_its_sentence(page: webdriver.Chrome) -> None:
    mark = find(page, ".results .change")[0]
    mark.send_keys(Keys.ENTER)
    (row,) = find(page, f"[id='{mark.get_attribute('href').partition('#')[2]}']")
    wait(row.is_displayed)
    assert mark.get_attribute("title") in row.text


def test_on_paper_it_is_light_and_whole(page: webdriver.Chrome) -> None:
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [dark]})
    ink = page.execute_script("return getComputedStyle(document.body).color")
    assert contrast(ink, "rgb(255, 255, 255)") > 7
    assert not any(place.is_displayed() for place in find(page, "nav, .controls"))
    cut = "return getComputedStyle(arguments[0]).overflowX"
    for place in find(page, ".scroll, .tokens"):
        assert page.execute_script(cut, place) == "visible"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_and_can_be_read_light_and_dark_wide_and_narrow(
    browser: webdriver.Chrome, pages: dict[str, Path], axe: str, scheme: str, size: str
) -> None:
    for name, path in pages.items():
        show(browser, path, scheme, size)
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= SIZES[size][0], f"{name} is wider than the window"
        ink, ground = (
            browser.execute_script(f"return getComputedStyle(document.body).{name}")
            for name in ("color", "backgroundColor")
        )
        assert contrast(ink, ground) > 7
        height = browser.execute_script("return document.documentElement.scrollHeight")
        assert name != "real" or height < 8000
        browser.execute_script(axe)
        for view in ("rollouts", "pairs"):
            find(browser, f"#reader button[data-value='{view}']")[0].click()
            browser.execute_script("document.querySelector('.token.fork')?.click()")
            found = browser.execute_async_script("axe.run().then(arguments[0])")["violations"]
            assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
        assert contrast(ink, deepest_shade(browser)) > 4.5
        keep(browser, f"{name.replace(' ', '-')}-{scheme}-{size}.png")


def keep(browser: webdriver.Chrome, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        options = {"captureBeyondViewport": True}
        picture = browser.execute_cdp_cmd("Page.captureScreenshot", options)["data"]
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / name).write_bytes(base64.b64decode(picture))


def deepest_shade(browser: webdriver.Chrome) -> str:
    """The ground of a token of which the model was not sure at all, upon its panel."""
    (token,) = find(browser, ".tokens")[0].find_elements(By.CSS_SELECTOR, ".token")[:1]
    shade, panel = browser.execute_script(
        "arguments[0].style.setProperty('--h', 1);"
        "return [arguments[0], arguments[0].closest('article')]"
        ".map((e) => getComputedStyle(e).backgroundColor)",
        token,
    )
    *colour, share = map(float, re.findall(r"[\d.]+", shade))
    below = map(float, re.findall(r"[\d.]+", panel))
    parts = [share * one + (1 - share) * other for one, other in zip(colour, below, strict=False)]
    return f"rgb({', '.join(map(str, parts))})"


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two CSS colours `rgb(r, g, b)`."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# --- hostile text -------------------------------------------------------------------------------


def test_a_hostile_completion_stays_text(browser: webdriver.Chrome, made_up: Path) -> None:
    show(browser, made_up)
    assert browser.title == "A made-up run · synthetic"  # the payload would have changed it
    assert find(browser, "img") == []
    shown = [token.text for token in find(browser, "#reader .token")]
    assert any("<img src=x onerror=" in text for text in shown)
    scripts = len(find(browser, "script"))
    find(browser, "#reader button[data-value='pairs']")[0].click()
    assert len(find(browser, "script")) == scripts
    assert find(browser, "img") == []
    assert browser.title == "A made-up run · synthetic"


# --- what may be missing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"benchmarks": {"chains": (1, 4)}}, "1 problem"),
        ({"arms": {"base": 0.4, "reasonmaxxer": 0.0}}, "a loss of"),
        ({"arms": {"base": 0.4, "reasonmaxxer": 1.0}}, "a gain of"),
        ({"arms": {"base": 0.0, "reasonmaxxer": 0.0}}, "no difference shown"),
        ({"parseable": 0.0}, "no completion has an answer that can be read"),
        ({"training": False}, "this run has no figures for it"),
        ({"arms": {"base": 0.4}}, "this run trained nothing"),
    ],
)
def test_a_poor_run_has_a_page_that_is_drawn_and_says_so(
    browser: webdriver.Chrome, tmp_path: Path, case: dict[str, Any], said: str
) -> None:
    settings: dict[str, Any] = {
        **{"arms": {"base": 0.3, "reasonmaxxer": 0.6}, "benchmarks": {"chains": (20, 4)}},
        **{"pool": (8, 6), "length": 12, **case},
    }
    manifest = synthetic.make_run(tmp_path, **settings)
    metrics_of(tmp_path, manifest)
    show(browser, page_of(tmp_path))
    assert browser.get_log("browser") == []
    assert said in browser.execute_script("return document.body.textContent.replace(/\\s+/g, ' ')")
    assert len(find(browser, ".results tbody tr")) == len(settings["arms"])
    assert all(place.get_attribute("data-drawn") == "yes" for place in find(browser, ".vega"))


# --- a run of the workflow ----------------------------------------------------------------------


def test_hover_shows_both_models_probabilities_side_by_side(
    browser: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    show(browser, pages["real"])
    find(browser, "#reader button[data-value='pairs']")[0].click()
    (card,) = find(browser, "#card")
    for token in find(browser, "#reader .token"):
        browser.execute_script("arguments[0].focus()", token)
        if card.find_elements(By.CSS_SELECTOR, ".choices.both"):
            break
    assert "after training" in card.text
    assert len(card.find_elements(By.CSS_SELECTOR, ".choice")) == 5
    for side in (".meter:not(.trained)", ".meter.trained"):
        shares = [meter.text for meter in card.find_elements(By.CSS_SELECTOR, side)]
        assert len(shares) == 5
        assert all(re.fullmatch(r"(<0|\d+)\.\d%", share) for share in shares)


def test_an_edited_word_of_the_template_makes_the_page_again_and_nothing_else(
    project: Path, browser: webdriver.Chrome
) -> None:
    template = project / "workflow/reasonmaxxer/report/template/sections/rollouts.html.j2"
    text = template.read_text(encoding="utf-8")
    template.write_text(text.replace("Reading rollouts", "Rollouts, word by word"), "utf-8")
    output = snakemake(project)
    ran = set(re.findall(r"^(?:local)?rule (\w+):$", output, re.MULTILINE))
    assert ran == {"render_report", "publish_report"}
    timing = (project / "results/test/benchmarks/render_report.tsv").read_text(encoding="utf-8")
    assert float(timing.split()[-1]) < 5  # of processor time
    show(browser, project / "results/report.html")
    assert "Rollouts, word by word" in [heading.text for heading in find(browser, "h2")]


def test_a_page_of_20_000_samples_is_made_and_drawn_in_under_5_seconds(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    arms = dict.fromkeys(("reasonmaxxer", "random-gate", "positive-only", "rft"), 0.5)
    benchmarks = {f"suite-{n}": (125, 8) for n in range(4)}
    settings = {"arms": {"base": 0.3, **arms}, "benchmarks": benchmarks, "length": 20}
    manifest = synthetic.make_run(tmp_path, **settings)
    metrics_of(tmp_path, manifest)
    start = time.monotonic()
    page = page_of(tmp_path)
    made = time.monotonic() - start
    start = time.monotonic()
    show(browser, page)
    assert made < 5
    assert time.monotonic() - start < 5
