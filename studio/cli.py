"""The `mien` command: each subcommand lies in its own file and loads what it needs when it is called."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from db.errors import StoreError
from models.errors import MienError
from studio.commands import data, evaluate, gallery, labels, weights
from studio.commands.bench import bench
from studio.commands.embed import embed
from studio.commands.finetune import finetune
from studio.commands.mesh import mesh
from studio.commands.parity import parity
from studio.commands.reenact import reenact
from studio.commands.serve import serve
from studio.commands.simulate import simulate
from studio.commands.train import train
from studio.commands.unmask import unmask
from studio.settings import WrongSetting


class MienGroup(TyperGroup):
    """Shows errors that explain themselves without a stack trace."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand; what it cannot do is said on stderr, and the exit status is 1."""
        try:
            return super().invoke(ctx)
        except (MienError, StoreError, WrongSetting) as error:
            console = Console(stderr=True, soft_wrap=True)
            console.print(f"[bold red]{type(error).__name__}[/]: ", end="", highlight=False)
            console.print(str(error), markup=False, highlight=False)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=MienGroup,
    help="Mien: a studio for facial expression.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(serve)
app.command()(embed)
app.command()(mesh)
app.command()(reenact)
app.command()(unmask)
app.command()(train)
app.command()(bench)
app.command()(parity)
app.command()(finetune)
app.command()(simulate)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")
app.add_typer(gallery.app, name="gallery")
app.add_typer(labels.app, name="labels")
