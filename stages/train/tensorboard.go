package train

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/internal/lm/tfevents"
	"github.com/distillflow/distillflow/schema"
)

// writeTensorBoard writes metrics as TensorBoard shows them: a run per student, and
// at the top what concerns them all. A point's time is its step in seconds,
// not the clock's, so that the same training gives the same bytes.
func writeTensorBoard(dir string, rows []schema.Metric) error {
	runs := map[string][]tfevents.Scalar{}
	for _, m := range rows {
		runs[m.Student] = append(runs[m.Student], tfevents.Scalar{Step: int64(m.Step), WallTime: float64(m.Step), Tag: m.Name, Value: m.Value})
	}
	for student, scalars := range runs {
		var b bytes.Buffer
		if err := tfevents.Write(&b, scalars); err != nil {
			return err
		}
		at := filepath.Join(dir, student)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(at, tfevents.FilePrefix+"0.distillflow"), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
