"""What several test modules need."""

import pytest

from tools.browser.chromium import find_browser
from tools.project import BuildError


@pytest.fixture(scope="session")
def browser_installed():
    """Skip the test where no browser is found."""
    try:
        find_browser()
    except BuildError as error:
        pytest.skip(str(error))
