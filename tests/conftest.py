"""What tests share: the paper's release where it is at hand, a small task, and the embedded models."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Machines that run tests are shared: a slow example is no failure.
settings.register_profile("inkfire", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("inkfire")


@pytest.fixture(scope="session")
def release_data() -> Path:
    """The folder with the paper's data release (``inkfire data pull greetings-zh``)."""
    folder = os.environ.get("INKFIRE_RELEASE_DATA")
    if not folder:
        pytest.skip("INKFIRE_RELEASE_DATA does not name the folder of the paper's data release")
    return Path(folder)


# --- embedded models ---------------------------------------------------------------------------------------------
