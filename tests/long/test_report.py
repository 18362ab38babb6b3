"""The report in a real browser."""

from pathlib import Path

import pytest

from tests.long.browser import browser, faults
from tests.unit.reporting.test_page import write_all

ORDER = "[...document.querySelectorAll('.sortable tbody tr')].map(row => row.cells[2].textContent)"
CLICK = "document.querySelectorAll('.sortable th button')[2].click()"


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_all(folder)
    return folder / "report.html"


def test_it_opens_from_disk_without_a_fault_on_a_desk_and_on_a_phone(chromium, report):
    assert faults(chromium, report) == []
    assert chromium.value("document.images.length") == 1


def test_a_head_sorts_its_column_up_then_down_by_number(chromium, report):
    chromium.open(report)
    assert chromium.value(ORDER) == ["15.0", "70.0", "78.0", "93.0"]
    chromium.value(CLICK)
    assert chromium.value(ORDER) == ["15.0", "70.0", "78.0", "93.0"]
    chromium.value(CLICK)
    assert chromium.value(ORDER) == ["93.0", "78.0", "70.0", "15.0"]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<script>nothing.there()</script>", "nothing is not defined"),
        ("<script>console.error('oh')</script>", "console: ['oh']"),
        ('<img src="none.png" alt="none">', "image not loaded: none"),
        ('<img src="http://127.0.0.1:9/a.png">', "asks for http://127.0.0.1:9/a.png"),
        ('<p style="width: 2000px">wide</p>', "pixels wide on a phone"),
    ],
)
def test_the_look_itself_finds_what_is_wrong(chromium, tmp_path, body, fault):
    page = Path(tmp_path / "page.html")
    head = '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
    page.write_text(f"<!doctype html><html><head>{head}</head><body>{body}</body></html>")
    assert any(fault in found for found in faults(chromium, page)), faults(chromium, page)
