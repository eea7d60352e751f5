"""Bundles are unpacked completely or not at all, and stay unchanged."""

import asyncio
import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from outdial.clock import SystemClock
from outdial.host.deployments.bundle_cache import BundleCache
from outdial.host.deployments.errors import InvalidUpload

DIGEST = "0123456789abcdef" * 4
INDEX = "supabase/functions/hello/index.py"
FILES = {INDEX: b"fetch = 1", "supabase/functions/shared/error_codes.py": b"", "data.bin": bytes(range(256))}


async def test_unpacks_a_bundle_below_its_slug_version_and_digest(tmp_path: Path) -> None:
    shelf = BundleCache(tmp_path / "bundles")
    assert shelf.find("hello", 3, DIGEST, INDEX) is None

    bundle = await shelf.put("hello", 3, DIGEST, INDEX, FILES)

    assert bundle.root == tmp_path / "bundles" / "hello" / "3-0123456789abcdef"
    assert {str(p.relative_to(bundle.root)): p.read_bytes() for p in bundle.root.rglob("*") if p.is_file()} == FILES
    assert bundle.index.read_bytes() == b"fetch = 1"
    assert (bundle.shared / "error_codes.py").is_file()
    assert shelf.find("hello", 3, DIGEST, INDEX) == bundle
    assert [path.name for path in (tmp_path / "bundles" / "hello").iterdir()] == ["3-0123456789abcdef"]


async def test_a_bundle_is_readable_by_all_users_and_read_only(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        bundle = await BundleCache(tmp_path / "bundles").put("hello", 1, DIGEST, INDEX, FILES)
    finally:
        os.umask(before)

    for passage in (tmp_path / "bundles", tmp_path / "bundles" / "hello"):
        assert stat.S_IMODE(passage.stat().st_mode) == 0o755
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [bundle.root, *bundle.root.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o555}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o444}


async def test_concurrent_unpacking_leaves_one_bundle(tmp_path: Path) -> None:
    shelf = BundleCache(tmp_path)
    bundles = await asyncio.gather(*(shelf.put("hello", 1, DIGEST, INDEX, FILES) for _ in range(8)))

    assert len(set(bundles)) == 1
    assert len(list((tmp_path / "hello").iterdir())) == 1


async def test_a_failed_unpacking_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidUpload):
        await BundleCache(tmp_path).put("hello", 1, DIGEST, INDEX, {**FILES, "../outside.py": b""})

    assert list((tmp_path / "hello").iterdir()) == []
    assert not (tmp_path / "hello").with_name("outside.py").exists()


async def test_clears_old_bundles_except_those_in_service(tmp_path: Path) -> None:
    shelf, now = BundleCache(tmp_path), SystemClock().now()
    served, old, fresh = [await shelf.put("hello", number, DIGEST, INDEX, FILES) for number in (1, 2, 3)]
    long_ago = (now - timedelta(hours=2)).timestamp()
    for bundle in (served, old):
        os.utime(bundle.root, (long_ago, long_ago))

    shelf.clear([served], now - timedelta(hours=1))

    assert (served.root.is_dir(), old.root.exists(), fresh.root.is_dir()) == (True, False, True)
