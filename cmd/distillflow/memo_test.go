package main

import (
	"crypto/sha256"
	"fmt"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/distillflow/distillflow/flow/store"
)

// cmdOpenBatch leaves in the memo what a run leaves that has submitted a batch and was
// ended: `openbatch ID SERVER`.
func cmdOpenBatch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: openbatch ID SERVER")
	}
	m, err := store.OpenMemo(ts.Getenv("DISTILLFLOW_MEMO"), store.MemoOptions{})
	ts.Check(err)
	name := "distillflow-" + args[0]
	for kind, record := range map[string]string{
		"intent": fmt.Sprintf(`{"name":%q,"provider":"openai","endpoint":%q,"model":"m","requests":2,"worst":{"requests":2,"tokens":100,"usd":0.5},"at":"2026-01-02T03:04:05Z"}`, name, args[1]),
		"opened": fmt.Sprintf(`{"id":%q}`, args[0]),
	} {
		ts.Check(m.Put(sha256.Sum256([]byte("llm-job-1\x00"+kind+"\x00"+name)), []byte(record)))
	}
	ts.Check(m.Close())
}
