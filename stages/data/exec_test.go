//go:build unix

package data

import (
	"testing"

	"github.com/distillflow/distillflow/flow/stagetest"
)

func TestExecGolden(t *testing.T) { stagetest.Golden(t, Exec) }
