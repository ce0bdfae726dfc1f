"""`cimfed-gateway directory`: the commands of the directory service, each in a module of its own."""

from __future__ import annotations

from cimfed import menu

app = menu.group(
    "The directory service: publishes the directory, and lets parties join.",
    {
        "doctor": (
            "cimfed_gateway.directory.doctor:doctor",
            "Says what is wrong with this directory service, or will be soon, and what to do. Ends with 1 where "
            "anything is\nan error.",
        ),
        "backup": (
            "cimfed_gateway.directory.cli_backup:backup",
            "Writes a backup of this directory service, also while it serves.",
        ),
        "restore": (
            "cimfed_gateway.directory.cli_backup:restore_",
            "Makes a home out of a backup, caught up with what mirrors show: whole, or not at all.",
        ),
        "init": ("cimfed_gateway.directory.cli_init:init", "Makes the service's keys, settings and card."),
        "begin": (
            "cimfed_gateway.directory.cli_init:begin",
            "Publishes the first version of the directory. Later ones are sent to the running service.",
        ),
        "serve": ("cimfed_gateway.directory.cli_serve:serve", "Serves until it is told to end (SIGTERM, Ctrl-C)."),
        "log": ("cimfed_gateway.directory.cli_log:app", "The log: what was published, who was admitted by whom."),
    },
)
