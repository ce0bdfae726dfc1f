"""The directory: who is a member, which keys are valid, where the policies' versions stand.

It is a repository of The Update Framework (theupdateframework.github.io/specification), made and followed with
``python-tuf``. The way of a fact through this package:

    listing.py       the values: parties, their keys, what was revoked; ``Directory``, the verified whole
    edit.py          a change is a function from a listing to a listing
    documents.py     listings as the target files that metadata vouches for, and back
    layout.py        the roles, who delegates what to whom, the names of files, how long each lives
    tufkeys.py       our keys as the framework's
    publication.py   the next version of a role, drafted and signed where its keys are
    acceptance.py    what the directory service takes: validly signed, exactly one version on
    proof.py         files and a trusted root to a ``Directory``: the only way there
    mirrors.py       where files come from: servers, folders
    follow.py        keeping up with the service and its mirrors: the only state on disk

Everything but the last two takes bytes and a time.
"""
