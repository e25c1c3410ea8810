#!/usr/bin/env bash
# Writes what a version of this program leaves behind, for TestUpgrade:
#
#   bash cmd/distillflow/testdata/upgrade/make.sh COMMIT
#
# makes the folder COMMIT beside this file: a recipe, its store, its lock, the memo of
# paid answers, and a bundle. A small server that stands in for a teacher sells four
# answers. Needs git, Go, python3 and root (for a host name of its own). 
# Make a folder for each release, and keep those of the versions before.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
commit=$(git -C "$here" rev-parse --short=7 "$1")
port=18039 # a part of the keys: the recipe names the server
work=/tmp/distillflow-upgrade # stands in the records of runs, as every machine has it
[[ ! -e "$work" && ! -e "$here/$commit" ]] || { echo "remove $work and $here/$commit first" >&2; exit 1; }

mkdir "$work"
server=
trap '[[ -z "$server" ]] || kill "$server"; git -C "$here" worktree remove --force "$work/source" 2>/dev/null; rm -rf "$work"' EXIT
git -C "$here" worktree add -q --detach "$work/source" "$commit"
(cd "$work/source" && go build -trimpath -o "$work/distillflow" ./cmd/distillflow)
cp "$here/recipe.yaml" "$here/rows.jsonl" "$work"

python3 - "$port" <<'PYTHON' &
import http.server, json, sys

class Teacher(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"choices": [{"message": {"content": "Thought. The answer is \\boxed{5}."}, "finish_reason": "stop"}],
                           "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Teacher).serve_forever()
PYTHON
server=$!
until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do sleep 0.1; done

unshare --uts bash -euo pipefail -c '
hostname somewhere
cd "$0"
export HOME="$0" OPENAI_API_KEY=none DISTILLFLOW_MEMO="$0/memo"
./distillflow run --plain --lock recipe.yaml
./distillflow bundle create last bundle.tar.zst recipe.yaml
' "$work"

mkdir "$here/$commit"
cp -r "$work/.distillflow" "$here/$commit/store" # the usual name is ignored by git
cp -r "$work/memo" "$work/distillflow.lock" "$work/bundle.tar.zst" "$work/recipe.yaml" "$work/rows.jsonl" "$here/$commit"
rm "$here/$commit/store/.gitignore" "$here/$commit"/store/runs/*/report.html # a copy of what the run itself says
find "$here/$commit" -type d -empty -delete
if grep -rlF -e "$(hostname)" -e "$(git -C "$here" rev-parse --show-toplevel)" "$here/$commit"; then
	echo "these files name this machine" >&2
	exit 1
fi
du -sh "$here/$commit"
