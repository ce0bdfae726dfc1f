"""`cimfed-gateway`: its commands, each in a module of its own, which is loaded when the command is typed."""

from __future__ import annotations

from cimfed import program  # noqa: F401  # before what takes long

# isort: split
from cimfed import console, menu

app = menu.program(
    "cimfed-gateway",
    "A gateway: asks the cities that can answer, and brings their answers back.",
    {
        "backup": ("cimfed_gateway.cli_backup:backup", "Writes a backup of this gateway, also while it serves."),
        "restore": ("cimfed_gateway.cli_backup:restore_", "Makes a home out of a backup: whole, or not at all."),
        "doctor": (
            "cimfed_gateway.doctor:doctor",
            "Says what is wrong with this gateway, or will be soon, and what to do. Ends with 1 where anything is an "
            "error.",
        ),
        "init": ("cimfed_gateway.cli_init:init", "Makes the gateway's keys, settings and card."),
        "join": (
            "cimfed_gateway.cli_join:join",
            "Joins a federation: makes the gateway's keys, settings and card, and hands in the card for the "
            "administrator.",
        ),
        "serve": ("cimfed_gateway.cli_serve:serve", "Serves until it is told to end (SIGTERM, Ctrl-C)."),
        "directory": (
            "cimfed_gateway.directory.cli:app",
            "The directory service: publishes the directory, and lets parties join.",
        ),
        "log": ("cimfed_gateway.cli_log:app", "The log: every query that was passed on, signed and checkable."),
        "key": ("cimfed_gateway.cli_key:app", "The gateway's own keys, and others' that it knows."),
    },
)


def main() -> None:
    console.run(app)
