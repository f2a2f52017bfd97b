#!/bin/sh
# Runs a unit test for the TAP harness. cmocka 1.1 prints a skipped test as "not ok", which TAP knows as a failure.
exec 4>&1
status=$({ { "$@" 3>&-; echo $? >&3; } | sed -u 's/^not ok \([0-9]* # SKIP\)/ok \1/' >&4; } 3>&1)
exit "$status"
