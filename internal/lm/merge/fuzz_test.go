package merge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
	"github.com/distillflow/distillflow/internal/lm/lora"
)

// What a stranger's folder says of its base is read, or is an error that names the folder.
func FuzzReadStudent(f *testing.F) {
	f.Add(`{"format":1,"base":"hf://o/n","resolved":"hf://o/n@0123456789012345678901234567890123456789","quantize":"nf4"}`, `{}`)
	f.Add(``, `{"base_model_name_or_path":"o/n","revision":"main"}`)
	f.Add(``, `{"base_model_name_or_path":".","target_modules":"all-linear"}`)
	f.Add(``, `{"base_model_name_or_path":"../../etc","revision":null,"target_modules":7}`)
	f.Add(strings.Repeat("[", 20_000), `null`)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, student, adapter string) {
		name := filepath.Join(dir, StudentFile)
		_ = os.Remove(name)
		if student != "" {
			if err := os.WriteFile(name, []byte(student), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, lora.ConfigFile), []byte(adapter), 0o600); err != nil {
			t.Fatal(err)
		}
		alloctest.Within(t, len(student)+len(adapter), 200, 1<<20, func() {
			ref, err := readStudent(dir)
			if err != nil && !strings.Contains(err.Error(), dir) {
				t.Errorf("%v does not name the folder", err)
			}
			if base, _, err2 := Base(dir); (err2 == nil) != (err == nil) || err == nil && ref.Resolved != "" && base != ref.Resolved {
				t.Errorf("%+v, but the base is %q (%v)", ref, base, err2)
			}
		})
	})
}
