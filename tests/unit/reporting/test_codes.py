"""A page is made anew when its code or its text has changed."""

from cassle.reporting import codes


def test_another_text_is_another_page(tmp_path, monkeypatch):
    before = codes.code_of_page()
    assert codes.code_of_page() == before
    (tmp_path / "page.html").write_text("another text")
    monkeypatch.setattr(codes, "__file__", str(tmp_path / "codes.py"))
    assert codes.code_of_page().split()[0] == before.split()[0]
    assert codes.code_of_page() != before
