"""A job that was done before takes what it made then, and only what is the same as then."""

import json
from pathlib import Path

import pytest

from reasonmaxxer import tables
from reasonmaxxer.registry import STAGES
from reasonmaxxer.tables import reuse
from reasonmaxxer.tables.reuse import POOL, content_hash, missing, of_job, say_forced

RUN = Path("results/run")


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(POOL, "")
    (tmp_path / "in.txt").write_text("input")
    (tmp_path / "template.txt").write_text("{problem}")
    return tmp_path


def job(source="in.txt", tau=1.4, threads=2, out="out.txt", **more):
    settings = json.dumps({"template": more.get("template", "template.txt"), "tau": tau})
    arguments = ["--rollouts", source, "--config", settings, "--threads", str(threads)]
    return of_job(STAGES["selection"], [*arguments, "--out", str(RUN / out)])


def done(text="made", **changes):
    """A job that was done, and its files gone, as Snakemake leaves them before it runs again."""
    made = job(**changes)
    assert not made.take()
    for number, output in enumerate(made.outputs):
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(f"{text}{number}")
    made.keep("spent: 1.00 s of processor time, 0.00 s of GPU time")
    for output in made.outputs:
        output.unlink()


def test_the_same_job_takes_its_files(capsys):
    done()
    assert job(threads=8).take()
    assert (RUN / "out.txt").read_text() == "made0"
    assert "spent: 1.00 s" in capsys.readouterr().err


def test_another_arms_job_that_is_the_same_takes_them_under_its_own_name():
    done()
    assert job(out="renamed.txt").take()
    assert (RUN / "renamed.txt").read_text() == "made0"


@pytest.mark.parametrize("change", ["settings", "input", "template", "code"])
def test_any_difference_makes_the_job_run(change, monkeypatch):
    done()
    if change == "input":
        Path("in.txt").write_text("another input")
    if change == "template":
        Path("template.txt").write_text("Problem: {problem}")
    if change == "code":
        monkeypatch.setattr(reuse, "code_hash", lambda module: "of other code")
    assert not job(tau=1.5 if change == "settings" else 1.4).take()


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_renamed_template_or_input_of_the_same_content_is_the_same(ends):
    Path("template.txt").write_bytes(b"{problem}\nSolution:\n")
    done()
    Path("in.txt").rename("other.txt")
    Path("template.txt").unlink()
    Path("moved.txt").write_bytes(f"{{problem}}{ends}Solution:{ends}".encode())
    assert job(source="other.txt", template="moved.txt").take()


def test_the_card_of_an_adapter_is_no_part_of_it():
    for arm, rank in (("a", 8), ("b", 8), ("c", 4)):
        (RUN / arm).mkdir(parents=True)
        (RUN / arm / "README.md").write_text(arm)
        (RUN / arm / "adapter_config.json").write_text(str(rank))
    done(source=str(RUN / "a"))
    assert job(source=str(RUN / "b")).take()
    assert not job(source=str(RUN / "c")).take()


def test_what_made_a_table_is_no_part_of_its_content(tmp_path):
    row = {"problem_id": "a", "problem": "?", "answer": "1", "source": "s", "level": None}
    for name, code, answer in (("a", "1", "1"), ("b", "2", "1"), ("c", "1", "2")):
        tables.write(tmp_path / name, "problems", [{**row, "answer": answer}], {"code": code})
    same, again, other = (content_hash(tmp_path / name) for name in "abc")
    assert same == again != other


def test_a_forced_job_is_made_again():
    done()
    say_forced(str(RUN), [str(RUN / "out.txt")])
    assert not job().take()
    say_forced(str(RUN), [])
    assert not job().take()  # it was not made again yet
    done("newer")
    assert job().take()
    assert (RUN / "out.txt").read_text() == "newer0"


def test_a_kept_file_that_was_damaged_is_made_again():
    done()
    kept = next(path for path in (RUN / ".reuse").rglob("0") if path.is_file())
    kept.write_text("flipped")
    assert not job().take()
    assert not kept.exists()


def test_a_folder_comes_back_whole():
    made = job(out="adapter")
    folder = RUN / "adapter"
    (folder / "inner").mkdir(parents=True)
    (folder / "weights").write_text("w")
    (folder / "inner" / "card").write_text("c")
    made.keep("")
    (folder / "weights").unlink()
    (folder / "inner" / "card").unlink()
    assert job(out="adapter").take()
    assert ((folder / "weights").read_text(), (folder / "inner" / "card").read_text()) == ("w", "c")


def test_few_earlier_results_are_kept():
    for number in range(6):
        done(tau=number)
    assert len([path for path in (RUN / ".reuse").glob("*/*") if path.is_dir()]) == 3


def test_commands_by_hand_and_processes_of_torchrun_take_nothing(monkeypatch):
    stage = STAGES["selection"]
    inside = ["--rollouts", "in.txt", "--out", str(RUN / "out.txt")]
    assert of_job(stage, ["--out", "/tmp/out.txt"]) is None
    assert of_job(stage, inside) is not None
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert of_job(stage, inside) is None
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.delenv(POOL)
    assert of_job(stage, inside) is None
    assert missing("evaluation", {RUN / "out.txt": ["in.txt"]}) == {RUN / "out.txt": None}


def test_of_several_files_of_a_job_those_are_made_that_are_not_there():
    """Each is known by what it is made from, whichever job asks for it."""
    first, second, third = (RUN / f"{name}.parquet" for name in "abc")
    for path, kept in missing("evaluation", {first: ["in.txt", 1], second: ["in.txt", 2]}).items():
        tables.write_text(path, path.name)
        kept.keep(f"spent on {path.name}")
        path.unlink()
    again = {first: ["in.txt", 1], second: ["in.txt", 3], third: ["in.txt", 2]}
    assert list(missing("evaluation", again)) == [second]
    assert (first.read_text(), third.read_text()) == ("a.parquet", "b.parquet")
    Path("in.txt").write_text("another input")
    assert list(missing("evaluation", again)) == list(again)
