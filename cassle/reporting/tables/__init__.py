"""Tables as Markdown, CSV, LaTeX and HTML."""
