"""`cimfed-node`: its commands, each in a module of its own, which is loaded when the command is typed."""

from __future__ import annotations

from cimfed import program  # noqa: F401  # before what takes long

# isort: split
from cimfed import console, menu

app = menu.program(
    "cimfed-node",
    "A member city's node: its data, served under its signed access policy.",
    {
        "init": ("cimfed_node.cli_init:init", "Makes the node's keys, settings and card."),
        "join": (
            "cimfed_node.cli_join:join",
            "Joins a federation: makes the node's keys, settings and card, and hands in the card for the "
            "administrator.",
        ),
        "import": (
            "cimfed_node.cli_import:import_",
            "Imports files, or a table in place, as a collection's new snapshot, and rebuilds the active policy's "
            "views.",
        ),
        "backup": ("cimfed_node.cli_backup:backup", "Writes a backup of this node, also while it serves."),
        "restore": ("cimfed_node.cli_backup:restore_", "Makes a home out of a backup: whole, or not at all."),
        "doctor": (
            "cimfed_node.doctor:doctor",
            "Says what is wrong with this node, or will be soon, and what to do. Ends with 1 where anything is an "
            "error.",
        ),
        "block": (
            "cimfed_node.cli_block:block",
            "Answers a key, a partner, a gateway or everybody no more, whatever the policy gives: at once.",
        ),
        "unblock": ("cimfed_node.cli_block:unblock", "Lifts a block."),
        "blocks": ("cimfed_node.cli_block:list_blocks", "Shows who is blocked here, the last one first."),
        "activate": (
            "cimfed_node.cli_activate:activate",
            "Puts a signed policy in force, and publishes the *.routing.json beside it. It does not ask: the "
            "steward's\nsignature is the word that counts.",
        ),
        "collections": (
            "cimfed_node.cli_collections:collections",
            "Shows what this node holds and what its policy gives.",
        ),
        "serve": ("cimfed_node.cli_serve:serve", "Serves until it is told to end (SIGTERM, Ctrl-C)."),
        "key": ("cimfed_node.cli_key:app", "The node's own keys, and others' that it knows."),
        "snapshots": (
            "cimfed_node.cli_snapshots:app",
            "The snapshots on this node's disk: see them, go back, clear away.",
        ),
        "postgis": ("cimfed_node.cli_in_place:app", "The city's own PostgreSQL with PostGIS, where views can lie."),
        "log": ("cimfed_node.cli_log:app", "The log: every decision, outcome and act, signed and checkable."),
    },
)


def main() -> None:
    console.run(app)
