package slurm

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/distillflow/distillflow/flow/exec/job"
)

// The files of this package in a job's folder, beside those of [job.Folder].
const (
	intentFile = "slurm.json" // what was or is about to be submitted
	endFile    = "slurm.end"  // how the worker's process ended, by the job itself
	logFile    = "worker.log" // standard output and error of the job
)

// logHead begins the line that a job begins its part of the log with.
const logHead = "== job"

// noFolder is the exit status of a job that does not see its folder.
const noFolder = 66

// script is the job of some tasks, one an element. An element whose folder names another
// submission by now does nothing: somebody has given it up. verb is the program's
// command, before the folder.
func script(name, binary, verb string, req request, folders []job.Folder) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	p("#!/bin/sh\ncase ${SLURM_ARRAY_TASK_ID:-0} in\n")
	for i, f := range folders {
		p("%d) folder=%s;;\n", i, quote(string(f)))
	}
	p("*) exit 2;;\nesac\n")
	// A network file system may show a new file late. To a job that was requeued it is old:
	// one that is missing says that the task is done.
	p("n=${SLURM_RESTART_COUNT:+60}\nuntil [ -f \"$folder/%s\" ] || [ ${n:=0} -ge 60 ]; do sleep 1; n=$((n+1)); done\n", intentFile)
	p("[ -f \"$folder/%s\" ] || exit %d\n", intentFile, noFolder)
	p("grep -q '\"name\":\"%s\"' \"$folder/%s\" || exit 0\n", name, intentFile)
	p("exec >>\"$folder/%s\" 2>&1\nrm -f \"$folder/%s\"\n", logFile, endFile)
	p("echo \"%s $SLURM_JOB_ID, %s, on $(uname -n), $(date)\"\n", logHead, name)
	p("told=false pid=\ntrap 'told=true; [ -z \"$pid\" ] || kill -TERM $pid' TERM\n")
	if req.setup != "" {
		p("%s\n", req.setup)
	}
	// As many threads as the job has cores, wherever the cluster does not hold it to them.
	p("if [ -n \"$SLURM_CPUS_PER_TASK\" ]; then export GOMAXPROCS=${GOMAXPROCS:-$SLURM_CPUS_PER_TASK}; fi\n")
	p("%s %s", quote(binary), verb)
	if req.serve.Command != "" {
		s, _ := json.Marshal(req.serve) // strings and a duration
		p(" --serve %s", quote(string(s)))
	}
	p(" \"$folder\" & pid=$!\n$told && kill -TERM $pid\n")
	p("wait $pid; code=$?\nwhile kill -0 $pid 2>/dev/null; do wait $pid; code=$?; done\n")
	// After its result a job writes nothing: the folder may be removed at any moment.
	p("[ $code = 0 ] || { printf '{\"name\":\"%s\",\"code\":%%d,\"told\":%%s}\\n' $code $told >\"$folder/%s.new\" && mv \"$folder/%s.new\" \"$folder/%s\"; }\n", name, endFile, endFile, endFile)
	p("exit $code\n")
	return b.String()
}

// quote makes one word of the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
