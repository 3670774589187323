"""Parts of fill-mask: rows and their candidates, searches of several steps, and the texts of the answer."""
