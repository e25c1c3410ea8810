package job

import (
	"fmt"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/internal/base/text"
)

// What a worker tells is bounded, so that one gone wild takes no more of its reader's
// memory than others. JSON makes six bytes of one at most, so that two texts fit a line.
const (
	maxText   = 64 << 10  // bytes of a message's text; the rest is cut off
	maxLine   = 1 << 20   // bytes of a line; a longer one is none of this program's
	maxResult = 256 << 20 // bytes of a result, which lists the files of the outputs
)

// clip cuts a text of a message.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return s[:maxText] + fmt.Sprintf("... (%s more)", text.Size(int64(len(s)-maxText)))
}

func tooLong(h exec.Hooks) {
	if h.Warn != nil {
		h.Warn(fmt.Sprintf("its worker wrote a line of more than %s among its messages; what is in it is lost", text.Size(maxLine)))
	}
}
