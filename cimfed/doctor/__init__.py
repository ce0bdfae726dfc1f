"""What is wrong with an installation, or will be soon: ``doctor`` of nodes, gateways, directory services and profiles.

    finding.py   a finding, its code, and how a run of checks ends
    clocks.py    facts to findings: the clock
    listed.py    the directory, and how it lists the party whose home this is
    peers.py     others: reached or not, and which directory each has
    homes.py     keys, certificates, disk, database, log, versions, backups
    ask.py       asks others, all at once and never for long
    look.py      looks into a home

The last two do I/O and give facts; the others take facts and a time and give findings. Nothing is changed anywhere:
not a file of the home, not the directory's copy in it.
"""
