package slurm

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// What Slurm's commands print, whatever it is, gives jobs of whole lines and amounts that
// make sense, in memory in proportion.
func FuzzParse(f *testing.F) {
	f.Add("12_3|distillflow-abc|RUNNING|None|node1\n12|x|y|PENDING|Resources|\n|||||\n")
	f.Add("12_[4-9]|distillflow-abc|PENDING|JobHeldUser|\n13_-2|a|b|c|d")
	f.Add("Configuration data as of 2026-01-01T00:00:00\nMaxArraySize            = 1001\nMaxArraySize = x\n")
	f.Add("JobId=12 JobName=a b=c JobState=FAILED Reason=NonZeroExitCode ExitCode=1:9 RunTime=00:00:01 TimeLimit=UNLIMITED NodeList=(null) MinMemoryNode=4G")
	f.Add("JobState=OUT_OF_MEMORY ExitCode=0:125 MinMemoryCPU=1.5T MinMemoryNode=-3G")
	f.Add("CANCELLED by 1000|0:15|00:01:00|1-00:00:00|node[1-3]")
	f.Add("COMPLETED|300:0|a|b|c\nFAILED|9223372036854775808:x|||")
	f.Fuzz(func(t *testing.T, out string) {
		alloctest.Within(t, len(out), 200, 1<<20, func() {
			rows := parseQueue(out)
			if len(rows) > strings.Count(out, "\n")+1 {
				t.Errorf("%d jobs of %q", len(rows), out)
			}
			for _, r := range rows {
				for _, field := range []string{r.ID, r.Name, string(r.State), r.Reason, r.Node} {
					if strings.ContainsAny(field, "|\n") {
						t.Errorf("%q: %+v", out, r)
					}
				}
				r.index()
			}
			if n := parseConfig(out, "MaxArraySize", 7); n != 7 && !strings.Contains(out, "MaxArraySize") {
				t.Errorf("%q: %d", out, n)
			}
			job := parseJob(out)
			acc, ok := parseAccount(out)
			if ok != (acc.State != "") {
				t.Errorf("%q: %+v, %v", out, acc, ok)
			}
			for _, f := range []facts{job, acc} {
				if n := bytesOf(f.Memry); n < 0 {
					t.Errorf("%q is %d bytes", f.Memry, n)
				}
			}
		})
	})
}
