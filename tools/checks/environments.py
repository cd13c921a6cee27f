"""Virtual environments of what the checks compare edet with: made once, and anew for others."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from collections.abc import Sequence

from edet.errors import UserError


def make_environment(
    folder: str | pathlib.Path, packages: Sequence[str], alone: Sequence[str] = ()
) -> str:
    """Installs packages in an environment of their own, unless it has just these already.

    Args:
      folder: of the environment; "~" is expanded.
      packages: as pip takes them, each with its version.
      alone: further ones, of whose dependencies none is installed.

    Returns:
      The path of its Python; that of this process, where no package is wanted.

    Raises:
      UserError: pip or venv has failed.
    """
    wanted = "\n".join([*packages, *alone])
    if not wanted:
        return sys.executable
    folder = pathlib.Path(folder).expanduser().absolute()
    python, ready = str(folder / "bin" / "python"), folder / "ready"
    if not ready.exists() or ready.read_text() != wanted:
        print(f"installing {', '.join([*packages, *alone])} in {folder}")
        commands = [[sys.executable, "-m", "venv", "--clear", str(folder)]]
        for names in (packages, ["--no-deps", *alone] if alone else ()):
            if names:
                commands.append([python, "-m", "pip", "install", "--quiet", *names])
        for command in commands:
            if subprocess.run(command).returncode:
                raise UserError(f"cannot make the environment {folder}; pip's message is above.")
        ready.write_text(wanted)
    return python
