"""Runs that a page starts: processes of their own, each with a folder, found again by it.

    request.json   what was asked for: the command, its file, and when
    lock           held by the process as long as it lives; the system frees it however it ends
    started.json   when its turn came, and which process runs
    events.jsonl   what happens, as `--events` writes it
    log.txt        what the command prints
    ended.json     its exit status

One runs at a time; the others wait for those that were asked for before them. The page may end meanwhile.
"""
