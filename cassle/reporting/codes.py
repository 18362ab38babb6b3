"""What a page was made by, beside its data: a change of it makes the page anew."""

from pathlib import Path

from cassle.core.files import fingerprint
from cassle.core.provenance import code_of


def code_of_page() -> str:
    """Return fingerprints of the code and of the text that a report is made of, without importing either."""
    return f"{code_of('cassle.reporting.page')} {fingerprint(Path(__file__).with_name('page.html').read_text())}"
