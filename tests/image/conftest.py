"""The image of the bridge, which several modules use."""

import pytest

from tests.image.container import BUILD_ARGUMENTS, Image
from tests.servers import ROOT


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Build the image of the bridge, with the arguments of a release."""
    return Image(ROOT / "Dockerfile", tmp_path_factory.mktemp("image"), BUILD_ARGUMENTS)
