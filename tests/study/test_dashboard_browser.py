"""The dashboard as people have it: in a browser, beside a search, and gone with it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
from dashboard_run import make_run

import automl_pheno.report.trial_files  # noqa: F401 - registers what a trial has
from automl_pheno.api.dashboard import dashboard_beside
from automl_pheno.errors import StudyError
from automl_pheno.study.dashboard import address_of, listen, make_app
from automl_pheno.study.dashboard.server import make_server

pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_IGNORED = ("WebGL", "GPU stall", "GL Driver")


class Chromium:
    """Loads a page, lets its scripts work, and returns what they made of it."""

    def __init__(self, folder):
        self.folder = folder
        self.errors = []

    def __call__(self, url, *, seconds=15):
        command = [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1600",
            f"--user-data-dir={self.folder / 'profile'}", "--enable-logging=stderr", "--v=0",
            f"--virtual-time-budget={1000 * seconds}", f"--screenshot={self.folder / 'page.png'}", "--dump-dom", url,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        said = re.findall(r"CONSOLE[^\]]*\] (.*)", done.stderr)
        self.errors += [line for line in said if not any(word in line for word in _IGNORED)]
        return done.stdout


@pytest.fixture
def chromium(tmp_path):
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    browser = Chromium(tmp_path)
    (tmp_path / "planted.html").write_text("<script>console.error('planted')</script>")
    browser((tmp_path / "planted.html").as_uri(), seconds=1)
    assert any("planted" in line for line in browser.errors)  # else an error of the dashboard would go unseen, too
    browser.errors.clear()
    return browser


@pytest.fixture
def address(tmp_path):
    with listen("127.0.0.1", 0) as listening:
        server = make_server(make_app(make_run(tmp_path / "toy")), listening)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield address_of(listening).rstrip("/")
        server.shutdown()
        thread.join()


def test_list_history_trial_artifact_note_and_report_in_chromium(chromium, address):
    overview = chromium(f"{address}/")
    assert "The search is finished" in overview
    assert "toy" in chromium(f"{address}/dashboard")
    study = chromium(f"{address}/dashboard/studies/0")
    assert 'class="plot-container' in study
    assert "pearson_r" in study
    assert "Best Trial (number=1)" in study
    trial = chromium(f"{address}/dashboard/studies/0/trials?numbers=1")
    assert "Trial 1 (trial_id=1)" in trial
    for text in ("learning_curve.png", "predicted_observed.png", "configuration.yaml", "best_epoch 3", "weights 20"):
        assert text in trial
    pictures = re.findall(r'<img[^>]+src="(/artifacts/[^"]+)"', trial)
    assert len(pictures) == 2
    for picture in pictures:
        with urllib.request.urlopen(address + picture) as answer:
            assert answer.read(4) == b"\x89PNG"
    note = chromium(f"{address}/dashboard/studies/0/note")
    assert "The network toy-1 is better than ridge: " in note
    link = re.search(r'<a href="([^"]+)"[^>]*>(?:<strong>)?Report', note)
    assert link is not None
    assert "the report" in chromium(address + link[1], seconds=2)
    assert chromium.errors == []


def test_it_serves_beside_and_ends_with_the_block(tmp_path):
    run, said = tmp_path / "toy", []
    with dashboard_beside(run, 0, said.append):
        address = re.search(r"http://\S+/", said[0])[0]
        assert "starting" in _read(address, until=503)
        make_run(run)
        assert "Trials" in _read(address, until=200)
        with (
            listen("127.0.0.1", 0) as other,
            pytest.raises(StudyError, match="is taken"),
            dashboard_beside(run, other.getsockname()[1], said.append),
        ):
            pass
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address)
    assert len(said) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_does_not_outlive_its_search(number, tmp_path):
    run = make_run(tmp_path / "toy")
    code = (
        "import sys, time; from pathlib import Path; from automl_pheno.api.dashboard import dashboard_beside\n"
        "with dashboard_beside(Path(sys.argv[1]), 0, lambda text: print(text, flush=True)): time.sleep(60)"
    )
    search = subprocess.Popen([sys.executable, "-c", code, str(run)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    address = re.search(rb"http://\S+/", search.stdout.readline())[0].decode()
    _read(address, until=200)
    os.kill(search.pid, number)
    search.wait(30)
    search.stdout.close()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(address).close()
        except OSError:  # refused, or reset as it ended
            return
        time.sleep(0.2)
    pytest.fail("the dashboard is still there")


def _read(address, *, until):
    end = time.monotonic() + 40
    while True:
        try:
            with urllib.request.urlopen(address) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read().decode()
        if status == until:
            return text
        assert time.monotonic() < end, (status, text)
        time.sleep(0.2)
