"""The page: what it says, what it leaves out, and that foreign text stays text."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest
import synthetic

from reasonmaxxer import __main__
from reasonmaxxer.analysis import timings
from reasonmaxxer.analysis.claims import Verdict
from reasonmaxxer.analysis.figures import figures
from reasonmaxxer.errors import UserError
from reasonmaxxer.report import view
from reasonmaxxer.stages import report
from reasonmaxxer.stages.metrics import compute

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "workflow/reasonmaxxer/report/template"
SMALL: dict[str, Any] = {"benchmarks": {"chains": (20, 4)}, "pool": (8, 6), "length": 12}
TSV = "s\th:m:s\tmax_rss\tcpu_time\n{wall}\t0:00:01\t512.0\t{seconds}\n"


def run_of(folder: Path, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    manifest = synthetic.make_run(folder, **{**SMALL, **settings})
    found, suite = compute(manifest)
    return found, figures(manifest, suite)


CHARTS = ("gains", "entropy", "pass-rates", "training", "validation")


def page_of(folder: Path, found: dict[str, Any], drawn: dict[str, Any], **config: Any) -> str:
    """The page as the command writes it."""
    for name, content in (("metrics", found), ("figures", drawn)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    __main__.main(
        [
            *("report", "--metrics", str(folder / "metrics.json")),
            *("--figures", str(folder / "figures.json"), "--template", str(PAGE)),
            *("--config", json.dumps(config), "--benchmarks-dir", str(folder / "benchmarks")),
            *("--charts", *(str(folder / f"charts/{name}.svg") for name in CHARTS)),
            *("--out", str(folder / "report.html")),
        ]
    )
    return (folder / "report.html").read_text(encoding="utf-8")


class Page(HTMLParser):
    """Elements and visible text of a page, as a browser would cut it up."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.text = ""
        self._script: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._script = str(dict(attrs).get("id", len(self.scripts))) if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.text += data
        else:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("run")
    arms = {"base": 0.3, "reasonmaxxer": 0.7, "grpo": 0.3}
    found, drawn = run_of(folder, arms=arms)
    html = page_of(folder, found, drawn, title="A <title>", reference="Qwen2.5-1.5B")
    return {"folder": folder, "metrics": found, "figures": drawn, "html": html, "page": Page(html)}


# --- what it says -----------------------------------------------------------------------------


def test_the_first_screen_has_verdict_table_and_intervals(run: dict[str, Any]) -> None:
    text = re.sub(r"\s+", " ", run["page"].text)
    rows = {
        (r["arm"], r["metric"]): r for r in run["metrics"]["rows"] if r["benchmark"] == "chains"
    }
    for arm in ("base", "reasonmaxxer"):
        accuracy = rows[arm, "accuracy"]
        assert f"{100 * accuracy['value']:.1f}" in text
        assert f"{100 * accuracy['low']:.1f}–{100 * accuracy['high']:.1f}" in text
    assert "reasonmaxxer solves" in text
    assert "a gain of" in text
    assert "one seed: seed variance is not in the intervals" in text
    assert text.index("a gain of") < text.index("Wilson's for an arm") < text.index("Gain over")


def test_an_arm_that_some_benchmarks_alone_saw_stands_among_the_ablations(tmp_path: Path) -> None:
    manifest = synthetic.make_run(tmp_path, arms={"base": 0.3, "reasonmaxxer": 0.5, "first": 0.4})
    manifest["arms"]["first"]["title"] = "First positions"
    for benchmark in list(manifest["benchmarks"])[1:]:
        del manifest["arms"]["first"]["evaluation"][benchmark]
    metrics, suite = compute(manifest)
    page = page_of(tmp_path, metrics, figures(manifest, suite))
    table, _, rest = page.partition("</table>")
    assert "reasonmaxxer" in table
    assert "First positions" not in table
    assert "First positions" in rest
    assert "1 more that some benchmarks alone saw" in rest


def test_a_sweep_is_drawn_with_the_value_that_it_starts_from(tmp_path: Path) -> None:
    arms = {
        "base": 0.3,
        "reasonmaxxer": 0.5,
        "reasonmaxxer+rank=1": 0.4,
        "reasonmaxxer+rank=4": 0.4,
    }
    manifest = synthetic.make_run(tmp_path, arms=arms)
    for arm in list(arms)[2:]:
        manifest["arms"][arm]["swept"]["own"] = 32
    metrics, suite = compute(manifest)
    charts = report.all_charts(view.Run(metrics, figures(manifest, suite)))
    points = charts["sweep-rank"]["data"]["values"]
    assert sorted(point["setting"] for point in points) == [1, 4, 32]


def test_charts_show_the_differences_of_the_table_and_no_curve_of_two_points(
    tmp_path: Path,
) -> None:
    benchmarks = {"chains": (20, 4), "words": (20, 8)}
    found, drawn = run_of(tmp_path, arms={"base": 0.3, "reasonmaxxer": 0.7}, benchmarks=benchmarks)
    seen = view.Run(found, drawn)
    charts = report.all_charts(seen)
    shown = charts["gains"]["data"]["values"]
    assert [row["benchmark"] for row in shown] == ["Mean", "Chains", "Words"]
    for row, place in zip(shown, ("mean", "chains", "words"), strict=True):
        gain = seen.difference("reasonmaxxer", place)
        assert gain is not None
        assert [row[key] / 100 for key in ("low", "value", "high")] == pytest.approx(
            [gain[key] for key in ("low", "value", "high")]
        )
    curves = charts["pass-at-k"]["data"]["values"]
    assert {(row["benchmark"], row["k"]) for row in curves} == {("Words", k) for k in (1, 2, 4)}


def test_every_mark_leads_to_its_sentence(run: dict[str, Any]) -> None:
    ids = [attributes.get("id") for _, attributes in run["page"].elements]
    links = [a["href"] for _, a in run["page"].elements if "change" in (a.get("class") or "")]
    assert len(links) >= 3
    for link in links:
        assert ids.count(str(link).removeprefix("#")) == 1, link


def test_charts_are_pictures_of_their_own_in_the_pages_light_colours(run: dict[str, Any]) -> None:
    pictures = {path.stem: path.read_text("utf-8") for path in run["folder"].glob("charts/*.svg")}
    assert sorted(pictures) == sorted(CHARTS)
    assert all(text.startswith("<svg") and "var(" not in text for text in pictures.values())
    assert "#0a5c9c" in pictures["gains"]
    assert not any("nothing to draw" in text for text in pictures.values())


def test_a_chart_without_figures_says_so(tmp_path: Path) -> None:
    found, drawn = run_of(tmp_path, training=False)
    page_of(tmp_path, found, drawn)
    assert "nothing to draw" in (tmp_path / "charts/training.svg").read_text(encoding="utf-8")


def test_no_difference_is_not_a_gain(tmp_path: Path) -> None:
    found, drawn = run_of(tmp_path, arms={"base": 0.5, "reasonmaxxer": 0.5}, training=False)
    assert "no difference shown" in view.headline(view.Run(found, drawn))


def test_the_first_sentence_has_the_controls_and_the_seeds(tmp_path: Path) -> None:
    arms = {"base": 0.3, "reasonmaxxer": 0.7, "random-gate": 0.4, "positive-only": 0.6}
    for seeds in (1, 2):
        found, drawn = run_of(tmp_path / str(seeds), arms=arms)
        seen = view.Run(found, drawn)
        said = view.headline(seen)
        for arm in ("random-gate", "positive-only"):
            gain = view.change(seen.difference(seen.as_line(arm), "chains"))
            assert gain is not None
            assert f"{seen.titles[seen.as_line(arm)]} {gain['value']}" in said
        assert f", {'one seed' if seeds == 1 else '2 seeds'}. Controls over the base: " in said
        arms |= {"reasonmaxxer+seed=43": 0.7, "random-gate+seed=43": 0.4}


@pytest.mark.parametrize(
    ("ours", "simple", "said"),
    [
        (0.9, 0.5, "reasonmaxxer: positive-only does worse, by "),
        (0.5, 0.9, "positive-only: it does better than reasonmaxxer, by "),
        (0.7, 0.7, "positive-only: it learns from correct rollouts alone, and no difference "),
        (0.1, 0.1, "The base as it is: neither reasonmaxxer nor positive-only has a gain to show."),
    ],
)
def test_the_page_says_which_arm_to_take(
    tmp_path: Path, ours: float, simple: float, said: str
) -> None:
    arms = {"base": 0.1, "reasonmaxxer": ours, "positive-only": simple}
    found, drawn = run_of(tmp_path, arms=arms)
    page = page_of(tmp_path, found, drawn)
    assert f"<strong>Which to take.</strong> {said}" in page
    assert ("with one seed." in page) == ("The base as it is" not in said)


def test_without_the_control_the_page_says_nothing_of_which_to_take(run: dict[str, Any]) -> None:
    assert "Which to take" not in run["html"]


def test_marks_agree_with_the_interval_or_say_why_not() -> None:
    row = {"metric": "accuracy", "value": 0.15, "low": 0.02, "high": 0.28, "p": 0.02}
    row |= {"statement": "", "p_corrected": 0.02}
    marks = {
        "▲": row,
        "▼": {**row, "value": -0.15},
        "△": {**row, "p_corrected": 0.3},
        "▽": {**row, "value": -0.15, "p_corrected": 0.3},
        "○": {**row, "low": -0.02, "p": 0.2, "p_corrected": 0.3},
    }
    for mark, difference in marks.items():
        found = view.change(difference)
        assert found is not None and found["mark"] == mark


def test_gains_by_format_and_by_reasoning_add_up(run: dict[str, Any]) -> None:
    seen = view.Run(run["metrics"], run["figures"])
    (part,) = view.gain_parts(seen)
    gain = seen.difference("reasonmaxxer", "chains")
    assert gain is not None
    assert part["total"] == 100 * gain["value"]
    assert part["format"] + part["reasoning"] == pytest.approx(part["total"])
    ours, theirs = (
        [seen.row(arm, "chains", key) for key in ("unparseable", "accuracy-parsed")]
        for arm in ("reasonmaxxer", "base")
    )
    reasoning = (ours[1]["value"] - theirs[1]["value"]) * (
        1 - (ours[0]["value"] + theirs[0]["value"]) / 2
    )
    assert part["reasoning"] == pytest.approx(100 * reasoning)


def test_the_papers_figures_stand_beside_ours_where_both_exist(run: dict[str, Any]) -> None:
    published = report.read_published(report.PUBLISHED)
    assert len(published["results"]) == 30
    for entry in published["results"]:
        scores = entry["scores"].values()
        assert len(scores) == 6
        assert sum(scores) / 6 == pytest.approx(entry["mean"], abs=0.0015)
    seen = view.Run(run["metrics"], run["figures"])
    beside = view.beside_paper(seen, published, "Qwen2.5-1.5B")
    assert beside is not None
    assert [row["system"] for row in beside["paper"]][-1] == "ReasonMaxxer"
    assert beside["ours"] == []  # our benchmark is not one of the paper's
    assert view.beside_paper(seen, published, None) is None


@pytest.mark.parametrize("id_", [f"C{n}" for n in range(1, 12)])
def test_every_claim_has_a_verdict(run: dict[str, Any], id_: str) -> None:
    claim = next(c for c in run["metrics"]["claims"] if c["id"] == id_)
    assert claim["verdict"] in get_args(Verdict)
    assert claim["claim"] in run["page"].text


def test_claims_without_figures_are_one_line_that_says_what_they_need(run: dict[str, Any]) -> None:
    text = re.sub(r"\s+", " ", run["page"].text)
    line = text[text.index("Not tested, for want of figures: ") :].partition("Add it to")[0]
    without = [c for c in run["metrics"]["claims"] if not view.tested(c)]
    assert {claim["verdict"] for claim in without} == {"not tested"}
    for claim in run["metrics"]["claims"]:
        assert (f"{claim['id']} {claim['claim']}" in line) == (claim in without)
    assert line.count("footprint: {teacher: <that arm>") == 1
    assert "C8 The negative half matters (needs an arm with selection: {advantages: pos" in line


def test_the_page_shows_the_config_and_what_made_each_file(run: dict[str, Any]) -> None:
    text = run["page"].text
    assert "run: synthetic\ntraining:\n  seed: 42\nreport:\n  title: A <title>" in text
    for made in run["figures"]["provenance"]:
        assert made["file"] in text and made["sha256"][:12] in text and made["code"] in text


# --- one file, no request, nothing executed -----------------------------------------------------


def test_the_page_asks_the_network_for_nothing(run: dict[str, Any]) -> None:
    assert len(run["html"].encode()) < 8 << 20
    for tag, attributes in run["page"].elements:
        for name in ("src", "href", "action", "data"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:,")), (tag, target)
    policy = next(a for t, a in run["page"].elements if "http-equiv" in a)["content"]
    assert policy is not None and policy.startswith("default-src 'none'")
    style = run["html"][run["html"].index("<style>") : run["html"].index("</style>")]
    assert "url(" not in style and "@import" not in style


def test_text_of_models_and_datasets_stays_text(run: dict[str, Any]) -> None:
    assert "img" not in [tag for tag, _ in run["page"].elements]
    data = json.loads(run["page"].scripts["data"])
    tokens = [t for rollout in data["rollouts"] for t in rollout["tokens"]]
    assert any(synthetic.HOSTILE in token for token in tokens)
    raw = run["page"].scripts["data"] + run["page"].scripts["specs"]
    assert not set("<>&\u2028\u2029") & set(raw)
    assert "A <title>" in run["page"].text


def test_json_for_scripts_reads_back_as_it_was() -> None:
    content = {"a": "</script><!--&\u2028\u2029é", "b": [1.5, None]}
    text = report.script_json(content)
    assert json.loads(text) == content
    assert not set("<>&\u2028\u2029") & set(text)


# --- what may be missing ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"arms": {"base": 0.0, "reasonmaxxer": 0.0}}, "no difference shown"),
        ({"arms": {"base": 1.0, "reasonmaxxer": 1.0}}, "no difference shown"),
        ({"arms": {"base": 0.4}}, "this run trained nothing"),
        ({"parseable": 0.0}, "no completion has an answer that can be read"),
        ({"benchmarks": {"chains": (1, 1)}}, "1 problem"),
        ({"training": False}, "Nothing to draw: this run has no figures for it."),
        ({}, "No timings: this page was made without"),
    ],
)
def test_a_poor_run_has_a_page_that_says_so(
    tmp_path: Path, case: dict[str, Any], said: str
) -> None:
    settings = {"arms": {"base": 0.3, "reasonmaxxer": 0.7}, **case}
    html = page_of(tmp_path, *run_of(tmp_path, **settings))
    assert said in re.sub(r"\s+", " ", Page(html).text)


def test_the_footprint_section_shows_figures_or_how_to_get_them(tmp_path: Path) -> None:
    manifest = synthetic.make_run(tmp_path, arms={"base": 0.3, "grpo": 0.5}, **SMALL)
    for given in (manifest, synthetic.write_footprint(tmp_path, manifest, "grpo")):
        found, suite = compute(given)
        page = Page(page_of(tmp_path, found, figures(given, suite)))
        drawn = [
            attributes["data-chart"]
            for _, attributes in page.elements
            if "data-chart" in attributes
        ]
        charts = {"footprint", "interventions", "exchanged", "pivotality", "capability"}
        if "footprint" in given:
            assert charts <= set(drawn)
            assert "80.00%" in page.text  # of the gain at the gate: (200 - 100) / (225 - 100)
            assert "own by construction at temperature 0" in page.text
        else:
            assert not charts & set(drawn)
            assert "Not tested: this run compares no teacher" in page.text
            assert "footprint: {teacher: <arm>" in page.text


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.json: not a readable JSON file"):
        view.read_run(tmp_path / "metrics.json", tmp_path / "figures.json")


# --- cost -------------------------------------------------------------------------------------


@pytest.fixture
def jobs(tmp_path: Path) -> list[timings.Job]:
    seconds = {
        "sample_rollouts/main.p0-9.s0-3": 100,
        "score_rollouts/main.p0-9.s0-3": 20,
        "select_positions/main": 1,
        "select_positions/random-gate": 2,
        "train_adapter/reasonmaxxer": 30,
        "train_adapter/random-gate": 31,
        "train_grpo/grpo": 120,
        "choose_whole_checkpoint/grpo": 8,
        "sample_teacher/grpo.p100.s1": 3,
        "distil_teacher/kl-r8": 5,
        "sample_evaluation/base": 7,
        "sample_evaluation/reasonmaxxer": 50,
        "audit_problems": "-",
    }
    for name, value in seconds.items():
        path = tmp_path / f"benchmarks/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TSV.format(wall=500, seconds=value), encoding="utf-8")
    return timings.read_jobs(tmp_path / "benchmarks")


def test_stages_come_in_the_pipelines_order_with_tokens_and_dollars(
    jobs: list[timings.Job],
) -> None:
    rows = timings.stage_rows(jobs, {"rollouts": 5000, "training": {"reasonmaxxer": 600}}, 3.6)
    names = ["Problems", "Rollouts", "Scoring", "Selection", "Training"]
    names += ["GRPO", "Distillation", "Checkpoint", "Evaluation"]
    assert [row["stage"] for row in rows] == names
    found = {row["stage"]: row for row in rows}
    assert found["Rollouts"]["tokens"] == 5000
    assert found["Rollouts"]["dollars"] == pytest.approx(0.1)
    assert found["Training"] == {
        **{"stage": "Training", "jobs": 2, "seconds": 61.0, "wall": 1000.0, "tokens": 600},
        **{"memory_mb": 512.0, "dollars": pytest.approx(0.061)},
    }


def test_what_a_job_says_it_spent_goes_before_snakemakes_sample(tmp_path: Path) -> None:
    for name in ("train_adapter/ours", "audit_problems"):
        for kind in ("benchmarks", "logs"):
            (tmp_path / kind / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"benchmarks/{name}.tsv").write_text(TSV.format(wall=90, seconds=20))
    log = tmp_path / "logs/train_adapter/ours.log"
    line = "spent: {} s of processor time, {} s of GPU time\n"
    log.write_text("step 1\n" + line.format(30.5, "0.00") + line.format(29.5, "0.00"))
    jobs = timings.read_jobs(tmp_path / "benchmarks")
    assert {job.rule: job.processor for job in jobs} == {"audit_problems": 20, "train_adapter": 60}
    assert timings.unit_of(jobs) == "processor"
    log.write_text(line.format(30.5, "180.00"))  # two GPUs for 90 seconds
    jobs = timings.read_jobs(tmp_path / "benchmarks")
    assert timings.unit_of(jobs) == "GPU"
    assert {job.rule: job.cost("GPU") for job in jobs} == {
        "audit_problems": 0,
        "train_adapter": 180,
    }


def test_a_run_without_timings_has_no_jobs(tmp_path: Path) -> None:
    assert timings.read_jobs(tmp_path / "missing") == []


# --- the terminal -----------------------------------------------------------------------------


@pytest.mark.parametrize("width", ["40", "80", "300"])
def test_show_prints_the_main_table_with_every_figure_whole(
    run: dict[str, Any],
    width: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    __main__.main(["show", str(run["folder"])])
    printed = capsys.readouterr().out
    for arm in ("base", "reasonmaxxer", "grpo"):
        assert arm in printed
    assert "▲ +" in printed
    assert "…" not in printed
    assert "a gain of" in " ".join(printed.split())
