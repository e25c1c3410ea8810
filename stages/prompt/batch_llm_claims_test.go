package prompt

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestTwoProcessesBuyOnce runs the same prompts in two processes at the same time, each
// with a working folder of its own and both with the user's memo. The server's log says
// what was bought. In the second case one is killed while it holds claims.
func TestTwoProcessesBuyOnce(t *testing.T) {
	for _, kill := range []bool{false, true} {
		const rows, concurrency = 9, 4 // two prompts a row
		var mu sync.Mutex
		asked := map[string]int{}
		var victim *exec.Cmd
		te := newTeacher(t, func(_ http.ResponseWriter, q string, n int) string {
			mu.Lock()
			asked[q]++
			if victim != nil {
				victim.Process.Kill()
				victim = nil
			}
			mu.Unlock()
			time.Sleep(20 * time.Millisecond)
			return "re: " + q
		})
		dir := t.TempDir()
		cfg, err := json.Marshal(config(te, map[string]any{"concurrency": concurrency}))
		if err != nil {
			t.Fatal(err)
		}
		input := writePrompts(t, rows)
		var outs []string
		var wg sync.WaitGroup
		mu.Lock() // no answer before the victim is known
		for i, scope := range []string{"0a", "0b", "0c"} {
			j := job{Config: cfg, Input: input, Out: filepath.Join(dir, scope), Memo: filepath.Join(dir, "memo"),
				Work: filepath.Join(dir, "work", strings.Repeat(scope, 32))}
			if err := os.MkdirAll(j.Work, 0o755); err != nil {
				t.Fatal(err)
			}
			cmd, stderr := j.start(t)
			dies := kill && i == 0
			if dies {
				victim = cmd
				for begun := false; !begun; { // until it holds a claim
					held, err := filepath.Glob(filepath.Join(j.Memo, "claims", "*"))
					if err != nil {
						t.Fatal(err)
					}
					if begun = len(held) > 0; !begun {
						time.Sleep(time.Millisecond)
					}
				}
			} else {
				outs = append(outs, j.Out)
			}
			wg.Go(func() {
				if err := cmd.Wait(); (err != nil) != dies {
					t.Errorf("process %d: %v\n%s", i, err, stderr.Bytes())
				}
			})
		}
		mu.Unlock()
		wg.Wait()
		total := 0
		for _, n := range asked {
			total += n
		}
		most := 2 * rows
		if kill {
			most += concurrency // its calls in flight are lost
		}
		if len(asked) != 2*rows || total > most {
			t.Errorf("kill %v: %d calls for %d prompts", kill, total, len(asked))
		}
		var first []byte
		for _, out := range outs {
			b, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = b
			}
			if len(b) == 0 || !bytes.Equal(b, first) {
				t.Errorf("kill %v: the outputs differ", kill)
			}
		}
		t.Logf("kill %v: %d calls for %d prompts", kill, total, len(asked))
	}
}
