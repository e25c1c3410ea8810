package layout

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSavedLayout pins the bytes of saved files to the layout's version: files of
// an older run are left alone as long as the version is theirs.
func TestSavedLayout(t *testing.T) {
	rows := `{"id":"a","task":"gsm8k","question":"1 < 2?","gold_answer":"3","level":2,"paths":[` +
		`{"style":"cot","replicate":0,"prompt":"p","response":"r","finish_reason":"stop","pred":"3","correct":true},` +
		`{"style":"plain","replicate":1,"prompt":"p","response":"s","finish_reason":"length","pred":"","correct":false,"reason":"cut"}]}` + "\n" +
		`{"id":"b","task":"gsm8k","question":"q","gold_answer":"4","paths":[]}` + "\n"
	head := `{"id":"a","task":"gsm8k","question":"1 < 2?","gold_answer":"3","level":2,`
	want := map[string]string{
		"all": head + `"prompts":["p","p"],"responses":["r","s"],"preds":["3",""],"correct_flags":[true,false],"styles":["cot","plain"],` +
			`"path_info":[{},{"replicate":1,"finish_reason":"length","reason":"cut"}]}` + "\n" +
			`{"id":"b","task":"gsm8k","question":"q","gold_answer":"4","prompts":[],"responses":[],"preds":[],"correct_flags":[],"styles":[]}` + "\n",
		"correct": head + `"prompts":["p"],"responses":["r"],"preds":["3"],"correct_flags":[true],"styles":["cot"]}` + "\n",
	}
	for port, text := range want {
		var b bytes.Buffer
		if err := Problems.Write(&b, port, strings.NewReader(rows)); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(text, b.String()); d != "" {
			t.Errorf("%s: if this is meant, Problems.Version goes up: %s", port, d)
		}
	}
	if Problems.Version != 1 {
		t.Error("a new version of the layout: renew the bytes above, and the number here")
	}
}
