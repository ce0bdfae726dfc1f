"""`cimfed`: the commands of administrators, stewards and partners, each group in its own module, which is loaded when
one of them is typed: an administrator's command need not wait for the client."""

from __future__ import annotations

from cimfed import program  # noqa: F401  # before what takes long

# isort: split
from cimfed import console, menu

app = menu.program(
    "cimfed",
    "Asks a federation of cities, and administers it.",
    {
        "read": ("cimfed.cli.read:read", "Asks for rows of a collection and shows or writes them, verified."),
        "aggregate": (
            "cimfed.cli.aggregate:aggregate",
            "Adds up what all cities say. Unless --require says otherwise, a missing city is an error (7).",
        ),
        "catalog": (
            "cimfed.cli.catalog:catalog",
            "Shows what each city grants to you, and what it lists without granting; files have one row for a "
            "property.",
        ),
        "join": (
            "cimfed.cli.join:join",
            "Joins a federation as a partner: makes keys and a profile, and hands in the card for the administrator.",
        ),
        "doctor": (
            "cimfed.cli.doctor:doctor",
            "Says what is wrong with a profile or an office, or will be soon, and what to do. Ends with 1 where "
            "anything is\nan error.",
        ),
        "audit": ("cimfed.cli.audit:app", "What the logs of the federation say, and whether they are sound."),
        "receipt": ("cimfed.cli.receipt:app", "What proves an answer, without its rows."),
        "profile": ("cimfed.cli.profile:app", "Connection profiles of a partner."),
        "directory": ("cimfed.cli.directory:app", "The signed list of members, gateways and partners."),
        "member": ("cimfed.cli.member:app", "Cities and gateways."),
        "partner": ("cimfed.cli.partner:app", "Partner institutions."),
        "requests": ("cimfed.cli.requests:app", "Who waits to be listed, and who is invited."),
        "revoke": ("cimfed.cli.revoke:app", "Revokes a key or a party: at once, everywhere, for good."),
        "key": ("cimfed.cli.key:app", "Keys: made, shown, given to partners."),
        "access": ("cimfed.cli.access:app", "What partners ask cities to be given."),
        "policy": ("cimfed.cli.policy:app", "A city's access policy: signed by its steward, published in part."),
        "vocabulary": ("cimfed.cli.vocabulary:app", "Collections and properties that the cities have in common."),
    },
)


def main() -> None:
    console.run(app)
