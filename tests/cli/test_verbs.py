"""Each verb on good input, in this process; the search with a baseline alone, so that no network is trained."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import automl_pheno as ap
from automl_pheno.cli import app, main

BASELINES = ("--trials", "0", "--baselines", "ridge", "--no-explain", "--workers", "0")


def test_help_names_every_verb(run: Any) -> None:
    done = run("--help")
    assert done.code == 0
    verbs = re.findall(r"^  ([a-z]+)  ", done.out, flags=re.MULTILINE)
    assert verbs == [
        "search", "check", "split", "audit", "leaderboard", "explain", "predict", "report", "simulate", "dashboard",
        "replay", "copy", "import",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "verb",
    [
        "search", "check", "split", "audit", "leaderboard", "explain", "predict", "report", "simulate", "dashboard",
        "replay", "copy", "import",
    ],
)  # fmt: skip
def test_each_verb_has_help(run: Any, verb: str) -> None:
    done = run(verb, "--help")
    assert done.code == 0
    assert f"automl-pheno {verb}" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_version(run: Any) -> None:
    assert run("--version").out.strip() == f"automl-pheno {ap.__version__}"


def test_check_counts(folder: Path, run: Any) -> None:
    done = run("check", "space.yaml", "study.yaml", "--length", "40")
    assert done.code == 0, done
    assert "valid space 'tiny'" in done.out
    assert "valid study 'study'" in done.out
    # kernel 3, 4 filters, 10 positions left: (3*4+1)*4 + 10*4 + 1; kernel 7, 8 filters: (7*4+1)*8 + 10*8 + 1
    assert re.search(r"smallest +2 +93 ", done.out)
    assert re.search(r"largest +2 +313 ", done.out)


def test_check_takes_the_length_from_data(folder: Path, run: Any) -> None:
    assert run("check", "space.yaml", "--data", "data.csv").out == run("check", "space.yaml", "--length", "40").out


def test_check_reports_all_errors_of_all_files(folder: Path, run: Any) -> None:
    text = (folder / "space.yaml").read_text()
    (folder / "a.yaml").write_text(text.replace("filters", "fliters").replace("step: 2", "step: 0"))
    (folder / "b.yaml").write_text(text.replace("block: flatten", "block: flat"))
    done = run("check", "a.yaml", "space.yaml", "b.yaml")
    assert done.code == 2
    assert "valid space 'tiny'" in done.out
    for fragment in ("a.yaml:6", "a.yaml:7", "b.yaml:10"):
        assert fragment in done.err


def test_the_exported_schema_accepts_the_shipped_spaces(run: Any, repository: Path) -> None:
    import jsonschema
    import yaml

    schema = json.loads(run("check", "--json-schema").out)
    for path in sorted((repository / "search_spaces").glob("*.yaml")):
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)


def test_split_writes_and_keeps_families_together(folder: Path, run: Any) -> None:
    done = run("split", "--data", "data.csv", "--trait", "leaf", "--group-by", "column:family", "-o", "new")
    assert done.code == 0, done
    assert "column:family kept together" in done.out
    split = pd.read_csv(folder / "new" / "split.csv").merge(pd.read_csv(folder / "data.csv"), on="id")
    assert len(split) == 60
    assert (split.groupby("family")["set"].nunique() == 1).all()
    assert json.loads((folder / "new" / "split_card.json").read_text())["samples"] == 60


def test_search_and_split_make_the_same_split(finished: Path, folder: Path, run: Any) -> None:
    assert run("split", "--data", "data.csv", "--trait", "leaf", "-o", "new").code == 0
    assert (folder / "new" / "split.csv").read_bytes() == (finished / "split.csv").read_bytes()


def test_search_prints_the_leaderboard_within_80_columns(finished: Path, run: Any) -> None:
    done = run("leaderboard", finished, "--top", "1")
    assert done.code == 0
    assert max(map(len, done.out.splitlines()[:-1])) <= 80
    best = ap.Run(finished).leaderboard["name"].iloc[0]
    assert best in done.out
    assert "1 more" in done.out


def test_a_finished_search_is_not_run_again(finished: Path, search_words: tuple[str, ...], run: Any) -> None:
    before = (finished / "final.json").read_bytes()
    done = run(*search_words)
    assert done.code == 0
    assert "finished" in done.err
    assert (finished / "final.json").read_bytes() == before


def test_a_changed_search_is_refused_with_the_difference(
    finished: Path, search_words: tuple[str, ...], run: Any
) -> None:
    done = run(*search_words, "--metric", "rmse")
    assert done.code == 2
    assert "metric" in done.err
    assert "rmse" in done.err


def test_options_win_over_the_study_file_and_say_so(folder: Path, run: Any) -> None:
    done = run("search", "study.yaml", *BASELINES, "--out", "run")
    assert done.code == 0, done
    assert "trials: 0, not 2" in done.out
    assert "baselines" in done.out
    assert ap.Run(folder / "run").is_finished


def test_predict_writes_ids_and_predictions(finished: Path, folder: Path, run: Any) -> None:
    done = run("predict", finished, "data.fa", "-o", "predictions.csv")
    assert done.code == 0, done
    table = pd.read_csv(folder / "predictions.csv")
    assert list(table.columns) == ["id", "prediction"]
    assert table["id"].tolist() == [f"s{i}" for i in range(60)]
    sequences = pd.read_csv(folder / "data.csv")["sequence"].tolist()
    np.testing.assert_allclose(table["prediction"], ap.load(finished).predict(sequences))


def test_predict_matches_variants_by_id_and_counts_the_missing(folder: Path, run: Any) -> None:
    words = ("--data", "dosages.csv.gz", "--trait-table", "traits.csv", "--trait", "leaf")
    assert run("search", "--space", "space_genotype.yaml", *words, *BASELINES, "--baselines", "gblup").code == 0
    dosages = pd.read_csv(folder / "dosages.csv.gz", index_col="id")
    dosages.iloc[:, ::-1].to_csv(folder / "reversed.csv")
    dosages.drop(columns=["v3", "v4"]).assign(other=1).to_csv(folder / "fewer.csv")
    best = ap.load(folder / "studies" / "dosages")
    for name in ("reversed", "fewer"):
        done = run("predict", "studies/dosages", f"{name}.csv", "-o", f"{name}.out")
        assert done.code == 0, done
        assert ("2 of the 30 variants" in done.out) == (name == "fewer")
    same = pd.read_csv(folder / "reversed.out")["prediction"]
    np.testing.assert_allclose(same, best.predict(dosages), atol=1e-9)
    dosages[["v3", "v4"]].to_csv(folder / "few.csv")
    refused = run("predict", "studies/dosages", "few.csv", "-o", "few.out")
    assert refused.code == 2
    assert "28 of the 30 variants that are read are missing (28 not in the input): v0, v1, v2, ...;" in refused.err
    assert "say --allow-mismatch" in refused.err
    assert not (folder / "few.out").exists()
    allowed = run("predict", "studies/dosages", "few.csv", "-o", "few.out", "--allow-mismatch")
    assert allowed.code == 0, allowed
    assert "mismatch allowed: 28 of the 30 variants" in allowed.out
    assert len(pd.read_csv(folder / "few.out")) == len(dosages)
    gaps = dosages.astype(float).assign(v3=np.nan, v4=np.nan)
    np.testing.assert_allclose(pd.read_csv(folder / "fewer.out")["prediction"], best.predict(gaps), atol=1e-9)


def test_explain_and_report_write_their_files(finished: Path, run: Any) -> None:
    done = run("explain", finished, "--samples", "5")
    assert done.code == 0, done
    assert "explained" in done.out
    importance = pd.read_csv(finished / "explain" / "importance.csv")
    assert len(importance) == 40
    done = run("report", finished)
    assert done.code == 0, done
    assert all(Path(line).is_file() for line in done.out.splitlines())
    assert any(line.endswith("summary.md") for line in done.out.splitlines())


def test_the_help_of_explain_names_every_method_and_part(run: Any) -> None:
    from automl_pheno.explain import EXPLAINERS, PARTS

    shown = run("explain", "--help").out
    assert [name for name in (*EXPLAINERS, *PARTS) if name not in shown and name != "mean"] == []


@pytest.mark.parametrize("kind", ["motifs", "mutants", "genotypes"])
def test_simulate_writes_data_that_are_read_again(folder: Path, run: Any, kind: str) -> None:
    done = run("simulate", kind, "-o", "new", "--n", "60", "--seed", "5")
    assert done.code == 0, done
    command = done.out.splitlines()[-1].removeprefix("next: automl-pheno ").split()
    place = command.index("--data")
    assert run("split", *command[place:], "-o", "new").code == 0
    assert json.loads((folder / "new" / "truth.json").read_text())["kind"] == kind


# --- errors that are not the user's


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    class Command:
        def main(self, **_: object) -> None:
            raise error

    monkeypatch.setattr(app.typer.main, "get_command", lambda _: Command())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_what_the_machine_refuses_is_one_line(run: Any, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    failing(monkeypatch, OSError(number, os.strerror(number), "out.csv"))
    done = run("leaderboard", "x")
    assert done.code == 2
    assert done.err == f"error: out.csv: {os.strerror(number).lower()}\n"


def test_an_unexpected_error_leaves_its_traceback_in_a_log_file(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(monkeypatch, ZeroDivisionError("an own fault"))
    done = run("leaderboard", "x")
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    (log,) = tmp_path.glob("*.log")
    assert str(log) in done.err
    assert "Traceback" in log.read_text()
    assert "an own fault" in log.read_text()


def test_ctrl_c_is_130(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    assert run("leaderboard", "x").code == 130


def test_a_closed_pipe_is_no_error(repository: Path) -> None:
    code = "import sys; from automl_pheno.cli import main; sys.exit(main(['check', '--json-schema']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=repository
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_main_reads_the_words_of_the_process(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("sys.argv", ["automl-pheno", "--version"])
    assert main() == 0
    assert ap.__version__ in capsys.readouterr().out
