"""The user's page on the images: the page's own tests, collected here with containers as their hosts."""

import pytest

from seed.test_page import (
    page,
    test_a_session_is_deleted_once_its_ttl_has_passed,
    test_aset_ttl_stays_with_the_document_when_it_is_refreshed,
    test_by_default_reading_saving_and_every_atomic_operation_reset_the_ttl,
    test_every_block_of_the_page_runs_as_written_in_its_order,
    test_without_refresh_the_initial_ttl_is_set_and_never_moves,
)

pytestmark = pytest.mark.shipping

__all__ = [
    "page",
    "test_a_session_is_deleted_once_its_ttl_has_passed",
    "test_aset_ttl_stays_with_the_document_when_it_is_refreshed",
    "test_by_default_reading_saving_and_every_atomic_operation_reset_the_ttl",
    "test_every_block_of_the_page_runs_as_written_in_its_order",
    "test_without_refresh_the_initial_ttl_is_set_and_never_moves",
]
