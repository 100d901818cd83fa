#!/usr/bin/env bash
# The champion's version and KL; exit 1 where there is none or hms doctor finds something wrong.
#     docs/champion.sh [PROJECT]
set -euo pipefail
cd "${1:-.}"
hms models --json | python -c '
import json, sys
champion = [v for v in json.load(sys.stdin) if "champion" in v["aliases"]]
if not champion:
    sys.exit("no champion")
print("champion {version}: KL {kl}".format(**champion[0]))
'
hms doctor --json | python -c '
import json, sys
wrong = [found["what"] for found in json.load(sys.stdin) if found["state"] == "wrong"]
sys.exit(", ".join(wrong) if wrong else 0)
'
