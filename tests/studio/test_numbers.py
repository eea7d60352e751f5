"""The health of caller numbers in the API and on its page."""

from tests.studio.conftest import Studio
