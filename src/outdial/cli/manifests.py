"""`outdial functions manifests`: what a cluster needs, written from the config.toml that a single host reads."""

import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from outdial.cli.errors import NoSuchThing
from outdial.cli.output import notes
from outdial.db.migrate import supabase_dir
from outdial.stack.config import read_config


def write_manifests(
    target: Annotated[
        Literal["knative", "kubernetes"],
        typer.Option(help="Functions become Services of Knative, or Deployments."),
    ],
    out: Annotated[str, typer.Option(help="Directory to write a file per part into; - prints them all.")] = "-",
    image: Annotated[
        str | None, typer.Option(help="The image that the Dockerfile makes; outdial:<version> without it.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Namespace of every object; outdial without it, outdial-<name> with --env.")
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(help="An environment of supabase/config.toml, to label every object with."),
    ] = None,
) -> None:
    """Write manifests for the functions of supabase/functions, the gateway and the dialer.

    Limits, scale and secrets are those of config.toml. Secrets are referred to by name and key, never written: the head
    of each file tells which ones must be there. Apply with: kubectl apply -f DIR
    """
    from outdial.host.deployments.source import read_source_tree
    from outdial.host.manifests import ClusterTarget, manifests, to_yaml

    if env is not None and env not in read_config(supabase_dir()).get("environments", {}):
        raise NoSuchThing(f"there is no environment {env!r} in supabase/config.toml")
    image = image or f"outdial:{version('outdial')}"
    namespace = namespace or (f"outdial-{env}" if env else "outdial")
    with_studio = find_spec("outdial.studio") is not None
    source = read_source_tree(supabase_dir())
    functions = {slug: source.config(slug) for slug in source.bundles}
    files = manifests(functions, ClusterTarget(target, image, namespace, env, with_studio=with_studio))

    options = ["--target", target, "--image", image, "--namespace", namespace, *(["--env", env] if env else [])]
    made_by = shlex.join(["outdial", "functions", "manifests", *options])
    texts = {f"{file.name}.yaml": to_yaml(file.objects, [f"Made by: {made_by}", *file.notes]) for file in files}
    if out == "-":
        sys.stdout.write("".join(texts.values()))
    else:
        _write(Path(out), texts)


def _write(directory: Path, texts: Mapping[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name).write_text(text)
        notes.print(f"Wrote {directory / name}", markup=False)
