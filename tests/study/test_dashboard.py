"""The dashboard through its WSGI application, without a server, and the server's refusals."""

from __future__ import annotations

import fcntl
import io
import json
import shutil
import socket

import pandas as pd
import pytest
import yaml
from dashboard_run import VALUES, make_run

import automl_pheno.report.trial_files  # noqa: F401 - registers what a trial has
from automl_pheno.errors import StudyError
from automl_pheno.study.dashboard import address_of, listen, make_app, make_note, warning_of
from automl_pheno.study.dashboard.guard import is_loopback, is_wildcard
from automl_pheno.study.dashboard.index import RecordIndex
from automl_pheno.study.records import TrialRecord, append_record


class Browser:
    """Asks an application."""

    def __init__(self, app, host="127.0.0.1:8080"):
        self.app, self.host = app, host

    def __call__(self, path, method="GET", body=None, **headers):
        content = b"" if body is None else json.dumps(body).encode()
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path.partition("?")[0], "QUERY_STRING": path.partition("?")[2],
            "SERVER_NAME": "x", "SERVER_PORT": "1", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(content),
            "wsgi.errors": io.StringIO(), "CONTENT_LENGTH": str(len(content)), "CONTENT_TYPE": "application/json",
            "HTTP_HOST": self.host, **headers,
        }  # fmt: skip
        status = []

        def start(line, headers, exc_info=None):
            status.append((int(line.split()[0]), dict(headers)))

        answer = self.app(environ, start)
        content = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        self.headers = status[0][1]
        return status[0][0], content

    def json(self, path):
        status, content = self(path)
        assert status == 200, content
        return json.loads(content)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("dashboard") / "toy")


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "toy")


@pytest.fixture
def browser(run):
    return Browser(make_app(run))


def test_the_study_is_shown_with_the_leaderboard_as_its_note_and_the_report_linked(run, browser):
    assert [study["study_name"] for study in browser.json("/api/studies")["study_summaries"]] == ["toy"]
    detail = browser.json("/api/studies/0")
    note = detail["note"]["body"]
    assert "| 1 | toy-1 | network | complete | 0.700 |" in note
    assert "toy-1 is first of two that validation cannot tell apart: toy-1 and ridge." in note
    assert "The network toy-1 is better than ridge: " in note
    assert "[Report](/report.html)" in note
    assert make_note(run).splitlines()[-3:] == note.splitlines()[-3:]
    assert detail["objective_names"] == ["pearson_r"]
    (run / "leaderboard.csv").write_text("rank,name,kind,state,val_r2\n1,other,network,complete,0.25\n")
    assert "| 1 | other | network | complete | 0.250 |" in browser.json("/api/studies/0")["note"]["body"]


def test_what_a_trial_is_sorted_by_is_in_its_attributes(browser):
    trials = browser.json("/api/studies/0")["trials"]
    assert [trial["values"] for trial in trials] == [[value] for value in VALUES]
    told = {item["key"]: item["value"] for item in trials[1]["user_attrs"]}
    assert told == {
        "outcome": "complete", "weights": "20", "epochs": "4", "best_epoch": "3", "seconds": "1.5", "device": "cpu",
        "val_sd": "0.1", "val_pearson_r": "0.7", "val_r2": str(0.7**2),
    }  # fmt: skip


def test_each_trial_has_its_curve_and_configuration_and_a_finalist_its_predictions(browser):
    detail = browser.json("/api/studies/0")
    of = {trial["number"]: {a["filename"]: a for a in trial["artifacts"]} for trial in detail["trials"]}
    assert set(of[0]) == {"learning_curve.png", "configuration.yaml"}
    assert set(of[1]) == {"learning_curve.png", "configuration.yaml", "predicted_observed.png"}
    for name in ("learning_curve.png", "predicted_observed.png"):
        status, content = browser(f"/artifacts/0/1/{of[1][name]['artifact_id']}")
        assert (status, content[:8], browser.headers["Content-Type"]) == (200, b"\x89PNG\r\n\x1a\n", "image/png")
        assert len(content) > 10_000
    status, content = browser(f"/artifacts/0/2/{of[2]['configuration.yaml']['artifact_id']}")
    written = yaml.safe_load(content)
    assert (written["name"], written["value"], written["seed"]) == ("toy-2", 0.5, 2)
    assert written["candidate"]["config"]["fit"]["learning_rate"] == written["parameters"]["fit.learning_rate"]
    (of_baseline,) = detail["artifacts"]
    assert of_baseline["filename"] == "ridge_predicted_observed.png"
    assert browser(f"/artifacts/0/{of_baseline['artifact_id']}")[1][:4] == b"\x89PNG"
    assert browser("/artifacts/0/1/00000063-0000")[0] == 404
    assert browser("/artifacts/0/1/../../../../etc/passwd")[0] == 404


def test_looking_writes_nothing(run, browser):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for artifact in browser.json("/api/studies/0")["trials"][0]["artifacts"]:
        assert browser(f"/artifacts/0/0/{artifact['artifact_id']}")[0] == 200
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/studies/0"), ("POST", "/api/studies"), ("POST", "/api/studies/0/rename"),
        ("POST", "/api/trials/0/tell"), ("PUT", "/api/studies/0/0/note"), ("POST", "/api/artifacts/0/0"),
    ],
)  # fmt: skip
def test_by_default_nothing_can_be_changed(run, browser, method, path):
    before = (run / "journal.log").read_bytes()
    status, content = browser(path, method, {"study_name": "x", "directions": ["maximize"]})
    assert status == 403
    assert "only shows" in json.loads(content)["reason"]
    assert (run / "journal.log").read_bytes() == before


def test_editable_takes_notes_on_trials_and_nothing_else(run):
    browser = Browser(make_app(run, editable=True))
    note = {"version": 1, "body": "look at this one"}
    assert browser("/api/studies/0/1/note", "PUT", note)[0] == 204
    assert browser.json("/api/studies/0")["trials"][1]["note"]["body"] == "look at this one"
    assert b"leaderboard" in browser("/api/studies/0/note", "PUT", note)[1]
    assert browser("/api/studies/0", "DELETE")[0] == 403
    assert browser("/api/trials/0/tell", "POST", {"state": "fail"})[0] == 403
    refused = browser("/api/studies/0/1/note", "PUT", note, HTTP_ORIGIN="http://elsewhere.example")
    assert (refused[0], b"another web page" in refused[1]) == (403, True)
    (run / "run.lock").touch()
    with (run / "run.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert b"A search is running" in browser("/api/studies/0/1/note", "PUT", {**note, "version": 2})[1]


def test_a_request_for_another_name_is_refused(run):
    assert Browser(make_app(run), "evil.example:8080")("/api/studies")[0] == 403
    assert Browser(make_app(run), "127.0.0.1.evil.example")("/")[0] == 403
    for name in ("localhost:9000", "127.0.0.1", "[::1]:8080"):
        assert Browser(make_app(run), name)("/")[0] == 200
    assert Browser(make_app(run, host="0.0.0.0"), "gpu7.example")("/")[0] == 200
    assert Browser(make_app(run, host="gpu7.example"), "gpu7.example:80")("/")[0] == 200


def test_the_files_worth_reading_and_no_others(run, browser):
    status, page = browser("/")
    assert status == 200
    for link in ("/report.html", "/dashboard/studies/0", "/leaderboard.csv"):
        assert f'href="{link}"' in page.decode()
    assert browser("/report")[1] == browser("/report.html")[1] == (run / "report.html").read_bytes()
    assert "default-src 'none'" in browser.headers["Content-Security-Policy"]
    status, page = browser("/split_card.html")
    assert (status, b"Not there yet" in page) == (404, True)
    for path in ("/journal.log", "/../toy/trials.jsonl", "/report.html/../trials.jsonl", "/figures/../trials.jsonl"):
        assert browser(path)[0] == 404
    (run / "study.yaml").write_text("name: toy\nstorage: null\nnote: postgresql://me:secret@db/x\n")
    assert b"secret" not in browser("/study.yaml")[1]


def test_a_run_that_has_not_finished_says_so(tmp_path):
    browser = Browser(make_app(make_run(tmp_path / "toy", tested=False)))
    assert "[Report]" not in browser.json("/api/studies/0")["note"]["body"]
    assert browser.json("/api/studies/0")["artifacts"] == []
    assert b"has not finished" in browser("/")[1]


def test_another_journal_under_the_same_name_is_taken_up(run, tmp_path):
    browser = Browser(make_app(run))
    assert len(browser.json("/api/studies/0")["trials"]) == 3
    lines = (run / "journal.log").read_text().splitlines(keepends=True)
    (tmp_path / "fresh").write_text("".join(lines[:-1]).replace('"toy"', '"compacted"'))
    (run / "study.yaml").write_text("name: compacted\n")
    (tmp_path / "fresh").replace(run / "journal.log")
    assert [study["study_name"] for study in browser.json("/api/studies")["study_summaries"]] == ["compacted"]


def test_before_the_search_has_a_study_the_page_waits(made, tmp_path):
    browser = Browser(make_app(tmp_path / "toy", waiting=True))
    status, page = browser("/")
    assert (status, b"The search is starting" in page, b"refresh" in page) == (503, True, True)
    assert browser("/api/studies")[0] == 503
    shutil.copytree(made, tmp_path / "toy")
    assert browser("/")[0] == 200


def test_no_dashboard_without_a_run(tmp_path):
    with pytest.raises(StudyError, match=r"holds no journal\.log"):
        make_app(tmp_path)


def test_the_index_follows_the_file(tmp_path):
    index = RecordIndex(tmp_path)
    assert index.record(0) is None
    for number in range(3):
        append_record(tmp_path / "trials.jsonl", TrialRecord(kind="network", name=f"a-{number}", state="failed",
                                                             trial=number, reason='says "trial": 7'))  # fmt: skip
    assert index.record(1).name == "a-1"
    with (tmp_path / "trials.jsonl").open("a") as file:
        file.write('{"kind": "network", "name": "a-3", "trial": 3')
    assert sorted(index.trials) == [0, 1, 2]
    (tmp_path / "trials.jsonl").unlink()
    append_record(tmp_path / "trials.jsonl", TrialRecord(kind="baseline", name="ridge", state="complete"))
    assert index.trials == {}
    assert index.baseline("ridge").state == "complete"
    assert index.baseline("mean") is None


def test_a_taken_port_and_a_strange_host_are_refused_and_port_0_is_free():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert address_of(first) == f"http://127.0.0.1:{port}/"
        with pytest.raises(StudyError, match=rf"port {port} is taken; choose another one with --port"):
            listen("127.0.0.1", port)
    with pytest.raises(StudyError, match=r"host '192\.0\.2\.1': no server can listen there"):
        listen("192.0.2.1", 0)


def test_what_others_reach_is_warned_of():
    assert warning_of("127.0.0.1", editable=False) == warning_of("localhost", editable=True) == ""
    warning = warning_of("0.0.0.0", editable=True)
    assert "no password" in warning
    assert "change" in warning
    assert socket.gethostname() in warning
    assert "change what" not in warning_of("10.0.0.7", editable=False)
    assert [is_loopback(h) for h in ("::1", "127.3.2.1", "a.localhost", "10.0.0.1", "evil.com")] == [
        True, True, True, False, False
    ]  # fmt: skip
    assert [is_wildcard(h) for h in ("", "0.0.0.0", "::", "127.0.0.1")] == [True, True, True, False]


def test_a_parameter_has_one_importance_here_and_in_the_file(tmp_path):
    from test_parameters import journal

    from automl_pheno.study.parameters import write_parameter_importance

    journal(tmp_path, 40)
    (tmp_path / "study.yaml").write_text("name: cnn\n")
    written = pd.read_csv(write_parameter_importance(tmp_path))
    browser = Browser(make_app(tmp_path))
    (shown,) = browser.json("/api/studies/0/param_importances")["param_importances"]
    assert [(one["name"], one["importance"]) for one in shown] == list(
        written[["path", "importance"]].itertuples(index=False, name=None)
    )
    assert {one["name"]: one["distribution"] for one in shown}["fit.rate"] == "FloatDistribution"
    assert browser("/api/studies/7/param_importances")[0] == 404
