"""Uploads are validated before anything is stored."""

from typing import Any

import msgspec
import pytest

from outdial.host.deployments.errors import InvalidUpload
from outdial.host.deployments.multipart import FormPart
from outdial.host.deployments.upload import LARGEST, MOST_FILES, FunctionUpload, check_webhook, read_upload
from outdial.host.wire.errors import BadConfig

INDEX = "supabase/functions/hello/index.py"


def metadata(**changes: Any) -> FormPart:
    said = {
        "entrypoint_path": INDEX,
        "import_map_path": "",
        "static_patterns": [],
        "verify_jwt": False,
        "name": "hello",
    }
    return FormPart(name="metadata", content=msgspec.json.encode({**said, **changes}))


def file(path: str = INDEX, content: bytes = b"fetch = 1") -> FormPart:
    return FormPart(name="file", content=content, filename=path)


def read(*parts: FormPart, slug: str = "hello") -> FunctionUpload:
    return read_upload(slug, parts)


def test_accepts_form_fields_in_any_order() -> None:
    shared = file("supabase/functions/shared/error_codes.py")
    first, last = read(metadata(), file(), shared), read(file(), shared, metadata())

    assert first == last
    assert first.files.keys() == {INDEX, "supabase/functions/shared/error_codes.py"}
    assert (first.slug, first.name, first.entrypoint_path, first.verify_jwt) == ("hello", "hello", INDEX, False)
    assert first.config is None


def test_a_file_sent_twice_has_to_be_identical() -> None:
    # supabase/cli, pkg/function/deploy.go, sends an entrypoint that static_files match twice.
    assert read(metadata(), file(), file()) == read(metadata(), file())
    with pytest.raises(InvalidUpload, match="different content"):
        read(metadata(), file(), file(content=b"other"))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "../x.py", "a/../../x.py", "a/./x.py", "a//x.py", "", "a/", "a\\..\\x.py", "a/\0.py", "a/\n.py",
        "a/" + "x" * 256, "/".join("abc" * 100) + "/" + "y" * 250 + "/" + "z" * 250,
    ],
)  # fmt: skip
def test_rejects_paths_outside_the_project(path: str) -> None:
    with pytest.raises(InvalidUpload, match="not a path below"):
        read(metadata(), file(), file(path))
    with pytest.raises(InvalidUpload):
        read(metadata(entrypoint_path=path), file())


@pytest.mark.parametrize("slug", ["", "1a", "a b", "a/b", "..", "shared", "_shared", "a" * 129, "é"])
def test_rejects_invalid_slugs(slug: str) -> None:
    with pytest.raises(InvalidUpload, match="Invalid Function name"):
        read(metadata(), file(), slug=slug)


def test_names_what_is_missing() -> None:
    with pytest.raises(InvalidUpload, match="metadata is missing"):
        read(file())
    with pytest.raises(InvalidUpload, match="not among the uploaded files"):
        read(metadata())
    with pytest.raises(InvalidUpload, match="metadata is not valid"):
        read(FormPart(name="metadata", content=b"{}"), file())


def test_explains_how_to_set_a_python_entrypoint() -> None:
    # What the stock command line assumes of a function without a table in config.toml.
    with pytest.raises(InvalidUpload, match=r'\[functions.hello\].*entrypoint = "./functions/hello/index.py"'):
        read(metadata(entrypoint_path="supabase/functions/hello/index.ts"))


def test_an_entrypoint_needs_its_own_directory() -> None:
    with pytest.raises(InvalidUpload, match="has to be in its own directory"):
        read(metadata(entrypoint_path="index.py"), file("index.py"))


def test_rejects_a_path_that_is_both_file_and_directory() -> None:
    with pytest.raises(InvalidUpload, match="both a file and the directory"):
        read(metadata(), file(), file("supabase/functions/hello"))


def test_limits_bytes_and_files_of_a_bundle() -> None:
    big = b"x" * (LARGEST // 2)
    with pytest.raises(InvalidUpload, match=str(LARGEST)):
        read(metadata(), file(), file("a/1", big), file("a/2", big))
    with pytest.raises(InvalidUpload, match=str(MOST_FILES)):
        read(metadata(), file(), *(file(f"a/{number}") for number in range(MOST_FILES)))


def test_omits_compiled_files() -> None:
    upload = read(metadata(), file(), file("supabase/functions/hello/__pycache__/index.cpython-311.pyc"))

    assert upload.files.keys() == {INDEX}


CONFIG = b'[functions.hello]\nverify_jwt = true\nsecrets = ["STRIPE_*"]\nmemory_mb = 64\nstatic_files = ["x"]\n[api]\n'


def test_an_uploaded_config_toml_configures_the_function_and_is_not_stored() -> None:
    upload = read(metadata(), file(), file("supabase/config.toml", CONFIG + b"port = 1"))

    assert upload.files.keys() == {INDEX}
    assert upload.config == {"secrets": ["STRIPE_*"], "memory_mb": 64}
    assert upload.verify_jwt is False
    assert read(metadata(verify_jwt=None), file(), file("supabase/config.toml", CONFIG)).verify_jwt is True


def test_the_config_of_our_own_client_takes_precedence() -> None:
    upload = read(metadata(config={"memory_mb": 32}), file(), file("supabase/config.toml", CONFIG))

    assert upload.config == {"memory_mb": 32}
    assert upload.files.keys() == {INDEX}


@pytest.mark.parametrize("config", [b"[functions.hello", b"\xff", b"functions = 1", b"functions.hello = 1"])
def test_rejects_an_invalid_config_toml(config: bytes) -> None:
    with pytest.raises(InvalidUpload, match=r"config\.toml"):
        read(metadata(), file(), file("supabase/config.toml", config))


def test_names_an_invalid_limit() -> None:
    with pytest.raises(BadConfig, match=r"functions\.hello\.memory_mb"):
        read(metadata(config={"memory_mb": -1}), file())
    with pytest.raises(InvalidUpload, match="verify_jwt"):
        read(metadata(verify_jwt=None, config={"verify_jwt": "yes"}), file())


def test_the_digest_tells_versions_apart() -> None:
    digests = {
        read(metadata(), file()).digest,
        read(metadata(), file(content=b"other")).digest,
        read(metadata(), file(), file("a/b")).digest,
        read(metadata(config={"memory_mb": 32}), file()).digest,
        read(metadata(verify_jwt=True), file()).digest,
    }

    # Whether tokens are checked is a setting of the gateway, which may change without another version.
    assert len(digests) == 4


def test_rejects_a_webhook_that_would_reject_its_sender() -> None:
    check_webhook("retell-webhook", False)
    check_webhook("webhook-report", True)
    with pytest.raises(
        InvalidUpload, match=r"401 to every event.*verify_jwt = false under \[functions.retell-webhook\]"
    ):
        check_webhook("retell-webhook", True)
