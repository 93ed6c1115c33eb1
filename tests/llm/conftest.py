"""The stub endpoint lies one folder up, so that the tests of every room can use it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
