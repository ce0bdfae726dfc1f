"""What a node that came back from a backup holds itself to, so that what it forgot harms nobody.

1. A query that was signed before the return, by whatever clock the wire lets pass, is refused: its nonce may have been
   spent in the life that is forgotten.
2. Until a policy is activated in the new life, the one from the backup gives nothing once the directory names another
   one: a policy that was drawn back must not come alive again. Where the directory still names an older one, or none,
   nothing speaks against the backup's.
3. It does not begin to serve before the views of its grants stand again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from cimfed.errors import BadConfig, ExpiredQuery, PolicyBehind
from cimfed.model.limits import LIMITS
from cimfed.model.routing import RoutingEntry
from cimfed.policy.payload import salted_hash
from cimfed_node.policies import SignedPolicy
from cimfed_node.tables.publication import ActiveGrant, ActivePolicy

TOLERANCE = int(LIMITS.clock_tolerance * 1_000_000)  # the widest that any settings had before


def check_issued(issued: int, restored: int) -> None:
    """ExpiredQuery for a query that may have been answered before the return. Times in microseconds."""
    if restored and issued <= restored + TOLERANCE:
        raise ExpiredQuery("the query was signed before this node came back from a backup", remedy="Ask again")


def check_policy(active: ActivePolicy, restored: int, listed: RoutingEntry | None, signed: SignedPolicy | None) -> None:
    """PolicyBehind where the directory names another policy than the backup's, of its version or a later one.

    ``signed``: the active one, None where it cannot be read: nothing is granted then.
    """
    if not restored or active.activated > restored or listed is None or signed is None:
        return
    if listed.version < active.version:
        return
    if listed.policy_hash != salted_hash(signed.policy, signed.envelope.payload):
        raise PolicyBehind(
            f"this node came back from a backup with version {active.version} of the policy, the directory names "
            f"version {listed.version}",
            remedy="The operator must activate the steward's current policy",
        )


def check_views(grants: Iterable[ActiveGrant], snapshots: Container[str]) -> None:
    """BadConfig where a grant has no view of data that is here."""
    for grant in grants:
        if not grant.view and grant.collection in snapshots:
            raise BadConfig(
                f"the view of {grant.grant} was not built since this node came back from a backup",
                remedy="Activate the policy in force again, or a newer one: cimfed-node activate",
            )
