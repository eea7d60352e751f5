"""The commands that run processes: `dev`, `demo`, `dialer`, `simulator`."""

import asyncio
from typing import Annotated, Literal

import typer

from outdial.cli.output import AsJson, console, print_json, print_pairs
from outdial.log import log_to_stderr
from outdial.settings import signing_secret
from outdial.stack.config import SIMULATOR_PORT
from outdial.stack.local import LOCAL_WEBHOOK_SECRET, SIMULATOR_KEY, environment

Speed = Annotated[float, typer.Option(min=0.001, help="Simulated seconds per real second.")]
StackSpeed = Annotated[
    float, typer.Option(min=0.001, help="Simulated seconds per real second, for calls and for the delays of retries.")
]
Seed = Annotated[int, typer.Option(help="Seed of the simulated calls' outcomes.")]
SimulatorSeed = Annotated[
    int | None, typer.Option(help="Repeat the outcomes and call ids of this seed (default: new call ids every time).")
]
Concurrency = Annotated[int, typer.Option(min=0, help="Concurrency limit of the simulated workspace.")]
CallsPerSecond = Annotated[float, typer.Option(min=0.001, help="Calls-per-second limit of the simulated workspace.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command()(dev)
    app.command()(demo)
    app.command()(dialer)
    app.command()(simulator)


def dev(
    with_simulator: Annotated[
        bool,
        typer.Option("--simulator/--no-simulator", help="Run a simulated Retell, unless RETELL_API_KEY is set."),
    ] = True,
    with_studio: Annotated[
        bool,
        typer.Option(
            "--studio/--no-studio",
            help="Run the studio and its background jobs, with a first user and organization.",
        ),
    ] = True,
    dialers: Annotated[int, typer.Option(min=0, max=16, help="Number of dialer processes.")] = 1,
    ports: Annotated[
        Literal["default", "auto"],
        typer.Option(envvar="OUTDIAL_PORTS", help="Supabase's local ports, or any free ports."),
    ] = "default",
    speed: StackSpeed = 1.0,
    seed: SimulatorSeed = None,
    concurrency: Concurrency = 20,
    calls_per_second: CallsPerSecond = 1.0,
) -> None:
    """Run the local stack in this terminal until Ctrl-C.

    The stack consists of a migrated Postgres, the functions, the studio, the dialer and, unless RETELL_API_KEY is set,
    a simulated Retell. The first start creates a studio user and prints the password. All data is in the directory
    OUTDIAL_HOME, where other commands find the stack.
    """
    from outdial.campaigns.create import NewOrganization
    from outdial.cli.dev import TerminalConsole
    from outdial.stack.dev import StackOptions, run_stack

    simulator_options = [
        f"--speed={speed}",
        f"--concurrency={concurrency}",
        f"--calls-per-second={calls_per_second}",
        "--live-transcripts",
    ]
    simulator_options += [f"--seed={seed}"] if seed is not None else []
    first = NewOrganization("Demo", concurrency_limit=concurrency, calls_per_second=calls_per_second)
    options = StackOptions(
        with_simulator=with_simulator,
        dialers=dialers,
        any_ports=ports == "auto",
        simulator_options=simulator_options,
        speed=speed,
        with_studio=with_studio,
        first_organization=first,
    )
    raise typer.Exit(asyncio.run(run_stack(options, TerminalConsole())))


def demo(
    contacts: Annotated[int, typer.Option(min=100, max=5_000, help="Rows in the contact file.")] = 300,
    seed: Seed = 7,
    as_json: AsJson = False,
) -> None:
    """Run a campaign against a simulated Retell that injects faults, then check that every promise holds.

    It also shows callbacks, a caller number that rests because it is marked as spam, a budget, and a forecast beside
    what happened. The demo runs in a temporary directory and removes it afterwards. The exit status is 0 when every
    promise holds.
    """
    from outdial.cli.demo import run_and_print_demo

    raise typer.Exit(asyncio.run(run_and_print_demo(contacts, seed, as_json=as_json)))


def dialer(
    once: Annotated[bool, typer.Option("--once", help="Process what is due now, then exit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a dialer until SIGINT or SIGTERM: claim due contacts, place their calls, and look up silent calls.

    Run as many dialers as you like. On a signal, a dialer stops claiming and finishes its requests.
    """
    import uvloop

    from outdial.dialer.main import dial_once, run_dialer
    from outdial.settings import DialerProcessSettings

    log_to_stderr()
    with environment(for_calls=True) as env:
        settings = DialerProcessSettings.from_env(env)
        if not once:
            uvloop.run(run_dialer(settings))
            return
        done = uvloop.run(dial_once(settings))
    if as_json:
        print_json(done)
    else:
        print_pairs(done)


def simulator(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 picks a free one.")] = (
        SIMULATOR_PORT
    ),
    speed: Speed = 1.0,
    seed: SimulatorSeed = None,
    concurrency: Concurrency = 20,
    calls_per_second: CallsPerSecond = 1.0,
    live_transcripts: Annotated[
        bool,
        typer.Option(
            "--live-transcripts", help="Send the transcript of live calls, also for agents without webhook_events."
        ),
    ] = False,
    webhook_url: Annotated[str | None, typer.Option(help="URL for webhook events (default: send none).")] = None,
    webhook_secret: Annotated[
        str, typer.Option(envvar="RETELL_WEBHOOK_SECRET", help="Key that signs the events.", show_default=False)
    ] = LOCAL_WEBHOOK_SECRET,
    api_key: Annotated[
        str, typer.Option(envvar="RETELL_API_KEY", help="API key that callers must present.", show_default=False)
    ] = SIMULATOR_KEY,
) -> None:
    """Run a simulated Retell until SIGINT or SIGTERM, with its API, webhooks, injectable faults and a ledger.

    GET /_sim/magic lists the phone numbers that force an outcome. The controls are /_sim/faults, /_sim/ledger and
    /_sim/state.
    """
    import uvloop

    from outdial.retell.simulator import SimulatorConfig
    from outdial.stack.simulator import run_simulator

    config = SimulatorConfig(
        api_keys=(api_key,),
        webhook_url=webhook_url,
        webhook_key=signing_secret(webhook_secret, "RETELL_WEBHOOK_SECRET"),
        seed=seed,
        speed=speed,
        concurrency_limit=concurrency,
        calls_per_second=calls_per_second,
        live_transcripts=live_transcripts,
    )
    uvloop.run(run_simulator(config, port, lambda url: console.print(f"Simulated Retell: {url}")))
