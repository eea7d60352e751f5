"""The commands that run processes: `dev`, `demo`, `dialer`, `simulator`."""

import asyncio
from typing import Annotated, Literal

import typer

from outdial.cli.output import AsJson, print_json, print_pairs
from outdial.log import log_to_stderr
from outdial.settings import secret_list
from outdial.stack.config import SIMULATOR_PORT
from outdial.stack.local import LOCAL_WEBHOOK_SECRET, SIMULATOR_KEY, environment

Speed = Annotated[float, typer.Option(min=0.001, help="Simulated seconds in a real one.")]
Seed = Annotated[int, typer.Option(help="Decides how each simulated call goes.")]
Concurrency = Annotated[int, typer.Option(min=0, help="Calls at once that the simulated workspace allows.")]
CallsPerSecond = Annotated[float, typer.Option(min=0.001, help="Starts per second that it allows.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command()(dev)
    app.command()(demo)
    app.command()(dialer)
    app.command()(simulator)


def dev(
    with_simulator: Annotated[
        bool,
        typer.Option(
            "--simulator/--no-simulator", help="Simulate Retell. Without RETELL_API_KEY there is nothing else to call."
        ),
    ] = True,
    with_studio: Annotated[
        bool,
        typer.Option(
            "--studio/--no-studio",
            help="Serve the studio and do its jobs, with a user and an organization to begin with.",
        ),
    ] = True,
    dialers: Annotated[int, typer.Option(min=0, max=16, help="How many dialers.")] = 1,
    ports: Annotated[
        Literal["default", "auto"],
        typer.Option(envvar="OUTDIAL_PORTS", help="Supabase's local ports, or any that are free."),
    ] = "default",
    speed: Speed = 1.0,
    seed: Seed = 0,
    concurrency: Concurrency = 20,
    calls_per_second: CallsPerSecond = 1.0,
) -> None:
    """Run the whole local stack in this terminal until Ctrl-C.

    Postgres with its migrations, the functions, the studio, the dialer, and, while RETELL_API_KEY is unset, a simulated
    Retell. The first start makes a user for the studio, and prints their password.
    OUTDIAL_HOME names the directory that all of it lives in; other commands find the stack by it.
    """
    from outdial.campaigns.create import NewOrganization
    from outdial.stack.dev import Wanted, run_stack

    simulator_options = [
        f"--speed={speed}",
        f"--seed={seed}",
        f"--concurrency={concurrency}",
        f"--calls-per-second={calls_per_second}",
    ]
    first = NewOrganization("Demo", concurrency_limit=concurrency, calls_per_second=calls_per_second)
    wanted = Wanted(with_simulator, dialers, ports == "auto", simulator_options, with_studio, first)
    raise typer.Exit(asyncio.run(run_stack(wanted)))


def demo(
    contacts: Annotated[int, typer.Option(min=100, max=5_000, help="Rows of the contact file.")] = 300,
    seed: Seed = 7,
    as_json: AsJson = False,
) -> None:
    """Run a campaign from draft to completed against a simulated Retell that fails, and check what came of it.

    Everything lives in a directory of its own that is removed afterwards. The exit status is 0 when every check holds.
    """
    from outdial.promises.demo import run_demo

    raise typer.Exit(asyncio.run(run_demo(contacts, seed, as_json=as_json)))


def dialer(
    once: Annotated[bool, typer.Option("--once", help="Do what is due now, and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Dial: claim due contacts, place their calls, ask about silent ones, until SIGINT or SIGTERM.

    Any number of dialers may run at once. On a signal, nothing more is claimed and the requests under way come home.
    """
    import uvloop

    from outdial.dialer.main import dial_once, run_dialer

    log_to_stderr()
    with environment(for_calls=True) as env:
        if not once:
            uvloop.run(run_dialer(env))
            return
        done = uvloop.run(dial_once(env))
    if as_json:
        print_json(done)
    else:
        print_pairs(done)


def simulator(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = (
        SIMULATOR_PORT
    ),
    speed: Speed = 1.0,
    seed: Seed = 0,
    concurrency: Concurrency = 20,
    calls_per_second: CallsPerSecond = 1.0,
    webhook_url: Annotated[str | None, typer.Option(help="Where events go; none are sent without it.")] = None,
    webhook_secret: Annotated[
        str, typer.Option(envvar="RETELL_WEBHOOK_SECRET", help="Signs the events.", show_default=False)
    ] = LOCAL_WEBHOOK_SECRET,
    api_key: Annotated[
        str, typer.Option(envvar="RETELL_API_KEY", help="What callers must present.", show_default=False)
    ] = SIMULATOR_KEY,
) -> None:
    """Run a Retell of our own until SIGINT or SIGTERM: its API, its webhooks, faults on demand, and a ledger.

    GET /_sim/magic lists the numbers that force an outcome; its controls are /_sim/faults, /_sim/ledger, /_sim/state.
    """
    import uvloop

    from outdial.retell.simulator import SimulatorConfig
    from outdial.stack.simulator import simulate

    config = SimulatorConfig(
        api_keys=(api_key,),
        webhook_url=webhook_url,
        webhook_key=secret_list(webhook_secret)[0],
        seed=seed,
        speed=speed,
        concurrency_limit=concurrency,
        calls_per_second=calls_per_second,
    )
    uvloop.run(simulate(config, port))
