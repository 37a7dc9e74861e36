"""`proofrail completion`: prints the script with which a shell completes the command."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="The shell that you use.")]) -> None:
    """Print the completion script of a shell.

    bash: put `eval "$(proofrail completion bash)"` into ~/.bashrc.
    zsh: the same with zsh, after `compinit`, into ~/.zshrc.
    fish: write the output to ~/.config/fish/completions/proofrail.fish.
    """
    from typer.completion import get_completion_script

    typer.echo(
        get_completion_script(
            prog_name="proofrail", complete_var="_PROOFRAIL_COMPLETE", shell=shell
        )
    )
