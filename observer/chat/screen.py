"""The terminal: lines that come in while somebody is typing."""

import io
import readline
import sys
from collections.abc import Iterator

import click

PROMPT = "> "
_CLEAR_LINE = "\r\033[K"
_CLEAR_LINE_ABOVE = "\033[1A\r\033[K"


class Screen:
    """Standard input and output of a chat. With a person at it: a prompt, which incoming lines leave in place."""

    def __init__(self) -> None:
        self.is_interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self._is_prompting = False
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")  # whatever bytes are piped in, the rest of them is sent

    def show(self, line: str) -> None:
        """A message."""
        if self._is_prompting:
            click.echo(f"{_CLEAR_LINE}{line}\n{PROMPT}{readline.get_line_buffer()}", nl=False)
        else:
            click.echo(line)

    def note(self, line: str) -> None:
        """A word about the chat itself; not part of it."""
        if self.is_interactive:
            self.show(f"-- {line}")
        else:
            click.echo(line, err=True)

    def lines(self) -> Iterator[str]:
        """What is typed or piped in, without empty lines, until it ends."""
        lines = self._typed() if self.is_interactive else (line.rstrip("\n") for line in sys.stdin)
        return (line for line in lines if line.strip())

    def _typed(self) -> Iterator[str]:
        while True:
            self._is_prompting = True
            try:
                line = input(PROMPT)
            except EOFError:
                click.echo()
                return
            finally:
                self._is_prompting = False
            click.echo(_CLEAR_LINE_ABOVE, nl=False)  # it comes back with a mark when it is accepted
            yield line
