#!/usr/bin/env bash
# Fits the rows of a day, and if the model is good enough, labels them and publishes both.
#
# Start:   nightly.sh [DAY [STEP...]]      by default yesterday (UTC) and fit gate predict publish;
#          systemd (daskgmm-nightly.timer), cron (daskgmm.cron) and Airflow (airflow_dag.py) do.
#          STEPS="refresh gate predict publish" keeps a chain of updates instead: see below
# Edits:   VENV, where daskgmm is installed, and DATA and RESULTS, folders or URLs; they can be
#          given in the environment, as the credentials of stores are. The model: nightly.toml
# Start of a fit: the model of the last accepted night, so that component 3 is the same one tomorrow.
#          START=RUN takes another, START=none has the fit find its own: once the number of
#          components or the columns have changed, or if the optimum of another start may be better
# The step refresh updates the model of the last accepted night with the day's rows, in one pass, and
#          keeps it where they fit about as well as earlier ones ([update] in nightly.toml). Where
#          they have drifted, or no night was accepted before, it fits a model to the day's rows anew.
#          Its components are brought in the order of the last accepted night's.
# Rows that came late: FORCE=yes makes a day again whose rows are others now (73 says so). Its model is
#          made in again/DAY. Once it is good enough and the labels are written, predict puts both in
#          place of what is there; where a step fails before, all stays as it was. Give FORCE to each
#          step, if they run one by one. Models of later nights that were updated from it stay as they are.
# Ends:    with the exit code of the step that failed: 3 where the gate is shut, 75 after a
#          passing failure. TRIES=6 PAUSE=600 tries a step again after such a one, never after
#          others. The same day again does what is missing; a run under way is refused (73).
#          With 2 before any step where one is unknown.
set -euo pipefail

VENV=${VENV:-/opt/daskgmm/venv}
DATA=${DATA:-s3://rows}                  # with the rows of a day in date=YYYY-MM-DD/
RESULTS=${RESULTS:-s3://results}         # models/DAY, labels/DAY, and latest.json

here=$(dirname "$(readlink -f "$0")")
day=${1:-$(date -u -d yesterday +%F)}
shift || true
place=$RESULTS/models/$day labels=$RESULTS/labels/$day
model=$place
[[ ! ${FORCE:-} ]] || model=$RESULTS/again/$day
rows=("$DATA" --where "date=$day" --config "${CONFIG:-$here/nightly.toml}")

fit() {
    local start=${START:-}
    [[ $start ]] || start=$("$VENV/bin/python" "$here/previous.py" "$RESULTS" "$day") || return
    [[ $start != none ]] || start=
    "$VENV/bin/daskgmm" fit "${rows[@]}" -o "$model" ${start:+--start-from "$start"} ${FORCE:+--force}
}
refresh() {
    local before=${START:-} code=0
    "$VENV/bin/daskgmm" show "$model" >/dev/null 2>&1 || code=$?
    [[ ${FORCE:-} ]] || ((code == 66)) || return "$code"     # made already, or unknown
    [[ $before ]] || before=$("$VENV/bin/python" "$here/previous.py" "$RESULTS" "$day") || return
    [[ $before != none ]] || before=
    if [[ $before ]]; then
        code=0
        "$VENV/bin/daskgmm" update "$before" "${rows[@]}" -o "$model" ${FORCE:+--force} || code=$?
        ((code == 3 || code == 73)) || return "$code"    # 73: an unfinished fit is there
    fi
    "$VENV/bin/daskgmm" fit "${rows[@]}" -o "$model" ${before:+--align-to "$before"} ${FORCE:+--force}
}
gate() { "$VENV/bin/daskgmm" score "$model" "${rows[@]}"; }
predict() {
    "$VENV/bin/daskgmm" predict "$model" "${rows[@]}" -o "$labels" ${FORCE:+--force} || return
    [[ ! ${FORCE:-} ]] || "$VENV/bin/python" "$here/replace.py" "$model" "$place"
}
publish() {
    "$VENV/bin/python" "$here/publish.py" "$RESULTS/latest.json" "$day" \
        model="$place" labels="$labels"
}

persistently() {
    local tries=${TRIES:-1} code
    until "$@"; do
        code=$?
        ((code == 75 && --tries > 0)) || exit "$code"
        sleep "${PAUSE:-300}"
    done
}

[[ $RESULTS == *://* ]] || mkdir -p "$RESULTS"/{models,labels} "${model%/*}"
# shellcheck disable=SC2086             # it is a list of words
(($#)) || set -- ${STEPS:-fit gate predict publish}
for step; do
    [[ $step =~ ^(fit|refresh|gate|predict|publish)$ ]] || {
        echo "unknown step '$step': fit, refresh, gate, predict or publish" >&2
        exit 2
    }
done
for step; do
    persistently "$step"
done
