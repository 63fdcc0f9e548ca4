#!/bin/sh
# A plugin in a shell: refunds one order, with a credential for each call and none afterwards.
#
#   export LOCUM_ADDR=… LOCUM_CA_FILE=… LOCUM_CERT_FILE=… LOCUM_KEY_FILE=…   # the plugin's own
#   ORDERS_ADDR=127.0.0.1:8080 sh examples/plugin.sh 1881
#
# What to copy from here:
#
# 1. The task is ended however the script is left, with the truth about how it came out. A script that is
#    killed leaves a task that lapses with its lease; work that takes longer than the lease has
#    `locum task hold "$task" &` beside it.
# 2. A token goes from one program into the other through a pipe: never into a variable, an argument or a log.
# 3. For a program that knows nothing of Locum there is `locum exec`, which does all of this around it.
set -eu

order=${1:-1881}
resource=order/$order

task=$(locum task start refund-order --lease 5m --justification 'the customer sent it back' \
  --scope "orders:read=$resource" --scope "orders:refund=$resource")
echo "$task started"

outcome=failed
end() {
  locum task end "$task" --outcome "$outcome" >/dev/null && echo "$task ended"
}
trap end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

call() { # operation method path: a token for this one call, used at once
  locum token request "$task" orders --scope "$1=$resource" -o header |
    curl -sS --fail -X "$2" -H @- "http://$ORDERS_ADDR$3"
  echo
}
call orders:read GET "/orders/$order"
call orders:refund POST "/orders/$order/refund"
outcome=completed
