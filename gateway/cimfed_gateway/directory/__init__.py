"""The directory service: the one writer of the directory, and where newcomers and administrators meet.

    tables.py          what it must remember: invitations, requests, spent nonces; its log
    admission.py       newcomers join, partners ask for access
    administration.py  what a registrar's signed request does
    repository.py      the directory's files: what is published, stamped, and how the first of them come
    service.py         the RPCs, and how often nobody in particular may call them
    config.py cli.py   its home, and `cimfed-gateway directory`

Nothing here is believed by others for its own sake. The service can list nobody: it takes what the registrar signed.
"""
