"""Tasks: folders of data, and the loader that reads them."""
