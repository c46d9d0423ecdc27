"""What several test modules need."""

import pytest


@pytest.fixture(scope="session")
def browser_installed():
    """Skip the test where no browser is found."""
    # Imported here: the library's tests run where the packages of the tools are not installed.
    from tools.browser.chromium import find_browser
    from tools.project import BuildError

    try:
        find_browser()
    except BuildError as error:
        pytest.skip(str(error))


@pytest.fixture
def one_thread():
    """Tiny networks and matrices: threads that wait for each other cost more than they give."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
